"""The log to Spark beside plain `nats-py`, in rows a second: `-m benchmarks.dataflow_spark`.

One log, filled once; rounds of all ways, one after the other, so that a slow moment of the machine
meets each of them; the median of each. Starting Spark, and its first batch, are not measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.dataflow.nats_server import NatsServer, version

STREAM: Final = "BENCH"
CHANNELS: Final = 8
FETCH: Final = 1000  # messages of one fetch of nats-py


async def fill(url: str, count: int) -> None:
    """Write messages of about 70 bytes to eight channels."""
    from heimdall_reactive.dataflow import Record, connect_log

    async with await connect_log(url, STREAM) as log:
        for first in range(0, count, 1000):
            records = (
                Record(f"c{n % CHANNELS}", message(n), id=str(n), received=time.time())
                for n in range(first, first + 1000)
            )
            await asyncio.gather(*(log.publish(record) for record in records))


def message(number: int) -> bytes:
    """Return a message."""
    body = {"key": f"key-{number % 40}", "value": number, "note": "0123456789"}
    return json.dumps(body).encode()


async def plain(url: str, count: int) -> None:
    """Read all by `fetch` of nats-py, and parse the JSON."""
    import nats
    from nats.js.api import AckPolicy, ConsumerConfig

    client = await nats.connect(url)
    subscription = await client.jetstream().pull_subscribe(
        f"{STREAM}.in.*", stream=STREAM, config=ConsumerConfig(ack_policy=AckPolicy.NONE)
    )
    total = 0
    while total < count:
        found = await subscription.fetch(min(FETCH, count - total), timeout=10)
        total += len([json.loads(one.data) for one in found])
    await client.close()


def reader(url: str, count: int, model: str) -> None:
    """Read all as record batches in this process, as one task does."""
    from heimdall_reactive.dataflow.spark import HeimdallDataSource

    source = HeimdallDataSource({"servers": url, "stream": STREAM, "model": model})
    made = source.reader(source.schema())
    rows = sum(len(batch) for part in made.partitions() for batch in made.read(part))
    assert rows == count, rows


def stream(spark: Any, url: str, size: int, model: str, name: str = STREAM) -> tuple[int, float]:
    """Count and sum by key over a stream; return rows and seconds without the first batch."""
    return counted(
        spark, "heimdall", servers=url, stream=name, model=model, startingOffsets="earliest",
        partitions=2, maxRecordsPerBatch=size,
    )  # fmt: skip


def counted(spark: Any, kind: str, **options: Any) -> tuple[int, float]:
    """Do so over any source."""
    frame = spark.readStream.format(kind).options(**options).load()
    with tempfile.TemporaryDirectory() as folder:
        query = (
            frame.groupBy("key").agg({"*": "count", "value": "sum"})
            .writeStream.outputMode("complete").format("noop")
            .option("checkpointLocation", folder).trigger(availableNow=True).start()
        )  # fmt: skip
        query.awaitTermination()
        batches = [(one.numInputRows, one.durationMs) for one in query.recentProgress][1:]
    rows = sum(count for count, _ in batches)
    return rows, sum(took["triggerExecution"] for _, took in batches) / 1000


def tasks(url: str, size: int, model: str, name: str) -> int:
    """Read all as Spark has it read, batch by batch, but in this process; return the rows."""
    from pyspark.sql.streaming.datasource import ReadMaxRows

    from heimdall_reactive.dataflow.spark import HeimdallDataSource

    options = {"servers": url, "stream": name, "model": model, "startingOffsets": "earliest",
               "partitions": "2"}  # fmt: skip
    source = HeimdallDataSource(options)
    reader: Any = source.streamReader(source.schema())
    rows, start = 0, reader.initialOffset()
    while (end := reader.latestOffset(start, ReadMaxRows(size))) != start:
        for part in reader.partitions(start, end):
            rows += sum(len(batch) for batch in reader.read(part))
        start = end
    reader.stop()
    return rows


def session() -> Any:
    """Start Spark in this machine's two cores."""
    from pyspark.sql import SparkSession

    from heimdall_reactive.dataflow.spark import register

    from .spark_floor import FloorSource

    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    root = str(Path(__file__).parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join((root, os.environ.get("PYTHONPATH", "")))
    made = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "700m")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    made.sparkContext.setLogLevel("ERROR")
    register(made)
    made.dataSource.register(FloorSource)
    return made


def timed(count: int, work: Callable[[], Any]) -> float:
    """Return rows a second."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 20_000, 50_000])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    model = "tests.dataflow.spark_models:Tick"
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, NatsServer(Path(folder)) as server:
        url, count = server.url, given.messages
        asyncio.run(fill(url, count))
        spark = session()
        stream(spark, url, count // 2, model)  # Java compiles, processes start
        for _ in range(given.rounds):
            add = found.setdefault
            add("nats-py fetch", []).append(timed(count, lambda: asyncio.run(plain(url, count))))
            add("one task", []).append(timed(count, lambda: reader(url, count, model)))
            add("one task, json", []).append(timed(count, lambda: reader(url, count, "json")))
            for size in given.sizes:
                rows, seconds = stream(spark, url, size, model)
                add(f"Spark, {size} a batch", []).append(rows / seconds)
        spark.stop()
    print(f"nats-server {version()}, {count} messages, {given.rounds} rounds, rows a second")
    for name, rates in found.items():
        print(
            f"{name:28} {statistics.median(rates):>9,.0f}   {min(rates):,.0f} to {max(rates):,.0f}"
        )


if __name__ == "__main__":
    main()
