"""Join of two stores: orders with the payment that came within thirty seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import reactivex
from reactivex import Observable
from reactivex import operators as ops

from heimdall_reactive import WebSocketStore

from .feeds import Order, Payment, orders, payments, replay

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Paid(NamedTuple):
    """An order and its payment."""

    order: str
    amount: float
    after: float  # seconds


def in_rx(
    left: WebSocketStore[Order], right: WebSocketStore[Payment], within: float = 30.0
) -> Observable[Paid]:
    """Tell a paid order when the payment comes; an order is remembered for so many seconds."""

    def remembered(_: Order) -> Observable[Any]:
        return reactivex.timer(within, scheduler=left.scheduler)

    def at_once(_: Payment) -> Observable[Any]:
        return reactivex.empty()

    def fits(pair: tuple[Order, Payment]) -> bool:
        return pair[0].order == pair[1].order

    def paid(pair: tuple[Order, Payment]) -> Paid:
        order, payment = pair
        after = round((payment.at - order.at).total_seconds(), 3)
        return Paid(order.order, payment.amount, after)

    return left.messages.pipe(
        ops.join(right.messages, remembered, at_once),
        ops.filter(fits),
        ops.map(paid),
    )


def in_spark(left: DataFrame, right: DataFrame, within: float = 30.0) -> list[Paid]:
    """Compute the same over the log."""
    from pyspark.sql import functions as f

    ordered, paid = left.alias("o"), right.alias("p")
    after = f.col("p.at").cast("double") - f.col("o.at").cast("double")
    rows = (
        ordered.join(paid, f.col("o.order") == f.col("p.order"))
        .select("o.order", "amount", f.round(after, 3).alias("after"))
        .where(f.col("after").between(0.0, within))
        .collect()
    )
    return [Paid(*row) for row in rows]


def main() -> None:
    """Show the first paid orders."""
    for one in replay(in_rx, orders(), payments())[:9]:
        print(f"{one.order:4}  {one.amount:6.2f}  after {one.after:6.3f} s")


if __name__ == "__main__":
    main()
