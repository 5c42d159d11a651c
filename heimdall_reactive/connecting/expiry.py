"""`Expiry`: settles the sends that waited too long, when it is time."""

from __future__ import annotations

import asyncio

from heimdall_reactive.base.exceptions import SendError
from heimdall_reactive.base.printable import count_of
from heimdall_reactive.base.starting import call_at

from .listener import Listener
from .outbox import Outbox
from .runtime import Runtime

__all__ = ["Expiry"]


class Expiry:
    """One timer for the oldest send of an outbox.

    Args:
        outbox: what waits.
        runtime: the event loop.
        listener: is notified of one error for all that expired together.
    """

    __slots__ = ("_listener", "_outbox", "_reported", "_runtime", "_timer")

    def __init__(self, outbox: Outbox, runtime: Runtime, listener: Listener) -> None:
        self._outbox = outbox
        self._runtime = runtime
        self._listener = listener
        self._timer: asyncio.TimerHandle | None = None
        self._reported = 0

    def expect(self) -> None:
        """Come when the oldest send expires; report what has expired until now."""
        deadline = self._outbox.next_deadline
        if deadline is not None and self._timer is None:
            self._timer = call_at(self._runtime.loop, deadline, self._expire)
        before, self._reported = self._reported, self._outbox.counters.expired
        if self._reported > before:
            text = (
                f"not sent: {count_of(self._reported - before, 'send')} waited longer than send_ttl"
            )
            self._listener.on_error(SendError(text, "expired"))

    def stop(self) -> None:
        """End the timer; it may belong to an event loop that is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        self._outbox.expire()
        self.expect()
