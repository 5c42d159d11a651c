"""`Pace`: at most so many sends in so many seconds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["Pace"]

SLACK: Final = 0.001  # seconds; a timer may come a little early by the clock


class Pace:
    """The option `send_rate` for one session: a window that slides over its last sends.

    Args:
        rate: how many sends, in how many seconds.
        loop: the event loop.
    """

    def __init__(self, rate: tuple[int, float], loop: asyncio.AbstractEventLoop) -> None:
        self._most, self._seconds = rate
        self._loop = loop
        self._sent: deque[float] = deque(maxlen=self._most)
        self._timer: asyncio.TimerHandle | None = None

    def allows(self, again: Callable[[], None]) -> bool:
        """Return whether the next send may go now.

        Args:
            again: is called as soon as one may go, where none may now.
        """
        if len(self._sent) < self._most:
            return True
        wait = self._sent[0] + self._seconds - self._loop.time()
        if wait <= SLACK:
            return True
        if self._timer is None:
            self._timer = self._loop.call_later(wait, self._retry, again)
        return False

    def count(self) -> None:
        """Count a send of now."""
        self._sent.append(self._loop.time())

    def stop(self) -> None:
        """End the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _retry(self, again: Callable[[], None]) -> None:
        self._timer = None
        again()
