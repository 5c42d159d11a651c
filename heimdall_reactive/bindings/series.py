"""`window`: the last stretch of a series with no more points than a plot shows."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from reactivex import Observable

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.printable import count_of

from .gathering import Gathered
from .options import check_functions

__all__ = ["Series", "Window", "window"]

T = TypeVar("T")

BREAK = math.nan  # as `y`: what plots take for the end of a line


class Series(NamedTuple):
    """The points of a plot, in order of time.

    Attributes:
        x: times, in seconds since the epoch, or what `at` returns.
        y: values; NaN where the line is broken, with `gap`.
    """

    x: list[float]
    y: list[float]


def _itself(value: Any) -> Any:
    return value


def window(
    source: Observable[T],
    seconds: float,
    max_points: int = 1000,
    *,
    value: Callable[[T], float | None] = _itself,
    at: Callable[[T], float] | None = None,
    gap: float | None = None,
) -> Window[T]:
    """Keep the last seconds of a series from now on; `bind` it to a plot.

    Time is divided into equal parts, and of each the lowest and the highest value are kept: a peak
    is never lost, a part that has passed never changes its looks, and an hour at a thousand values
    a second takes as much memory as a minute does.

    Args:
        source: a subject of a store, or any observable.
        seconds: how much is kept, up to the newest point.
        max_points: points that a plot gets at most, such as twice its width in pixels.
        value: what of a value is plotted; None leaves it out, and so does NaN. What is not a
            number is left out, too, counted in `refused`, and reported once.
        at: its time, which must not go back; None is when it came.
        gap: seconds. Where nothing came for longer, as in an outage, the line is broken: by a point
            whose `y` is NaN, beyond `max_points`. None never breaks it.

    Raises:
        ConfigurationError: `seconds` or `gap` is not more than 0, or `max_points` less than 8.
        TypeError: the source is not an observable, `value` or `at` not a function.
    """
    check_functions(value=value, at=at or value)
    if not seconds > 0 or max_points < 8:
        raise ConfigurationError(
            f"a window needs more than 0 seconds and 8 points or more, not {seconds}, {max_points}"
        )
    if gap is not None and not gap > 0:
        raise ConfigurationError(f"gap= must be more than 0 seconds, not {gap!r}")
    return Window(source, seconds, max_points, value, at, math.inf if gap is None else gap)


class Stretch:
    """The lowest and the highest point of one part of the time, and whether a gap is before it."""

    __slots__ = ("gap", "high", "low", "number")

    def __init__(self, number: int, point: tuple[float, float], gap: float | None) -> None:
        self.number = number
        self.gap = gap  # when its middle was
        self.low = self.high = point

    def in_order(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return both points, the earlier one first."""
        return (self.low, self.high) if self.low[0] <= self.high[0] else (self.high, self.low)


class Window(Gathered[T, Series]):
    """The last stretch of a series; made by `window`.

    Attributes:
        refused: values that are not numbers.
    """

    _what = "window"

    def __init__(
        self,
        source: Observable[T],
        seconds: float,
        max_points: int,
        value: Callable[[T], float | None],
        at: Callable[[T], float] | None,
        gap: float,
    ) -> None:
        self.refused = 0
        self._value = value
        self._at = at
        self._gap = gap
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
                    if points and part.gap is not None:
                        points.append((part.gap, BREAK))
                    # Mostly a part has one: to sort a set of two took three times as long.
                    points += (part.low,) if part.low is part.high else part.in_order()
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
        if y is None or not self._is_number(y):
            return None
        x = self._began + time.monotonic() if self._at is None else self._at(value)
        before = self._newest[0]
        x = max(x, before)
        point = self._newest = (x, y)
        self._shown = None
        number = math.floor(x / self._width)
        parts = self._parts
        if not parts or number > parts[-1].number:
            gap = (before + x) / 2 if x - before > self._gap else None
            parts.append(Stretch(number, point, gap))
            while parts[0].number < number - self._count:
                parts.popleft()
        elif y < parts[-1].low[1]:
            parts[-1].low = point
        elif y > parts[-1].high[1]:
            parts[-1].high = point
        return Series([x], [y])

    def _is_number(self, y: Any) -> bool:
        """Return whether a value can be plotted.

        Raises:
            ConfigurationError: for the first that is not a number.
        """
        try:
            return not math.isnan(y)
        except TypeError:
            self.refused += 1
            if self.refused > 1:
                return False
        ask = "value= of window() has to return a number"
        if self._value is _itself:
            ask = (
                "give window() a value= that returns a number of it, such as "
                "value=lambda message: message['price']"
            )
        raise ConfigurationError(
            f"a {type(y).__name__} cannot be plotted: {ask}, or None for what is to be left out"
        )

    def _taker(self) -> Callable[[], Series]:
        return lambda: self.value
