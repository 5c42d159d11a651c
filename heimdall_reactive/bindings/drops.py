"""What had no room in a binding, reported in the log."""

from __future__ import annotations

import logging
from typing import Any, Final

from reactivex import Observable

from heimdall_reactive.base.printable import count_of
from heimdall_reactive.consuming.buffers import Buffer
from heimdall_reactive.reactive.values import is_told

__all__ = ["Drops", "name_of"]

logger: Final = logging.getLogger("heimdall_reactive")


def name_of(source: Observable[Any]) -> str:
    """Return the name of a store's subject, or what kind of observable it is."""
    name: str = getattr(source, "_name", type(source).__name__)
    return name


class Drops:
    """Reports the 1st, 2nd, 4th ... burst of values that had no room, in the log.

    Args:
        what: a binding, or what else has the buffer.
        advice: what to do besides raising `buffer`.
    """

    __slots__ = ("_advice", "_burst", "_what")

    def __init__(self, what: str, advice: str) -> None:
        self._what, self._advice = what, advice
        self._burst = 0  # that was not reported

    def note(self, buffer: Buffer[Any], burst: int) -> None:
        """Remember a burst; the lock of the buffer is held, and the log belongs to the user."""
        if is_told(burst):
            self._burst = burst

    def report(self, buffer: Buffer[Any], source: Observable[Any]) -> None:
        """Report what was remembered; the lock is not held."""
        burst, self._burst = self._burst, 0
        if burst:
            logger.warning(
                "%s of %s is too slow: %s dropped so far; raise buffer=%d, %s",
                self._what, name_of(source), count_of(buffer.dropped, "value"), buffer.maxsize,
                self._advice,
                extra={
                    "event": "overflow", "details": {"dropped": buffer.dropped, "count": burst}
                },
            )  # fmt: skip
