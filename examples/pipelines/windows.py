"""Windowed aggregation: count, sum and highest price of each symbol in every ten seconds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from reactivex import Observable
from reactivex import operators as ops

from heimdall_reactive import WebSocketStore

from .feeds import START, Tick, replay, ticks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Bar(NamedTuple):
    """One symbol in one window."""

    start: datetime
    symbol: str
    trades: int
    total: float
    highest: float


def bar(of: list[Tick], seconds: float) -> Bar:
    """Sum trades of one symbol and window up."""
    number = of[0].seconds // seconds
    prices = [tick.price for tick in of]
    start = START + timedelta(seconds=number * seconds)
    return Bar(start, of[0].symbol, len(prices), sum(prices), max(prices))


def in_rx(store: WebSocketStore[Tick], seconds: float = 10.0) -> Observable[Bar]:
    """Tell the bars of a window when it is over."""

    def one(group: Observable[Tick]) -> Observable[list[Tick]]:
        return group.pipe(ops.to_list())

    def summed(of: list[Tick]) -> Bar:
        return bar(of, seconds)

    def bars(window: Observable[Tick]) -> Observable[Bar]:
        return window.pipe(
            ops.group_by(lambda tick: tick.symbol), ops.flat_map(one), ops.map(summed)
        )

    return store.messages.pipe(
        ops.window_with_time(seconds, scheduler=store.scheduler), ops.flat_map(bars)
    )


def in_spark(frame: DataFrame, seconds: float = 10.0) -> list[Bar]:
    """Compute the same over the log."""
    from pyspark.sql import functions as f

    grouped = frame.groupBy(f.window("at", f"{seconds} seconds").alias("w"), "symbol").agg(
        f.count("*").alias("count"), f.sum("price").alias("total"), f.max("price").alias("highest")
    )
    rows: list[Any] = grouped.select("w.start", "symbol", "count", "total", "highest").collect()
    return [Bar(row[0].replace(tzinfo=START.tzinfo), *row[1:]) for row in rows]


def main() -> None:
    """Show the first bars."""
    for one in replay(in_rx, ticks())[:9]:
        print(
            f"{one.start:%H:%M:%S}  {one.symbol}  {one.trades:3}  {one.total:8.2f}  {one.highest}"
        )


if __name__ == "__main__":
    main()
