"""`Timers`: when the next attempt starts, and the watches of the machine and of the page."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from .page_life import PageLife, page_watch
from .runtime import Runtime, elapsed_of, wall_of
from .suspend import SuspendWatch, suspend_watch

__all__ = ["NORMAL_CLOSURE", "Timers"]

NORMAL_CLOSURE: Final = 1000


class Woken(Protocol):
    """Who is told; `Connection`."""

    def on_retry_due(self) -> None:
        """Start the next attempt, if one is waited for."""

    def on_wake(self, slept: float, *, back: bool = False) -> None:
        """Handle seconds of sleep, 0 where the clock was set, or that the page is back."""

    def reconnect(self, code: int, reason: str) -> None:
        """Close the socket, and dial when that goes on."""


class Timers:
    """The next attempt, and who is notified of a sleep of the machine.

    The same goes for the page, where Python runs in one.

    Args:
        runtime: the event loop.
        woken: is told.
    """

    __slots__ = ("_retry", "_runtime", "_woken")

    def __init__(self, runtime: Runtime, woken: Woken) -> None:
        self._runtime = runtime
        self._woken = woken
        self._retry: asyncio.TimerHandle | None = None

    @property
    def slept(self) -> float:
        """How many seconds the machine has slept since the last look."""
        return self._watch().slept

    def retry(self, delay: float) -> None:
        """Have an attempt started in some seconds, in place of the one that is waited for."""
        if self._retry is not None:
            self._retry.cancel()
        self._retry = self._runtime.loop.call_later(delay, self._woken.on_retry_due)
        self.watch()

    def watch(self) -> None:
        """Be notified of a sleep, and by the page, from now on."""
        self._watch().add(self._woken.on_wake)
        if (page := page_watch()) is not None:
            page.add(self._on_page)

    def cancel(self) -> None:
        """Wait for nothing any more."""
        self._watch().remove(self._woken.on_wake)
        if (page := page_watch()) is not None:
            page.remove(self._on_page)
        if self._retry is not None:
            self._retry.cancel()
        self.forget()

    def forget(self) -> None:
        """Leave the timer to an event loop that is closed."""
        self._retry = None

    def _on_page(self, life: PageLife) -> None:
        if life is PageLife.AWAY:  # the next attempt goes on if the page comes back
            self._woken.reconnect(NORMAL_CLOSURE, "the page goes away")
            return
        if life is PageLife.ONLINE:
            self._woken.on_retry_due()
        self._woken.on_wake(0.0, back=True)

    def _watch(self) -> SuspendWatch:
        return suspend_watch(self._runtime.loop, wall_of, elapsed_of)
