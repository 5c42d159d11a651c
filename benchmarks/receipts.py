"""Receipts: what each state was worth, under faults: `python -m benchmarks.receipts`.

A server in a process of its own writes down every message that its parser had, before anything
else. A store sends thousands of numbers through it, while it is killed, stopped or slow, while the
network resets or swallows the connection, and while the store itself reconnects. Afterwards the
receipts are held against the server's file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from heimdall_reactive import Receipt, WebSocketStore, use_websocket
from heimdall_reactive.testing import BlackHole, FaultProxy, Reset

from . import machine

__all__ = ["main"]

RESULTS: Final = Path(__file__).parent / "receipts.json"
BURST: Final = 20  # sends in a turn
OPTIONS: Final[dict[str, Any]] = {
    "reconnect_delay": 0.02, "max_reconnect_attempts": None, "outbox_limit": 100_000,
    "ping_interval": 0.2, "ping_timeout": 0.5, "close_timeout": 2.0, "compression": None,
}  # fmt: skip


class Server:
    """The server, in a process that can be killed and stopped.

    Args:
        file: where it writes down what its parser had.
        pause: seconds that it takes for each message.
    """

    def __init__(self, file: Path, pause: float) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._command = [
            sys.executable, "-m", "benchmarks.receipts", "--serve", str(self.port), str(file),
            str(pause),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=Path(__file__).parent.parent)

    def signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


async def serve_numbers(port: int, file: str, pause: float) -> None:
    """Write down each message as `dial number`, when the parser has it."""
    notes = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    class Noting(ServerConnection):
        opened = 0

        def process_event(self, event: Any) -> None:
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self.opened = self.opened or time.time_ns()
                os.write(notes, b"%d %s\n" % (self.opened, bytes(event.data)))
            super().process_event(event)

    async def take(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for _ in connection:
                await asyncio.sleep(pause)

    options: Any = {"create_connection": Noting, "compression": None}
    async with serve(take, "127.0.0.1", port, **options):
        await asyncio.get_running_loop().create_future()


Fault = Callable[["Setting"], Awaitable[None]]


class Setting:
    """What a fault strikes."""

    def __init__(self, server: Server, proxy: FaultProxy, store: WebSocketStore[Any]) -> None:
        self.server, self.proxy, self.store = server, proxy, store
        self.turn = 0


async def kill(setting: Setting) -> None:
    setting.server.kill()
    setting.server.start()


async def reset(setting: Setting) -> None:
    setting.proxy.now(Reset())


async def black_hole(setting: Setting) -> None:
    setting.proxy.now(BlackHole())


async def stall(setting: Setting) -> None:
    setting.server.signal(signal.SIGSTOP)
    await asyncio.sleep(1.2)  # longer than ping_timeout, and the dial goes on waiting
    setting.server.signal(signal.SIGCONT)


async def reconnect(setting: Setting) -> None:
    setting.turn += 1
    setting.store.reconnect(overlap=setting.turn % 2 == 0)


CASES: Final[dict[str, tuple[Fault, float]]] = {
    "kill": (kill, 0.0),
    "reset": (reset, 0.0),
    "black hole": (black_hole, 0.0),
    "stalled reader": (stall, 0.0),
    "slow reader, reset": (reset, 0.0005),
    "planned reconnection": (reconnect, 0.0),
}


@asynccontextmanager
async def setting_of(file: Path, pause: float, *, resend: bool) -> AsyncIterator[Setting]:
    """Start a server, a network and a store."""
    server = Server(file, pause)
    server.start()
    try:
        async with FaultProxy(f"ws://127.0.0.1:{server.port}") as proxy:
            store: WebSocketStore[Any] = use_websocket(proxy.url, resend=resend, **OPTIONS)
            async with store:
                await store.wait_connected(20)
                yield Setting(server, proxy, store)
    finally:
        server.kill()


async def measure(case: str, sends: int, faults: int, seed: int, *, resend: bool) -> dict[str, int]:
    """Send under faults; return how many of each kind there were."""
    fault, pause = CASES[case]
    chance = random.Random(seed)
    receipts: list[Receipt] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "parsed"
        async with setting_of(file, pause, resend=resend) as setting:
            sending = asyncio.create_task(_send(setting.store, sends, receipts))
            for _ in range(faults):
                await asyncio.sleep(0.1 + 0.3 * chance.random())
                await fault(setting)
                await setting.store.wait_connected(20)
            await sending
            await setting.store.wait_connected(20)
            await _settled(receipts)
        await asyncio.sleep(0.1)
        notes = [line.split() for line in file.read_text().splitlines()]
    return judge(receipts, [(int(dial), int(number)) for dial, number in notes])


async def _send(store: WebSocketStore[Any], sends: int, receipts: list[Receipt]) -> None:
    while len(receipts) < sends:
        receipts += [store.send(str(n)) for n in range(len(receipts), len(receipts) + BURST)]
        await asyncio.sleep(0.01)


async def _settled(receipts: list[Receipt]) -> None:
    for receipt in receipts:
        if receipt.state in ("queued", "written"):
            await asyncio.wait([asyncio.ensure_future(_fate(receipt))])


async def _fate(receipt: Receipt) -> None:
    try:
        await receipt.delivered(20)
    except Exception:
        return


def judge(receipts: list[Receipt], parsed: list[tuple[int, int]]) -> dict[str, int]:
    """Hold the receipts against what the server's parser had."""
    times = Counter(number for _, number in parsed)
    found: Counter[str] = Counter(sends=len(receipts))
    for number, receipt in enumerate(receipts):
        found[receipt.state] += 1
        if times[number]:
            found[f"{receipt.state}, parsed"] += 1
        else:
            found["lost"] += 1
            found[f"{receipt.state}, not parsed"] += 1
        found["twice"] += times[number] > 1
    newest = 0
    for dial, _ in parsed:
        found["behind the next session's"] += dial < newest
        newest = max(newest, dial)
    return dict(found)


