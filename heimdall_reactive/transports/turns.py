"""`Turn`: how long frames may take in one turn of an event loop, all its connections together."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Final

__all__ = ["turn"]

BUDGET: Final = 0.02  # seconds
SCRATCH: Final = 1 << 18  # bytes that are read at once, as many as asyncio's own transports read


class Turn(threading.local):
    """The turn that the event loop of this thread is in.

    The first connection that has much to read in a turn begins it. Where another one comes when
    the time is over, it handles a few frames and waits for the next turn.

    Attributes:
        scratch: what came last from any socket of this thread; its reader takes a copy at once.
    """

    def __init__(self) -> None:
        self.scratch = memoryview(bytearray(SCRATCH))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ends = 0.0

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count what is done from now on, unless that has begun in this turn."""
        if self._loop is not loop:
            self._loop = loop
            self._ends = time.perf_counter() + BUDGET
            loop.call_soon(self._end)

    def _end(self) -> None:
        self._loop = None

    def is_late(self) -> bool:
        """Return whether the turn has taken long enough."""
        return time.perf_counter() > self._ends


turn: Final = Turn()
