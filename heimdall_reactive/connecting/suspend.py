"""`SuspendWatch`: notices that the machine has slept, or that its wall clock was set."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

__all__ = ["SuspendWatch", "suspend_watch"]

Clock: TypeAlias = Callable[[asyncio.AbstractEventLoop], float]

TICK: Final = 1.0  # seconds between two looks; one timer an event loop, for all its stores
JUMP: Final = 3.0  # seconds that the clock must be ahead; smaller steps are corrections of it
STEP: Final = 1.0  # seconds by which the wall clock must be set; smaller ones are corrections of it


class SuspendWatch:
    """Compares a clock with the event loop's, which stands still in sleep.

    While somebody watches there is one timer; a jump calls everybody.

    Args:
        loop: the event loop; it is kept only while a timer is set.
        wall: returns seconds since the epoch by the clock of a loop.
        elapsed: returns seconds that no step of that clock changes, those of a sleep included.
            Where it is that clock itself, a step ahead looks like a sleep.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, wall: Clock, elapsed: Clock) -> None:
        self._loop = weakref.ref(loop)
        self._wall = wall
        self._elapsed = elapsed
        self._watchers: set[Callable[[float], None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._ahead = self._began = 0.0

    def add(self, on_wake: Callable[[float], None]) -> None:
        """Call a function with its seconds after each sleep, and with 0 after the clock was set.

        A second time does nothing.
        """
        self._watchers.add(on_wake)
        if self._timer is None:
            self._ahead, self._began = self._now_ahead(), self._now_began()
            self._timer = self._here().call_later(TICK, self._look)

    def remove(self, on_wake: Callable[[float], None]) -> None:
        """Call it no more; the last to leave ends the timer."""
        self._watchers.discard(on_wake)
        if not self._watchers and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def slept(self) -> float:
        """Seconds of a sleep that nobody was notified of yet, 0 without one."""
        jump = self._now_ahead() - self._ahead
        return jump if jump > JUMP else 0.0

    def _look(self) -> None:
        self._timer = self._here().call_later(TICK, self._look)
        slept, self._ahead = self.slept, self._now_ahead()
        stepped, self._began = abs(self._now_began() - self._began) > STEP, self._now_began()
        if slept or stepped:
            for on_wake in tuple(self._watchers):
                on_wake(slept)

    def _here(self) -> asyncio.AbstractEventLoop:
        loop = self._loop()
        assert loop is not None  # every call comes on its thread
        return loop

    def _now_ahead(self) -> float:
        loop = self._here()
        return self._elapsed(loop) - loop.time()

    def _now_began(self) -> float:
        loop = self._here()
        return self._wall(loop) - self._elapsed(loop)


_watches: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, SuspendWatch]] = WeakKeyDictionary()


def suspend_watch(
    loop: asyncio.AbstractEventLoop, wall: Clock, elapsed: Clock | None = None
) -> SuspendWatch:
    """Return the watch of an event loop; called on its thread.

    Args:
        loop: the event loop.
        wall: as for `SuspendWatch`.
        elapsed: as for `SuspendWatch`; None takes the wall clock.
    """
    found = _watches.get(loop)
    if found is None:
        # Not the keys themselves: another thread may add its own.
        for other in [known() for known in _watches.keyrefs()]:
            if other is not None and other.is_closed():  # with a timer that would keep it
                _watches.pop(other, None)
        found = _watches[loop] = SuspendWatch(loop, wall, elapsed or wall)
    return found