SHOWN: Final = (
    "sends", "delivered", "delivered, not parsed", "in_doubt, parsed", "in_doubt, not parsed",
    "written", "twice", "lost", "behind the next session's",
)  # fmt: skip


def table(found: dict[str, dict[str, int]]) -> str:
    """Return the rows for the documentation."""
    lines = [
        "| case | " + " | ".join(SHOWN) + " |",
        "|---|" + "---:|" * len(SHOWN),
    ]
    for case, counts in found.items():
        cells = " | ".join(f"{counts.get(name, 0):,}" for name in SHOWN)
        lines.append(f"| {case} | {cells} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run all cases, print the table, and write the results; exit with 1 where one is untrue."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.receipts", description=__doc__)
    parser.add_argument("--sends", type=int, default=5000, help="of each case")
    parser.add_argument("--faults", type=int, default=10, help="of each case")
    parser.add_argument("--case", choices=CASES, action="append", help="only these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        port, file, pause = options.serve
        asyncio.run(serve_numbers(int(port), file, float(pause)))
        return 0
    found = {}
    for case in options.case or CASES:
        for resend in (False, True):
            name = f"{case}{', resend' if resend else ''}"
            counts = asyncio.run(
                measure(case, options.sends, options.faults, options.seed, resend=resend)
            )
            found[name] = counts
            print(name, counts, flush=True)
    print(table(found))
    if options.json:
        result = {"machine": machine.describe(), "sends": options.sends, "cases": found}
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return int(any(untrue(name, counts) for name, counts in found.items()))


def untrue(name: str, counts: dict[str, int]) -> bool:
    """Return whether a receipt said what was not so."""
    if counts.get("delivered, not parsed") or counts.get("written"):
        return True
    return bool(counts.get("lost") if "resend" in name else counts.get("twice"))


if __name__ == "__main__":
    sys.exit(main())
