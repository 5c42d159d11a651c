"""`Turn`: how long frames may take in one turn of an event loop, all its connections together."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["turn"]

BUDGET: Final = 0.02  # seconds
LOOK: Final = 7  # every eighth connection: whether the turn has taken long enough
SHARES: Final = 10  # connections among which the time is divided; of more, some get theirs later
SCRATCH: Final = 1 << 18  # bytes that are read at once, as many as asyncio's own transports read


class Waiting:
    """Those who go on in a later turn of an event loop, in their order; the loop keeps this.

    Args:
        loop: the event loop.
    """

    __slots__ = ("__weakref__", "calls", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.calls: deque[Callable[[], None]] = deque()


class Turn(threading.local):
    """The turn that the event loop of this thread is in.

    The first connection that has much to read in a turn begins it. Where another one comes when
    the time is over, it handles a few frames and waits for a later turn. Those who wait go on in
    their order, as many in a turn as there is time for: with a few frames of each in every turn,
    2,000 connections at once took 1.4 us a message more.

    Attributes:
        scratch: what came last from any socket of this thread; its reader takes a copy at once.
    """

    def __init__(self) -> None:
        self.scratch = memoryview(bytearray(SCRATCH))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looked = self._ends = 0.0
        self._until = 0.0  # of the one that goes on
        self._waiting: Callable[[], Waiting | None] = lambda: None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count what is done from now on, unless that has begun in this turn."""
        if self._loop is not loop:
            self._loop = loop
            self._looked = time.perf_counter()
            self._ends = self._until = self._looked + BUDGET
            loop.call_soon(self._end)

    def _end(self) -> None:
        self._loop = None

    def is_late(self) -> bool:
        """Return whether the turn has taken long enough."""
        self._looked = time.perf_counter()
        return self._looked > self._until

    def wait(self, loop: asyncio.AbstractEventLoop, go_on: Callable[[], None]) -> None:
        """Have a connection go on in a later turn, behind those who wait already."""
        waiting = self._waiting()
        if waiting is None or waiting.loop is not loop:  # the one before may go on some time
            waiting = Waiting(loop)
            self._waiting = weakref.ref(waiting)
            loop.call_soon(self._go_on, waiting)
        waiting.calls.append(go_on)

    def _go_on(self, waiting: Waiting) -> None:
        loop, calls = waiting.loop, waiting.calls
        self.begin(loop)
        share = BUDGET / min(len(calls) + 1, SHARES)  # one for what they do between two looks
        try:
            for number in range(len(calls)):
                if number & LOOK == LOOK:  # those before may have had little, and not looked
                    self.is_late()
                if self._looked > self._ends:
                    break
                self._until = min(self._ends, self._looked + share)
                calls.popleft()()
        finally:  # also after an interruption
            self._until = self._ends
            if calls:
                loop.call_soon(self._go_on, waiting)
            elif self._waiting() is waiting:
                self._waiting = lambda: None


turn: Final = Turn()
