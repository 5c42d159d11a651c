"""Sessionisation: messages about one user belong together until he was quiet for half a minute."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from reactivex import Observable
from reactivex import operators as ops

from heimdall_reactive import WebSocketStore

from .feeds import START, UserStatus, replay, statuses

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Visit(NamedTuple):
    """One session of a user."""

    user: str
    first: datetime
    last: datetime
    count: int


def visit(of: list[UserStatus]) -> Visit:
    """Sum a session up."""
    return Visit(of[0].user_id, of[0].at, of[-1].at, len(of))


def in_rx(store: WebSocketStore[UserStatus], quiet: float = 30.0) -> Observable[Visit]:
    """Tell a session when the user was quiet for so many seconds."""
    return store.messages.pipe(
        ops.group_by_until(
            lambda message: message.user_id,
            None,
            lambda group: group.pipe(ops.debounce(quiet, scheduler=store.scheduler)),
        ),
        ops.flat_map(lambda group: group.pipe(ops.to_list(), ops.map(visit))),
    )


def in_spark(frame: DataFrame, quiet: float = 30.0) -> list[Visit]:
    """Compute the same over the log."""
    from pyspark.sql import functions as f

    rows: list[Any] = (
        frame.groupBy(f.session_window("at", f"{quiet} seconds"), "user_id")
        .agg(f.min("at"), f.max("at"), f.count("*"))
        .drop("session_window")
        .collect()
    )
    zone = START.tzinfo
    return [Visit(u, a.replace(tzinfo=zone), b.replace(tzinfo=zone), n) for u, a, b, n in rows]


def main() -> None:
    """Show the first sessions."""
    for one in replay(in_rx, statuses())[:9]:
        print(f"{one.user}  {one.first:%H:%M:%S} to {one.last:%H:%M:%S}  {one.count} messages")


if __name__ == "__main__":
    main()
