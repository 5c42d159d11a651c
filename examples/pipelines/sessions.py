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
    messages: int


def visit(of: list[UserStatus]) -> Visit:
    """Sum a session up."""
    return Visit(of[0].user_id, of[0].at, of[-1].at, len(of))


def in_rx(store: WebSocketStore[UserStatus], quiet: float = 30.0) -> Observable[Visit]:
    """Tell a session when the user was quiet for so many seconds."""

    def user(message: UserStatus) -> str:
        return message.user_id

    def silent(group: Observable[UserStatus]) -> Observable[UserStatus]:
        return group.pipe(ops.debounce(quiet, scheduler=store.scheduler))

    def whole(group: Observable[UserStatus]) -> Observable[Visit]:
        return group.pipe(ops.to_list(), ops.map(visit))

    return store.messages.pipe(
        ops.group_by_until(
            user,
            None,
            silent,
        ),
        ops.flat_map(whole),
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
        print(f"{one.user}  {one.first:%H:%M:%S} to {one.last:%H:%M:%S}  {one.messages} messages")


if __name__ == "__main__":
    main()
