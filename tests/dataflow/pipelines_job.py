"""Runs the Spark side of every pipeline over one log, in a process of its own; prints the results.

Usage: python -m tests.dataflow.pipelines_job nats://127.0.0.1:4222
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession

from examples.pipelines import alerts, feeds, joins, sessions, windows
from heimdall_reactive.dataflow import Record, connect_log
from heimdall_reactive.dataflow.spark import register

from .spark_job import QUICK

DAYS: dict[str, Sequence[feeds.Event]] = {
    "ticks": feeds.ticks(),
    "orders": feeds.orders(),
    "payments": feeds.payments(),
    "statuses": feeds.statuses(),
    "readings": feeds.readings(),
}


async def fill(servers: str) -> None:
    """Write every day into one stream, each as a channel."""
    async with await connect_log(servers, "DAYS") as log:
        for channel, events in DAYS.items():
            for event in events:
                await log.publish(Record(channel, event.model_dump_json().encode(), str(event.id)))


def main(servers: str) -> None:
    """Fill the log, compute, and print."""
    asyncio.run(fill(servers))
    os.environ["PYSPARK_PYTHON"] = sys.executable  # else workers take the system's Python
    spark = (
        SparkSession.builder.master("local[2]")
        .config(map=dict(QUICK))
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "512m")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    register(spark)

    def frame(channel: str, model: type[feeds.Event]) -> DataFrame:
        source = spark.read.format("heimdall").option("servers", servers).option("stream", "DAYS")
        name = f"{model.__module__}:{model.__name__}"
        return source.option("channels", channel).option("model", name).load()

    results: dict[str, Sequence[tuple[object, ...]]] = {
        "windows": windows.in_spark(frame("ticks", feeds.Tick)),
        "joins": joins.in_spark(frame("orders", feeds.Order), frame("payments", feeds.Payment)),
        "sessions": sessions.in_spark(frame("statuses", feeds.UserStatus)),
        "alerts": alerts.in_spark(frame("readings", feeds.Reading)),
    }
    spark.stop()
    print(
        "RESULTS", json.dumps({name: sorted(map(as_text, rows)) for name, rows in results.items()})
    )


def as_text(row: tuple[object, ...]) -> str:
    """Return a result as text, the same from both sides."""
    return " ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row)


if __name__ == "__main__":
    main(sys.argv[1])
