"""Scenarios of crashes: copies of `heimdall-reactive ingest`, and the log, killed and restarted."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from heimdall_reactive.dataflow import Log, Missed, connect_log

from .feed_server import FeedServer
from .nats_server import NatsServer
from .stream_check import Found, look

__all__ = ["Copy", "Outcome", "Times", "chaos", "one_alone", "two_copies"]

ROOT: Final = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Times:
    """Seconds of a scenario.

    Attributes:
        up: between two crashes.
        down: between a crash and the restart.
    """

    up: float = 0.7
    down: float = 0.7


@dataclass
class Outcome:
    """What the stream held in the end.

    Attributes:
        sent: messages of all channels since the first that was written.
        found: the numbers of each channel.
        gaps: the gaps that were written down.
    """

    sent: int
    found: dict[str, Found]
    gaps: list[Missed] = field(default_factory=list)

    @property
    def missing(self) -> int:
        return sum(found.missing for found in self.found.values())

    @property
    def repeats(self) -> int:
        return sum(found.repeats for found in self.found.values())

    @property
    def disorder(self) -> int:
        return sum(found.disorder for found in self.found.values())


class Copy:
    """One `heimdall-reactive ingest`, in a process of its own."""

    def __init__(self, name: str, nats: NatsServer, stream: str, feeds: list[str], log: Path,
                 *options: str) -> None:  # fmt: skip
        self._command = [
            sys.executable, "-m", "heimdall_reactive", "ingest", *feeds, "--nats", nats.url,
            "--stream", stream, "--name", name, "--id", "seq",
            "--ready-file", str(log.with_suffix(".ready")), *options,
        ]  # fmt: skip
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it has caught up, as it says itself."""
        return self._log.with_suffix(".ready").exists()

    def start(self) -> None:
        self._log.with_suffix(".ready").unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """Kill it, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def terminate(self, timeout: float = 40.0) -> int:
        """End it by SIGTERM, and return its exit code."""
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(process.wait, timeout)
        self._process = None
        return code


class _Stage:
    """A feed, a log, and copies between them."""

    def __init__(
        self, server: FeedServer, nats: NatsServer, stream: str, channels: list[str], rate: float
    ) -> None:
        self.server = server
        self.nats = nats
        self.stream = stream
        self.channels = channels
        self.feeds = [f"{channel}={server.url}/live/{channel}" for channel in channels]
        server.tick(channels, rate)

    def copy(self, name: str, folder: Path, *options: str) -> Copy:
        log = folder / f"{name}.log"
        options = ("--consecutive", "--settle", "0.7", *options)
        return Copy(name, self.nats, self.stream, self.feeds, log, *options)

    async def listeners(self, count: int, timeout: float = 45.0) -> None:
        """Wait until every channel has so many."""
        await until(lambda: all(self.server.clients(c) >= count for c in self.channels), timeout)

    async def written(self, timeout: float = 45.0) -> None:
        """Wait until the log has the newest message of every channel."""
        async with asyncio.timeout(timeout), await self._log() as log:
            for channel in self.channels:
                while await _newest(log, channel) < self.server.counts[channel]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

    async def complete(self, timeout: float = 45.0) -> None:
        """Wait until the log has everything that was sent up to now."""
        now = dict(self.server.counts)
        async with asyncio.timeout(timeout):
            while True:
                found = (await self.outcome()).found
                if all(
                    max(found[channel].numbers) >= now[channel] and not found[channel].missing
                    for channel in self.channels
                ):
                    return

    async def outcome(self) -> Outcome:
        async with await self._log() as log:
            found, gaps = await look(log)
        sent = sum(self.server.counts[c] - min(f.numbers) + 1 for c, f in found.items())
        return Outcome(sent, found, gaps)

    async def _log(self) -> Log:
        return await connect_log(self.nats.url, self.stream)


async def two_copies(
    nats: NatsServer, stream: str, folder: Path, times: Times, channels: int = 8, rate: float = 250
) -> Outcome:
    """Kill each of two redundant copies when both have caught up, and restart it; then the log."""
    names = [f"c{number}" for number in range(channels)]
    async with FeedServer() as server:
        stage = _Stage(server, nats, stream, names, rate)
        copies = [stage.copy(name, folder, "--settle", "2") for name in ("a", "b")]
        try:
            for copy in copies:
                copy.start()
            await _all_ready(copies)
            for copy in copies:
                await asyncio.sleep(times.up)
                copy.kill()
                await asyncio.sleep(times.down)
                copy.start()
                await _all_ready(copies)
            await asyncio.sleep(times.up)
            nats.kill()
            await asyncio.sleep(times.down)
            nats.start()
            await asyncio.sleep(times.up)
            await server.stop_ticking()
            await stage.written()
            ended = await asyncio.gather(*(copy.terminate() for copy in copies))
            assert ended == [0, 0]
        finally:
            for copy in copies:
                copy.kill()
        return await stage.outcome()


async def _all_ready(copies: list[Copy], timeout: float = 45.0) -> None:
    await until(lambda: all(copy.is_ready for copy in copies), timeout)


async def chaos(
    nats: NatsServer, stream: str, folder: Path, times: Times, channels: int = 8, rate: float = 250,
    seed: int = 1,
) -> Outcome:  # fmt: skip
    """Kill a copy, the log, or both, six times, by chance; one copy is always there.

    A killed copy may be started again while the log is still away. The next crash comes when both
    copies have been able to write what they held: else what one missed, and the other had only
    in its memory, would be lost with that, and rightly so.
    """
    dice = random.Random(seed)
    names = [f"c{number}" for number in range(channels)]
    async with FeedServer() as server:
        stage = _Stage(server, nats, stream, names, rate)
        copies = [stage.copy(name, folder, "--settle", "2.5") for name in ("a", "b")]
        try:
            for copy in copies:
                copy.start()
            await stage.listeners(2)
            for _ in range(6):
                await asyncio.sleep(dice.uniform(0, times.up))
                copy = dice.choice(copies)
                log_too, copy_too = dice.choice([(True, False), (False, True), (True, True)])
                if log_too:
                    nats.kill()
                if copy_too:
                    copy.kill()
                await asyncio.sleep(dice.uniform(0, times.down))
                if copy_too:
                    copy.start()
                await asyncio.sleep(dice.uniform(0, times.down))
                if log_too:
                    nats.start()
                await _all_there(stage, copies)
                with suppress(TimeoutError):  # something is lost, then
                    await stage.complete()
            await server.stop_ticking()
            await stage.written()
            ended = await asyncio.gather(*(copy.terminate() for copy in copies))
            assert ended == [0, 0]
        finally:
            for copy in copies:
                copy.kill()
        return await stage.outcome()


async def _all_there(stage: _Stage, copies: list[Copy]) -> None:
    """Wait until both copies listen; start one again that gave up, as a supervisor does."""
    while not all(stage.server.clients(name) == 2 for name in stage.channels):
        for copy in copies:
            if copy.has_ended:
                copy.start()
        await asyncio.sleep(0.05)


async def one_alone(
    nats: NatsServer, stream: str, folder: Path, times: Times, channels: int = 8, rate: float = 250
) -> Outcome:
    """Kill the only copy, and restart it; then let it end by SIGTERM."""
    names = [f"c{number}" for number in range(channels)]
    async with FeedServer() as server:
        stage = _Stage(server, nats, stream, names, rate)
        copy = stage.copy("alone", folder)
        try:
            copy.start()
            await stage.listeners(1)
            await asyncio.sleep(times.up)
            copy.kill()
            await until(lambda: all(server.clients(c) == 0 for c in names))
            await asyncio.sleep(times.down)
            copy.start()
            await stage.listeners(1)
            await asyncio.sleep(times.up)
            await server.stop_ticking()
            await stage.written()
            assert await copy.terminate() == 0
        finally:
            copy.kill()
        return await stage.outcome()


async def until(condition: Callable[[], bool], timeout: float = 10.0) -> None:
    """Wait for a condition that this loop makes true.

    Raises:
        TimeoutError: it did not become true.
    """
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0.01)


async def _newest(log: Log, channel: str) -> int:
    record = await log.last(channel)
    return 0 if record is None else int(record.json()["seq"])
