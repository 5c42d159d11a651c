"""`window`: the last stretch of a series with no more points than a plot shows."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from reactivex import Observable

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.glance import count_of, glance

from .gathering import Gathered

__all__ = ["Series", "Window", "window"]

T = TypeVar("T")


class Series(NamedTuple):
    """The points of a plot, in order of time.

    Attributes:
        x: times, in seconds since the epoch, or what `at` returns.
        y: values.
    """

    x: list[float]
    y: list[float]


def window(
    source: Observable[T],
    seconds: float,
    max_points: int = 1000,
    *,
    value: Callable[[T], float | None] = lambda value: value,  # type: ignore[assignment,return-value]
    at: Callable[[T], float] | None = None,
) -> Window[T]:
    """Keep the last seconds of a series from now on; `bind` it to a plot.

    Time is divided into equal parts, and of each the lowest and the highest value are kept: a peak
    is never lost, a part that has passed never changes its looks, and an hour at a thousand values
    a second takes as much memory as a minute does.

    Args:
        source: a subject of a store, or any observable.
        seconds: how much is kept, up to the newest point.
        max_points: points that a plot gets at the most, such as twice its width in pixels.
        value: what of a value is plotted; None leaves it out, and so does NaN.
        at: its time, which must not go back; None is when it came.

    Raises:
        ConfigurationError: `seconds` is not more than 0, or `max_points` less than 8.
    """
    if not seconds > 0 or max_points < 8:
        raise ConfigurationError(
            f"a window needs more than 0 seconds and 8 points or more, not {seconds}, {max_points}"
        )
    return Window(source, seconds, max_points, value, at)


class Stretch:
    """The lowest and the highest point of one part of the time, and when they were."""

    __slots__ = ("high", "low", "number")

    def __init__(self, number: int, point: tuple[float, float]) -> None:
        self.number = number
        self.low = self.high = point


class Window(Gathered[T, Series]):
    """The last stretch of a series; made by `window`."""

    def __init__(
        self,
        source: Observable[T],
        seconds: float,
        max_points: int,
        value: Callable[[T], float | None],
        at: Callable[[T], float] | None,
    ) -> None:
        self._value = value
        self._at = at
        # Two points for each part, the one that leaves included, and the newest.
        self._count = (max_points - 3) // 2
        self._width = seconds / self._count
        self._parts: deque[Stretch] = deque(maxlen=self._count + 1)
        self._newest = (-math.inf, 0.0)
        self._shown: Series | None = None
        self._began = time.time() - time.monotonic()  # a clock that is set must not bend a plot
        super().__init__(source)

    @property
    def value(self) -> Series:
        """The points as they are now, the same object while there is none more; from any thread."""
        with self._lock:
            if self._shown is None:
                points: list[tuple[float, float]] = []
                for part in self._parts:
                    points += sorted({part.low, part.high})
                if points and points[-1] != self._newest:
                    points.append(self._newest)
                self._shown = Series([x for x, _ in points], [y for _, y in points])
            return self._shown

    def __repr__(self) -> str:
        seconds, (x, y) = self._width * self._count, self._newest
        newest = f", newest {y:g}" if math.isfinite(x) else ""
        return glance(self, f"of {seconds:g} s: {count_of(len(self.value.x), 'point')}{newest}")

    def _add(self, value: T) -> Series | None:
        y: Any = self._value(value)
        if y is None or math.isnan(y):
            return None
        x = self._began + time.monotonic() if self._at is None else self._at(value)
        x = max(x, self._newest[0])
        point = self._newest = (x, y)
        self._shown = None
        number = math.floor(x / self._width)
        parts = self._parts
        if not parts or number > parts[-1].number:
            parts.append(Stretch(number, point))
            while parts[0].number < number - self._count:
                parts.popleft()
        elif y < parts[-1].low[1]:
            parts[-1].low = point
        elif y > parts[-1].high[1]:
            parts[-1].high = point
        return Series([x], [y])

    def _taker(self) -> Callable[[], Series]:
        return lambda: self.value
