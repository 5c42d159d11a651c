"""Many connections in one process: what a message costs, and an idle one; how a herd comes back."""

from __future__ import annotations

import asyncio
import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import websockets

from heimdall_reactive import use_websocket

from . import machine
from .measuring import LIMIT, Case, Measure, Skipped, Spent, Stage, Step, Stopwatch
from .payloads import SIZES, payload
from .peer import command
from .receiving import Clock

__all__ = ["idle_cpu", "many_stores", "memory", "storm"]

Flood: TypeAlias = Callable[[str, str, int, int], Coroutine[Any, Any, Spent]]

ROOT: Final = Path(__file__).parent.parent
STORES: Final = {"1": 1, "100": 100, "2,000": 2000}
MESSAGES: Final = 100_000  # of all together
BATCH: Final = 50  # connections that are opened at once
SPARE: Final = 100  # descriptors for all but the connections
IDLE: Final = 500  # connections of a process whose memory is measured
HERD: Final = 200  # stores of a restart
IDLE_CPU: Final = 2000  # those of a process whose work is measured
MINUTE: Final = 60.0  # seconds in which they are idle: three pings each
QUICK_MINUTE: Final = 10.0
KINDS: Final = {"stores": "store", "raw websockets": "raw"}
SOON: Final = 0.5  # seconds: the first delay of the herd's Backoff


def many_stores(stage: Stage) -> Case:
    """Build the case of as many messages over more and more stores."""
    kinds: dict[str, Flood] = {
        "stores": _stores,
        "raw websockets + json.loads, a task each": _raw,
    }
    steps = [
        Step(entry, _shared(stage, flood, column))
        for column in (("1", "100") if stage.quick else STORES)
        for entry, flood in kinds.items()
    ]
    return Case("many stores", "Many stores in one process", "µs a message", "stores", steps)


def memory(stage: Stage) -> Case:
    """Build the case of idle connections, each kind in a fresh process."""
    steps = [
        Step(entry, functools.partial(_idle, stage, kind, column))
        for column in ("no compression", "default")
        for entry, kind in (
            ("store", "store"),
            ("raw websockets", "raw"),
            ("raw websockets with a task that reads", "task"),
        )
    ]
    return Case("memory", "An idle connection", "KiB each", "compression", steps)


def idle_cpu(stage: Stage) -> Case:
    """Build the case of connections that are idle for a minute, but for their pings."""
    minutes = _Minutes(stage)
    steps = [Step(entry, functools.partial(minutes.measure, entry)) for entry in KINDS]
    return Case("idle CPU", "Idle for a minute", "CPU ms a minute", "", steps, rounds=3)


def storm(stage: Stage) -> Case:
    """Build the case of a server that is away for half a second: all stores come back."""
    policies = {
        "the default delay of 3 s": "default",
        f"Backoff(initial={SOON:g}, cap={4 * SOON:g})": "backoff",
    }
    steps = [Step(entry, functools.partial(_storm, policy)) for entry, policy in policies.items()]
    return Case("storm", f"{HERD} stores after a restart of 0.5 s", "s, or dials", "", steps)


def _shared(stage: Stage, flood: Flood, column: str) -> Measure:
    text, total, count = payload(SIZES["0.1 KB"]), stage.count(MESSAGES), STORES[column]

    def measure() -> dict[str, float]:
        if machine.raise_descriptor_limit(count + SPARE) < count + SPARE:
            raise Skipped("too few open files are allowed here")
        spent = asyncio.run(asyncio.wait_for(flood(stage.url, text, count, total), LIMIT))
        return spent.columns(column, total // count * count)

    return measure


async def _stores(url: str, text: str, count: int, total: int) -> Spent:
    done, each = asyncio.Event(), total // count
    clock = Clock(each * count, done.set)
    stores = [use_websocket(url, compression=None, immediate=False) for _ in range(count)]
    for start in range(0, count, BATCH):
        batch = stores[start : start + BATCH]
        for store in batch:
            store.messages.subscribe(clock)
            store.connect()
        await asyncio.gather(*(store.wait_connected(timeout=LIMIT) for store in batch))
    for store in stores:
        await store.send(command("ready", payload=text, count=each))
    spent = await _all_at_once(url, count, done)
    await asyncio.gather(*(store.aclose() for store in stores))
    return spent


async def _raw(url: str, text: str, count: int, total: int) -> Spent:
    done, each = asyncio.Event(), total // count
    clock = Clock(each * count, done.set)

    async def read(ws: websockets.ClientConnection) -> None:
        async for data in ws:
            clock(json.loads(data))

    sockets = await _open(url, count, compression=None)
    tasks = [asyncio.create_task(read(ws)) for ws in sockets]
    for ws in sockets:
        await ws.send(command("ready", payload=text, count=each))
    spent = await _all_at_once(url, count, done)
    for ws in sockets:
        ws.transport.abort()
    await asyncio.gather(*tasks, return_exceptions=True)
    return spent


async def _all_at_once(url: str, count: int, done: asyncio.Event) -> Spent:
    """Start the peer once all are ready; return what is spent until everything was received."""
    async with websockets.connect(url, compression=None) as ws:
        watch = Stopwatch()
        await ws.send(command("go", count=count))
        await done.wait()
        spent = watch.stop()
        ws.transport.abort()
    return spent


async def _open(url: str, count: int, **options: Any) -> Sequence[websockets.ClientConnection]:
    sockets: list[websockets.ClientConnection] = []
    for start in range(0, count, BATCH):
        wanted = range(min(BATCH, count - start))
        sockets += await asyncio.gather(*(websockets.connect(url, **options) for _ in wanted))
    return sockets


def _idle(stage: Stage, kind: str, column: str) -> dict[str, float]:
    """Have a fresh process open connections, and say what each takes."""
    return {column: _outcome(_start(kind, column, IDLE, f"{stage.url}/deflate"))}


class _Minutes:
    """Has all kinds be idle in the same minute, each in a process of its own."""

    def __init__(self, stage: Stage) -> None:
        self._url = stage.url
        self._seconds = QUICK_MINUTE if stage.quick else MINUTE
        self._running: dict[str, subprocess.Popen[str]] = {}

    def measure(self, entry: str) -> dict[str, float]:
        """Return what a kind has taken of the processor."""
        if entry not in self._running:
            for kind in KINDS:
                self._running[kind] = _start(KINDS[kind], "default", IDLE_CPU, self._url,
                                             self._seconds)  # fmt: skip
        return {f"{IDLE_CPU:,} connections": _outcome(self._running.pop(entry))}


def _start(
    kind: str, column: str, count: int, url: str, seconds: float = 0
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.idle", kind, column, str(count), url, str(seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def _outcome(process: subprocess.Popen[str]) -> float:
    try:
        out, errors = process.communicate(timeout=LIMIT + MINUTE)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode:
        raise Skipped((errors.strip().splitlines() or ["no reason given"])[-1])
    return float(out)


def _storm(policy: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "outcome.json"
        program = [
            sys.executable, "-m", "benchmarks.restart", "--stores", str(HERD), "--policy", policy,
            "--initial", str(SOON), "--json", str(report),
        ]  # fmt: skip
        subprocess.run(program, capture_output=True, timeout=LIMIT, check=False, cwd=ROOT)
        (outcome,) = json.loads(report.read_text(encoding="utf-8"))
    return {"seconds until all are back": outcome["all_back"], "dials": sum(outcome["buckets"])}
