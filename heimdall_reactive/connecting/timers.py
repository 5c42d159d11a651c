"""`Timers`: when the next attempt starts, and the watch that notices a suspended machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .runtime import Runtime, elapsed_of, wall_of
from .suspend import SuspendWatch, suspend_watch

__all__ = ["Timers"]


class Timers:
    """The next attempt, and who is notified of a sleep of the machine.

    Args:
        runtime: the event loop.
        on_wake: called with the seconds that the machine has slept; with 0 where its clock was
            set.
    """

    __slots__ = ("_on_wake", "_retry", "_runtime")

    def __init__(self, runtime: Runtime, on_wake: Callable[[float], None]) -> None:
        self._runtime = runtime
        self._on_wake = on_wake
        self._retry: asyncio.TimerHandle | None = None

    @property
    def slept(self) -> float:
        """How many seconds the machine has slept since the last look."""
        return self._watch().slept

    def retry(self, delay: float, call: Callable[[], None]) -> None:
        """Have an attempt started in some seconds, in place of the one that is waited for."""
        if self._retry is not None:
            self._retry.cancel()
        self._retry = self._runtime.loop.call_later(delay, call)
        self.watch()

    def watch(self) -> None:
        """Be notified of a sleep from now on."""
        self._watch().add(self._on_wake)

    def cancel(self) -> None:
        """Wait for nothing any more."""
        self._watch().remove(self._on_wake)
        if self._retry is not None:
            self._retry.cancel()
        self.forget()

    def forget(self) -> None:
        """Leave the timer to an event loop that is closed."""
        self._retry = None

    def _watch(self) -> SuspendWatch:
        return suspend_watch(self._runtime.loop, wall_of, elapsed_of)
