"""Soak: stores, random faults, numbered messages both ways, and every promise held to account."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import machine
from heimdall_reactive.testing import FaultProxy

from .down import SLACK
from .faults import Mischief, blame, restarts, slowed
from .guests import KINDS, Guest
from .ledger import Ledger
from .report import Report
from .server import SoakServer
from .store import SoakStore

__all__ = ["main", "soak"]

TICK: Final = 0.04  # seconds between two sends of a store
LEDGER_TICK: Final = 0.1
SAMPLE: Final = 5.0  # seconds between two looks at the memory
PROGRESS: Final = 5.0  # seconds between two lines of progress
CALM: Final = 8.0  # seconds that the stores have at the end to connect and to empty their outboxes
STUTTER: Final = 0.4  # seconds; the shortest timeout of a store has 0.5
STUTTER_COUNTS: Final = 5.0  # seconds for which one excuses a loss
PROBE: Final = 0.005  # seconds between two looks at the loop
GUESTS_PAUSE: Final = 4.0  # seconds on average between two faults of a guest
HISTORY: Final = 100  # connections that a proxy remembers, far more than are undecided


class Complaints(logging.Handler):
    """Counts what is logged as an error: by the library, or by asyncio about a task or callback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record."""
        self.seen[f"logged: {record.name}: {record.getMessage()[:80]}"] += 1


class Soak:
    """One run: its parts, and the tasks that keep them busy.

    Args:
        stores: the stores.
        proxies: one in front of the server for each.
        guests: stores that are judged more simply, each with its own proxy, or without faults.
        server: the server.
        report: is filled.
    """

    def __init__(
        self,
        stores: Sequence[SoakStore],
        proxies: Sequence[FaultProxy],
        guests: Sequence[tuple[Guest, FaultProxy | None]],
        server: SoakServer,
        report: Report,
    ) -> None:
        self.stores = stores
        self.proxies = proxies
        self.guests = [guest for guest, _ in guests]
        self._all: Sequence[SoakStore | Guest] = [*stores, *self.guests]
        self.report = report
        self.ledgers = [
            Ledger(store.events, desk, partial(self._blame, proxy, store), partial(slowed, proxy))
            for store, desk, proxy in zip(stores, server.desks, proxies, strict=False)
        ]
        self._harmed = [(guest, proxy) for guest, proxy in guests if proxy is not None]
        self._server = server
        self._began = time.monotonic()
        self._stuttered = -STUTTER_COUNTS

    async def run(self, seconds: float) -> None:
        """Harm and watch for so long, let everything calm down, and close."""
        chance = random.Random(self.report.seed)
        kinds = self.report.faults
        for store in self._all:
            store.start()
        mischief = [
            Mischief(store, proxy, random.Random(chance.random()), kinds)
            for store, proxy in zip(self.stores, self.proxies, strict=True)
        ]
        mischief += [
            Mischief(guest, proxy, random.Random(chance.random()), kinds, GUESTS_PAUSE)
            for guest, proxy in self._harmed
        ]
        async with _running(self._watch(), self._probe(), self._progress()):
            async with _running(self._load()):
                harm = [one.run() for one in mischief]
                async with _running(restarts(self._server, chance, kinds), *harm):
                    await asyncio.sleep(seconds)
            self.report.seconds = time.monotonic() - self._began
            await self._calm(mischief)
            await self._close()

    async def _load(self) -> None:
        while True:
            for store in self._all:
                store.tick()
            await asyncio.sleep(TICK)

    async def _watch(self) -> None:
        """Fetch the notes often, so that little of them is kept; and look at the memory."""
        sampled, looked = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(LEDGER_TICK)
            self._note_stutter(time.monotonic() - looked - LEDGER_TICK)
            self._take()
            now = time.monotonic() - self._began
            if now - sampled >= SAMPLE:
                sampled = now
                machine.settle()  # without it, what the allocator keeps for later is measured
                self.report.samples.append((now, machine.rss()))
            looked = time.monotonic()

    async def _probe(self) -> None:
        """Look how long a turn of this loop takes by its own work, without our looks at memory."""
        while True:
            samples, cpu, due = len(self.report.samples), time.thread_time(), time.monotonic()
            await asyncio.sleep(PROBE)
            late = time.monotonic() - due - PROBE
            if len(self.report.samples) == samples:
                self.report.turn = max(self.report.turn, min(late, time.thread_time() - cpu))

    def _note_stutter(self, seconds: float) -> None:
        """Note how long this process stood still: as long, messages wait that have arrived."""
        self.report.stutter = max(self.report.stutter, seconds)
        if seconds > STUTTER:
            self._stuttered = time.monotonic()
        for ledger in self.ledgers:
            ledger.down.slack = SLACK + self.report.stutter

    def _blame(self, proxy: FaultProxy, store: SoakStore, dial: int, by_server: bool) -> str:
        found = blame(proxy, store, dial, by_server)
        if not found and time.monotonic() - self._stuttered < STUTTER_COUNTS:
            return "a stutter of this machine, longer than the timeouts"
        return found

    def _take(self) -> None:
        for store, ledger in zip(self.stores, self.ledgers, strict=True):
            ledger.take()
            store.nurse()
        for guest in self.guests:
            guest.take()

    async def _progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS)
            up = sum(ledger.up.states.total() for ledger in self.ledgers)
            down = sum(ledger.down.heard for ledger in self.ledgers)
            sessions = sum(ledger.down.sessions for ledger in self.ledgers)
            judged = [ledger.broken for ledger in self.ledgers]
            judged += [guest.broken_so_far for guest in self.guests]
            broken = dict(sum(judged, Counter[str]()))
            faults = self.report.faults.total()
            print(
                f"{time.monotonic() - self._began:6.0f} s  {sessions} connections  {faults} faults"
                f"  {up} sends  {down} messages  {machine.rss():.0f} MiB  {broken}",
                flush=True,
            )

    async def _calm(self, mischief: Sequence[Mischief]) -> None:
        """Without faults, all that waits has to be written, and all that is written to arrive."""
        for store in self.stores:
            await store.stop_sending()
        for guest in self.guests:
            await guest.stop()
        for one in mischief:
            one.end()
        for _ in range(int(CALM / LEDGER_TICK)):
            if self._is_calm():
                return
            await asyncio.sleep(LEDGER_TICK)

    def _is_calm(self) -> bool:
        if not all(one.store.connected for one in self._all):
            return False
        judged = [ledger.up.open for ledger in self.ledgers]
        return not any(judged) and not any(guest.sends.open for guest in self.guests)

    async def _close(self) -> None:
        for store, ledger in zip(self.stores, self.ledgers, strict=True):
            if ledger.up.open or not store.store.connected:
                self.report.broken["stores that did not recover in the calm"] += 1
            await store.aclose()
        for guest in self.guests:
            if not guest.store.connected:
                self.report.broken["stores that did not recover in the calm"] += 1
            await guest.aclose()
        await asyncio.sleep(1.0)  # until the server has told the ends
        self._take_last()

    def _take_last(self) -> None:
        for ledger in self.ledgers:
            ledger.take()
            ledger.take()  # what the server has read is taken a turn later
            ledger.finish()

    def tell(self) -> None:
        """Add up the ledgers."""
        report = self.report
        for store, ledger in zip(self.stores, self.ledgers, strict=True):
            up, down = ledger.up, ledger.down
            report.sends += up.states
            report.confirmed += up.confirmed
            report.lost += up.lost
            report.doubted += up.doubted
            report.late += up.late
            report.messages += down.heard
            report.missed += down.missed
            report.early += down.early
            report.earliest = max(report.earliest, down.earliest)
            report.sessions += down.sessions
            report.gaps += down.gaps
            report.reconnections += store.store.stats.reconnects
            report.failures += store.errors
            report.reports += ledger.errors
            report.broken += ledger.broken
        for guest in self.guests:
            report.guests[guest.kind] = guest.found
            for name, count in guest.broken.items():
                report.broken[f"{guest.kind}: {name}"] += count


@asynccontextmanager
async def _running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run tasks beside the block, and end them with it; what one of them raises ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()


async def soak(seconds: float, stores: int = 8, seed: int = 0) -> Report:
    """Run a soak.

    Args:
        seconds: how long faults are injected; a few more follow.
        stores: how many stores.
        seed: of the random choices; the run is not repeatable for all that, for it is in real time.
    """
    began = datetime.now(UTC).isoformat(timespec="seconds")
    report = Report(machine.describe(), began, seed, stores)
    with _complaints() as complaints:
        report.start = machine.holdings()
        before = set(threading.enumerate())
        await _run(report, seconds)
        await asyncio.sleep(0.1)
        report.threads_left = [each.name for each in threading.enumerate() if each not in before]
        report.end = machine.holdings()
    report.broken += complaints.seen
    report.conclude()
    return report


async def _run(report: Report, seconds: float) -> None:
    server = SoakServer(report.stores + len(KINDS))
    server.start()
    try:
        async with AsyncExitStack() as stack:
            proxies = [
                await stack.enter_async_context(
                    FaultProxy(("127.0.0.1", server.port), history=HISTORY, seed=report.seed)
                )
                for _ in range(report.stores + len(KINDS))
            ]
            stores = [
                SoakStore(index, proxy.url + "/v1/ws", report.seed)
                for index, proxy in enumerate(proxies[: report.stores])
            ]
            guests: list[tuple[Guest, FaultProxy | None]] = []
            for index, kind in enumerate(KINDS, report.stores):
                # Without a proxy between, which takes longer for a flood than the store.
                proxy = None if kind == "flooded" else proxies[index]
                url = server.url if proxy is None else proxy.url
                guest = Guest(kind, index, url + "/v1/ws", server, report.seed)
                guests.append((guest, proxy))
            run = Soak(stores, proxies[: report.stores], guests, server, report)
            await run.run(seconds)
            run.tell()
    finally:
        server.stop()


@contextlib.contextmanager
def _complaints() -> Any:
    """Count errors in the logs, which would be thousands of lines of what is meant to happen."""
    complaints = Complaints()
    watched = [logging.getLogger(name) for name in ("asyncio", "heimdall_reactive")]
    silent = logging.getLogger("benchmarks.soak.server")
    silent.setLevel(logging.CRITICAL + 1)
    for logger in watched:
        logger.addHandler(complaints)
        logger.propagate = False
    try:
        yield complaints
    finally:
        for logger in watched:
            logger.removeHandler(complaints)
            logger.propagate = True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak from the command line; return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stores", type=int, default=8)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    report = asyncio.run(soak(options.minutes * 60, options.stores, options.seed))
    print(report.table())
    if options.json is not None:
        options.json.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
