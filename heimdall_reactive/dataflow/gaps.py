"""`Missed`: messages that never reached the log, as a record with its bounds. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

from .records import Record

__all__ = ["Missed", "Reason", "holes"]

Reason: TypeAlias = Literal["reconnect", "restart", "overflow", "skipped", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """What is missing in a channel, and between what.

    Where the ids are `consecutive`, the log itself was read before this was written: these ids are
    in it from no copy. Else it tells what *one* copy missed; a redundant copy may have had it, and
    `count` is None.

    Attributes:
        channel: where it is missing.
        reason: `reconnect` (the connection was lost), `restart` (no copy was there), `overflow`
            (dropped because the log or this program was too slow), `skipped` (the server left
            ids out), `refused` (the log does not take it, as for its size).
        since: seconds since the epoch: the last sign of life before.
        until: seconds since the epoch: when messages came again.
        after: id of the last message before, empty where unknown.
        before: id of the first message after, empty where unknown.
        count: how many are missing, None where nobody can know.
        copy: name of the ingest that noticed.
    """

    channel: str
    reason: Reason
    since: float
    until: float
    after: str = ""
    before: str = ""
    count: int | None = None
    copy: str = ""

    def record(self) -> Record:
        """Return the record of it; copies that notice the same make the same record once."""
        fields = asdict(self)
        fields.pop("channel")
        # With a count it is a fact about the log, else about one copy.
        own = f"{self.after}..{self.before}"
        if self.count is None:
            own = f"{self.copy}.{self.since:.6f}.{own}"
        data = json.dumps(fields).encode()
        return Record(self.channel, data, own, "gap", received=self.until)

    @classmethod
    def of(cls, record: Record) -> Missed:
        """Return what a record of kind `gap` tells.

        Raises:
            ValueError: it tells nothing of this kind.
        """
        fields: Any = record.json()
        try:
            return cls(channel=record.channel, **fields)
        except TypeError:
            raise ValueError("no record of a gap") from None

    def split(self, runs: Iterable[tuple[int, int]]) -> Iterator[Missed]:
        """Yield one for each run of ids, first and last, that is really missing."""
        for first, last in runs:
            yield replace(self, after=str(first - 1), before=str(last + 1), count=last - first + 1)


def holes(first: int, last: int, present: Iterable[int]) -> list[tuple[int, int]]:
    """Return the runs of numbers, first and last of each, that are missing in a range.

    Args:
        first: of the range.
        last: of the range; it belongs to it.
        present: what is there, in any order, with repeats and numbers outside of the range.
    """
    found: list[tuple[int, int]] = []
    at = first
    for number in sorted({n for n in present if first <= n <= last}):
        if number > at:
            found.append((at, number - 1))
        at = number + 1
    if at <= last:
        found.append((at, last))
    return found
