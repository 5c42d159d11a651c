"""Alerting with debounce: a temperature above the limit counts when it stays there for a while."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from reactivex import Observable
from reactivex import operators as ops

from heimdall_reactive import WebSocketStore

from .feeds import START, Reading, readings, replay

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Alert(NamedTuple):
    """The temperature was above the limit from `since` until the alert, without a break."""

    since: datetime
    at: datetime


def in_rx(
    store: WebSocketStore[Reading], limit: float = 70.0, patience: float = 5.0
) -> Observable[Alert]:
    """Tell an alert so many seconds after the limit was passed, unless it was cooler."""

    def hot(reading: Reading) -> bool:
        return reading.celsius > limit

    def alert(reading: Reading) -> Alert:
        return Alert(reading.at, reading.at + timedelta(seconds=patience))

    return store.messages.pipe(
        ops.distinct_until_changed(hot),
        ops.debounce(patience, scheduler=store.scheduler),
        ops.filter(hot),
        ops.map(alert),
    )


def in_spark(frame: DataFrame, limit: float = 70.0, patience: float = 5.0) -> list[Alert]:
    """Compute the same over the log: the changes, and how long each of them lasted."""
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    in_order = Window.partitionBy("sensor").orderBy("at")
    hot = frame.select("sensor", "at", (f.col("celsius") > limit).alias("hot"))
    before = f.lag("hot").over(in_order)
    changes = hot.withColumn("before", before)
    changes = changes.where(f.col("before").isNull() | (f.col("before") != f.col("hot")))
    until = f.lead("at").over(in_order)
    lasted = until.cast("double") - f.col("at").cast("double")
    held = f.coalesce(lasted >= patience, f.lit(True))
    rows: list[Any] = changes.withColumn("held", held).where("hot and held").select("at").collect()
    since = [row[0].replace(tzinfo=START.tzinfo) for row in rows]
    return [Alert(at, at + timedelta(seconds=patience)) for at in since]


def main() -> None:
    """Show the alerts."""
    for one in replay(in_rx, readings()):
        print(f"above 70 °C since {one.since:%H:%M:%S}, alert at {one.at:%H:%M:%S}")


if __name__ == "__main__":
    main()
