"""`GapTracker`: what was last seen in each channel, and what is missing behind it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from .feeds import Feed, Taken
from .gaps import Missed, Reason

__all__ = ["GAP_PATIENCE", "MOST", "GapTracker", "Known"]

MOST: Final = 100_000  # channels that are known at a time: of a pattern, the server names them
GAP_PATIENCE: Final = 5.0  # seconds a gap waits for the message after it, to tell its id


class Known(NamedTuple):
    """The last message of a channel that an earlier reader handled: its id, and when it came."""

    id: str
    received: float


@dataclass(slots=True)
class _Break:
    """Something may be missing before the next message of a channel."""

    reason: Reason
    since: float
    until: float | None  # None: until the next message
    noticed: float


@dataclass(slots=True)
class _Track:
    last: Known | None = None
    broken: _Break | None = None


class GapTracker:
    """The channels of a feed.

    Args:
        feed: whose channels they are.
        known: what an earlier reader handled last.
        copy: name of this copy, for the gaps.
    """

    def __init__(self, feed: Feed, known: Mapping[str, Known], copy: str) -> None:
        self._feed = feed
        self._copy = copy
        self._all = {name: _Track() for name in feed.names}
        for name, last in known.items():
            self._all[name] = _Track(last, _Break("restart", last.received, None, float("inf")))

    def mark(self, reason: Reason, since: float | None, until: float, now: float) -> None:
        """Note for every channel that something may be missing before its next message.

        Args:
            reason: why.
            since: seconds since the epoch; None is that of the last message.
            until: seconds since the epoch.
            now: seconds of any clock, the same as for `late`.
        """
        for track in self._all.values():
            begin = since
            if begin is None:
                begin = track.last.received if track.last else until
            if track.broken is not None:  # two in a row are one
                reason, begin = track.broken.reason, min(begin, track.broken.since)
            track.broken = _Break(reason, begin, until, now)

    def next(self, taken: Taken, received: float) -> Missed | None:
        """Handle the next message of a channel; return what is missing before it.

        Args:
            taken: the message.
            received: when it came, in seconds since the epoch.
        """
        track = self._all.setdefault(taken.channel, _Track())
        if len(self._all) > MOST:  # a server that makes up names may not fill the memory
            self._all.pop(next(name for name in self._all if name not in self._feed.names))
        last, broken = track.last, track.broken
        track.last, track.broken = Known(taken.id or "", received), None
        after, before = last.id if last else "", taken.id or ""
        count: int | None = None
        if self._feed.consecutive:
            count = _between(after, before)
            if not count:
                return None
        elif broken is None or (self._replayed and broken.reason != "overflow"):
            return None
        if broken is None:
            broken = _Break("skipped", last.received if last else received, received, 0.0)
        return self._missed(taken.channel, broken, received, after, before, count)

    def late(self, before: float) -> list[Missed]:
        """Return the gaps of quiet channels, noticed before a time: nothing came behind them."""
        if self._feed.consecutive or self._replayed:
            return []  # the next id tells, or the server has filled them
        found: list[Missed] = []
        for channel, track in self._all.items():
            if track.broken is None or track.broken.noticed > before:
                continue
            broken, track.broken = track.broken, None
            after = track.last.id if track.last else ""
            found.append(self._missed(channel, broken, 0.0, after, "", None))
        return found

    @property
    def _replayed(self) -> bool:
        return self._feed.resume is not None

    def _missed(
        self, channel: str, broken: _Break, until: float, after: str, before: str, count: int | None
    ) -> Missed:
        return Missed(
            channel=channel, reason=broken.reason, since=broken.since,
            until=until if broken.until is None else broken.until,
            after=after, before=before, count=count, copy=self._copy,
        )  # fmt: skip


def _between(after: str, before: str) -> int:
    """Return how many whole numbers are between two ids; 0 where they are none."""
    try:
        return max(0, int(before) - int(after) - 1)
    except ValueError:
        return 0
