"""`Meter`: the message rate and the latency of a connection over the last minute. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median
from typing import Final, NamedTuple

__all__ = ["WINDOW", "Meter", "Point", "outlier"]

WINDOW: Final = 60.0  # seconds that are shown
PERIOD: Final = 1.0  # seconds that a rate is the mean of
FAR: Final = 10.0  # times the median from which on a latency is marked


class Point(NamedTuple):
    """What was measured at a time.

    Attributes:
        at: seconds on a clock that only goes forward.
        rate: messages a second.
        latency: seconds of the newest ping, None without a connection.
    """

    at: float
    rate: float
    latency: float | None


class Meter:
    """Makes points of a counter that is looked at again and again.

    Attributes:
        points: of the last 60 s, the oldest first.
    """

    def __init__(self) -> None:
        self.points: deque[Point] = deque()
        self._seen: deque[tuple[float, int]] = deque()

    @property
    def rate(self) -> float:
        """The newest rate."""
        return self.points[-1].rate if self.points else 0.0

    def look(self, at: float, received: int, latency: float | None) -> None:
        """Handle a point.

        Args:
            at: later than the time before.
            received: messages since the beginning.
            latency: seconds.
        """
        self._seen.append((at, received))
        while len(self._seen) > 2 and self._seen[1][0] <= at - PERIOD:
            self._seen.popleft()
        since, before = self._seen[0]
        rate = (received - before) / (at - since) if at > since else 0.0
        self.points.append(Point(at, rate, latency))
        while self.points[0].at < at - WINDOW:
            self.points.popleft()


def outlier(points: Iterable[Point]) -> Point | None:
    """Return the point of the highest latency, where it is ten times the median and more."""
    known = [point for point in points if point.latency is not None]
    if not known:
        return None
    highest = max(known, key=lambda point: point.latency or 0.0)
    usual = median(point.latency or 0.0 for point in known)
    return highest if (highest.latency or 0.0) >= FAR * usual > 0 else None
