"""Measure the way into the log and out of it: `python -m benchmarks.dataflow`.

Everybody stands side by side in each round: the store alone, plain `nats-py`, the ingest, `use_log`
and Spark. The feed and the log are processes of their own, on the same machine: what is measured is
the CPU time of the process that reads or writes, and the time on the clock only through Spark.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from heimdall_reactive import use_websocket
from heimdall_reactive.dataflow import Feed, Ingest, Log, Record, connect_log, use_log
from tests.dataflow.nats_server import NatsServer, version

from . import machine, report
from .log_feed import message, running
from .measuring import Case, Skipped, Step, run

__all__ = ["PAGE", "RESULTS", "cases", "main"]

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = ROOT / "benchmarks" / "dataflow.json"
PAGE: Final = ROOT / "docs" / "dataflow" / "performance.md"
CHANNELS: Final = (1, 8, 32)
COPIES: Final = (1, 2, 3)
WINDOW: Final = 256  # publications that plain nats-py has under way
FETCH: Final = 1000
CPU: Final = "CPU µs a message"
BATCH: Final = 20_000  # rows of a batch of Spark
MODEL: Final = "tests.dataflow.spark_models:Tick"
AS: Final = {"Heimdall-Copy": "host-1234-abcdef"}  # an ingest's record has this header
PATIENCE: Final = 60.0  # seconds for one measurement


def countdown(left: int) -> tuple[Callable[[object], None], asyncio.Event]:
    """Return an observer, and what is set when it was called so often."""
    done = asyncio.Event()

    def take(_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    return take, done


class Bench:
    """What the measurements have around them.

    Args:
        feed: URL of the feed.
        log: URL of the log.
        count: messages of one measurement, over all channels.
    """

    def __init__(self, feed: str, log: str, count: int) -> None:
        self.feed, self.log, self.count = feed, log, count

    def each(self, channels: int) -> int:
        """Return the messages of one channel."""
        return self.count // channels

    def step(
        self, entry: str, column: int, work: Callable[[int], Coroutine[Any, Any, float]]
    ) -> Step:
        """Make a step that measures microseconds a message."""

        def measure() -> Mapping[str, float]:
            async def bounded() -> float:
                async with asyncio.timeout(PATIENCE):
                    return await work(column)

            return {str(column): asyncio.run(bounded()) / self.count * 1e6}

        return Step(entry, measure)

    # Into the log

    async def store_alone(self, channels: int) -> float:
        """Receive everything, and keep nothing: one store for each channel."""
        take, done = countdown(self.each(channels) * channels)
        began = time.process_time()
        stores = [
            use_websocket(f"{self.feed}/c{n}/{self.each(channels)}", compression=None)
            for n in range(channels)
        ]
        for store in stores:
            store.messages.subscribe(take)
        await done.wait()
        took = time.process_time() - began
        await asyncio.gather(*(store.aclose() for store in stores))
        return took

    async def publish(self, channels: int) -> float:
        """Write the same messages with plain nats-py: acknowledged, so many under way."""
        import nats

        stream = f"P{uuid4().hex}"
        async with await connect_log(self.log, stream):
            pass
        client = await nats.connect(self.log)
        js, window = client.jetstream(), asyncio.Semaphore(WINDOW)

        async def one(number: int) -> None:
            channel = number % channels
            headers = {"Nats-Msg-Id": f"c{channel}.{number}"}
            await js.publish(f"{stream}.in.c{channel}", message(number), headers=headers)
            window.release()

        began = time.process_time()
        async with asyncio.TaskGroup() as group:
            for number in range(self.count):
                await window.acquire()
                group.create_task(one(number))
        took = time.process_time() - began
        await js.delete_stream(stream)
        await client.close()
        return took

    async def ingest(self, channels: int, copies: int = 1) -> float:
        """Read the feed into the log; it is over when the log has every message once."""
        stream, each = f"I{uuid4().hex}", self.each(channels)
        feeds = [
            Feed(
                endpoint=f"{self.feed}/c{n}/{each}", channel=f"c{n}", id="seq",
                options={"compression": None},
            )
            for n in range(channels)
        ]  # fmt: skip
        async with await connect_log(self.log, stream) as log:
            began = time.process_time()
            running = [Ingest(self.log, stream, feeds, name=f"copy{n}") for n in range(copies)]
            await asyncio.gather(*(one.start() for one in running))
            await self._until_stored(log, stream, each * channels)
            took = time.process_time() - began
            await asyncio.gather(*(one.aclose() for one in running))
            await log.js.delete_stream(stream)
        return took

    async def _until_stored(self, log: Log, stream: str, count: int) -> None:
        pause = asyncio.Event()  # the log tells nobody how much it has: it has to be asked
        while (await log.js.stream_info(stream)).state.messages < count:
            with suppress(TimeoutError):
                await asyncio.wait_for(pause.wait(), 0.01)

    async def ingest_copies(self, copies: int) -> float:
        """Read the feed by redundant copies of eight channels."""
        return await self.ingest(8, copies)

    # Out of the log

    @cache  # noqa: B019 - one bench a run
    def filled(self, channels: int) -> str:
        """Return a stream that has everything."""
        stream = f"F{uuid4().hex}"
        asyncio.run(self._fill(stream, channels))
        return stream

    async def _fill(self, stream: str, channels: int) -> None:
        async with await connect_log(self.log, stream) as log:
            for first in range(0, self.count, WINDOW):
                numbers = range(first, min(first + WINDOW, self.count))
                records = (
                    Record(f"c{n % channels}", message(n), str(n), received=time.time(), headers=AS)
                    for n in numbers
                )
                await asyncio.gather(*map(log.publish, records))

    def reading(self, entry: str, work: Callable[[str], Coroutine[Any, Any, float]]) -> list[Step]:
        """Make the steps of one who reads, for each number of channels."""

        def step(channels: int) -> Step:
            return self.step(entry, channels, lambda n: work(self.filled(n)))

        for channels in CHANNELS:
            self.filled(channels)
        return [step(channels) for channels in CHANNELS]

    async def fetch(self, stream: str) -> float:
        """Read and parse with plain nats-py."""
        import nats
        from nats.js.api import AckPolicy, ConsumerConfig

        client = await nats.connect(self.log)
        config = ConsumerConfig(ack_policy=AckPolicy.NONE)
        began, left = time.process_time(), self.count
        reader = await client.jetstream().pull_subscribe(
            f"{stream}.in.*", stream=stream, config=config
        )
        while left:
            found = await reader.fetch(min(FETCH, left), timeout=10)
            left -= len([json.loads(one.data) for one in found])
        took = time.process_time() - began
        await client.close()
        return took

    async def rx(self, stream: str) -> float:
        """Read with `use_log`, one observer."""
        take, done = countdown(self.count)
        began = time.process_time()
        async with use_log(stream, servers=self.log, start="first") as store:
            store.messages.subscribe(take)
            await done.wait()
            return time.process_time() - began

    async def tasks(self, stream: str) -> float:
        """Read as the tasks of Spark do, in this process."""
        await asyncio.to_thread(_once, self.log, stream)
        began = time.process_time()
        rows = await asyncio.to_thread(_tasks, self.log, stream)
        assert rows == self.count, rows
        return time.process_time() - began

    # Through Spark

    def through_spark(self) -> list[Step]:
        """Make the steps of Spark: it alone, and with the log; in seconds of the clock."""
        column = f"{BATCH:,} a batch"

        def alone() -> Mapping[str, float]:
            from .dataflow_spark import counted

            rows, took = counted(_session(), "floor", messages=self.count, size=BATCH)
            return {column: took / rows * 1e6}

        def log() -> Mapping[str, float]:
            from .dataflow_spark import stream

            rows, took = stream(_session(), self.log, BATCH, MODEL, self.filled(8))
            return {column: took / rows * 1e6}

        return [Step("Spark, a source that reads nothing", alone), Step("Spark, the log", log)]


def _tasks(log: str, stream: str) -> int:
    try:
        from .dataflow_spark import tasks

        return tasks(log, BATCH, MODEL, stream)
    except ImportError:
        raise Skipped("the source needs pyspark and pyarrow") from None


@cache
def _once(log: str, stream: str) -> None:
    """Import all that the source needs, which is not measured."""
    _tasks(log, stream)


@cache
def _session() -> Any:
    if shutil.which("java") is None:
        raise Skipped("Spark needs Java")
    from .dataflow_spark import session

    return session()


def cases(bench: Bench) -> list[Case]:
    """Return what is measured."""
    into = [
        bench.step(entry, channels, work)
        for channels in CHANNELS
        for entry, work in (
            ("store alone, no log", bench.store_alone),
            ("plain nats-py, no socket", bench.publish),
            ("ingest", bench.ingest),
        )
    ]
    copies = [bench.step("ingest", n, bench.ingest_copies) for n in COPIES]
    out = [
        step
        for entry, work in (
            ("plain nats-py, fetch + json", bench.fetch),
            ("use_log", bench.rx),
            (f"source of Spark, {BATCH:,} a batch", bench.tasks),
        )
        for step in bench.reading(entry, work)
    ]
    return [
        Case("log in", "From the socket into the log", CPU, "channels", into),
        Case("log copies", "Redundant copies, eight channels", CPU, "copies", copies),
        Case("log out", "From the log", CPU, "channels", out),
        Case("log to spark", "Through Spark", "µs a message", "batch", bench.through_spark()),
    ]


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dataflow", description=__doc__)
    parser.add_argument("--messages", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write-docs", action="store_true")
    parser.add_argument("--no-run", action="store_true", help="only from the results there are")
    given = parser.parse_args()
    if given.no_run:
        report.write_docs(report.load(RESULTS), [PAGE])
        return 0
    print(machine.describe(), "nats-server", version())
    results = []
    with tempfile.TemporaryDirectory() as folder, running() as feed:
        server = NatsServer(Path(folder))
        server.start()
        try:
            for case in cases(Bench(feed, server.url, given.messages)):
                result = run(case, given.rounds)
                print(f"\n## {case.title}\n\n{report.table(result.to_json())}", flush=True)
                print("".join(f"\n{note}" for note in result.notes), end="", flush=True)
                results.append(result)
        finally:
            server.kill()
    if given.write_docs:
        document = report.save(RESULTS, results, given.rounds)
        report.write_docs(document, [PAGE])
    return 0


if __name__ == "__main__":
    logging.getLogger("heimdall_reactive").setLevel(logging.CRITICAL)
    sys.exit(main())
