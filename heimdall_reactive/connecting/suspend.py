"""`SuspendWatch`: notices that the machine has slept, by a wall clock that ran on without us."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

__all__ = ["SuspendWatch", "suspend_watch"]

Wall: TypeAlias = Callable[[asyncio.AbstractEventLoop], float]

TICK: Final = 1.0  # seconds between two looks; one timer an event loop, for all its stores
JUMP: Final = 3.0  # seconds that the wall clock must be ahead; smaller steps are corrections of it


class SuspendWatch:
    """Compares the wall clock with the event loop's clock, which stands still in sleep.

    While somebody watches there is one timer; a jump calls everybody.

    Args:
        loop: the event loop; it is kept only while a timer is set.
        wall: returns seconds since the epoch by the clock of a loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, wall: Wall) -> None:
        self._loop = weakref.ref(loop)
        self._wall = wall
        self._watchers: set[Callable[[float], None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._ahead = 0.0

    def add(self, on_wake: Callable[[float], None]) -> None:
        """Call a function with its seconds after each sleep; a second time does nothing."""
        self._watchers.add(on_wake)
        if self._timer is None:
            self._ahead = self._now_ahead()
            self._timer = self._here().call_later(TICK, self._look)

    def remove(self, on_wake: Callable[[float], None]) -> None:
        """Call it no more; the last to leave ends the timer."""
        self._watchers.discard(on_wake)
        if not self._watchers and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def slept(self) -> float:
        """Seconds of a sleep that nobody was told of yet, 0 without one."""
        jump = self._now_ahead() - self._ahead
        return jump if jump > JUMP else 0.0

    def _look(self) -> None:
        self._timer = self._here().call_later(TICK, self._look)
        slept, self._ahead = self.slept, self._now_ahead()
        if slept:
            for on_wake in tuple(self._watchers):
                on_wake(slept)

    def _here(self) -> asyncio.AbstractEventLoop:
        loop = self._loop()
        assert loop is not None  # every call comes on its thread
        return loop

    def _now_ahead(self) -> float:
        loop = self._here()
        return self._wall(loop) - loop.time()


_watches: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, SuspendWatch]] = WeakKeyDictionary()


def suspend_watch(loop: asyncio.AbstractEventLoop, wall: Wall) -> SuspendWatch:
    """Return the suspend_watch of an event loop; called on its thread."""
    found = _watches.get(loop)
    if found is None:
        # Not the keys themselves: another thread may add its own.
        for other in [known() for known in _watches.keyrefs()]:
            if other is not None and other.is_closed():  # with a timer that would keep it
                _watches.pop(other, None)
        found = _watches[loop] = SuspendWatch(loop, wall)
    return found
