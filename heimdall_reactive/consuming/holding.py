"""`Holding`: stops the reading of a socket, for a while, for a consumer that may lose nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from heimdall_reactive.connecting.runtime import Runtime
from heimdall_reactive.connecting.session import Session

__all__ = ["HOLD_LIMIT", "Holding"]

HOLD_LIMIT: Final = 5.0  # seconds at a time; a peer's own pings are answered late by as much


class Holding:
    """Holds the server back by TCP while a `block` consumer is full.

    A socket that is not read answers no ping, so that is bounded: after `HOLD_LIMIT` the store
    reads on, and a consumer that is still full drops its oldest, counted, until half is free.

    Args:
        session: returns the open socket's session, if there is one.
        runtime: the store's event loop.
        bounded: False where what is held back still answers pings, so that it may last.
    """

    def __init__(
        self, session: Callable[[], Session | None], runtime: Runtime, *, bounded: bool = True
    ) -> None:
        self._session = session
        self._runtime = runtime
        self._bounded = bounded
        self._full: set[object] = set()
        self._late: set[object] = set()  # they had their time, and are full all the same
        self._held: Session | None = None
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, consumer: object) -> bool:
        """Hold for a full consumer; return whether it is, so that it may take what comes yet.

        What comes yet is the rest of what the socket has been read for already.
        """
        session = self._session()
        if consumer in self._late or session is None or not self._runtime.here():
            return False
        if session is not self._held:
            self._let_go()
            self._held = session
            if self._bounded:
                self._timer = self._runtime.loop.call_later(HOLD_LIMIT, self._give_up)
            session.wire.hold(True)
        self._full.add(consumer)
        return True

    def release(self, consumer: object) -> None:
        """Read on, unless another consumer is full; from any thread."""
        self._runtime.post(lambda: self._release(consumer))

    def end(self) -> None:
        """End the timer with the store."""
        self._full.clear()
        self._let_go()

    def _release(self, consumer: object) -> None:
        self._full.discard(consumer)
        self._late.discard(consumer)
        if not self._full:
            self._let_go()

    def _give_up(self) -> None:
        self._late |= self._full
        self._full.clear()
        self._let_go()

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, None
        if held is not None and held is self._session():
            held.wire.hold(False)
