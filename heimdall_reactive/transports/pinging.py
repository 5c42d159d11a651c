"""`Pinger`: protocol pings of one wire, what they took, and whether the peer lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

__all__ = ["Pinger"]

LOST: Final = "keepalive ping timeout"


class Pinged(Protocol):
    """The wire, as its pinger sees it."""

    loop: asyncio.AbstractEventLoop
    held: bool  # we do not read

    @property
    def heard_at(self) -> float:
        """When the last byte came."""
        ...

    def send_ping(self, payload: bytes) -> None:
        """Send a ping, or queue it behind what the socket does not take yet."""

    def lose(self, reason: str) -> None:
        """Give the peer up as dead."""


class Pinger:
    """Timers of its own: one that waits for the socket to take the ping would never start.

    Args:
        wire: what is pinged.
        interval: seconds between pings; None sends probes only.
        timeout: seconds that a peer may be silent after one.
        told: takes the round trip of each in seconds.
        clock: measures it; some loops' clocks have milliseconds only.
    """

    def __init__(
        self,
        wire: Pinged,
        interval: float | None,
        timeout: float,
        told: Callable[[float], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._wire = wire
        self._loop = wire.loop
        self._interval = interval
        self._timeout = timeout
        self._told = told
        self._count = 0
        self._sent_at = 0.0
        self._pinged_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._awaited: bytes | None = None  # what the pong has to say
        self._stopped = False
        if interval is not None:
            self.ping()

    def ping(self, timeout: float | None = None) -> None:
        """Ping now; where a ping is under way, this one takes its place.

        After `stop()` it does nothing: a wire may be shut and probed in the same turn.

        Args:
            timeout: seconds, in place of the usual ones.
        """
        if self._stopped:
            return
        self._cancel()
        patience = timeout or self._timeout
        self._count += 1
        self._sent_at = self._loop.time()
        self._pinged_at = self._clock()
        self._timer = self._loop.call_later(patience, self._look, patience)
        self._awaited = b"%d" % self._count
        self._wire.send_ping(self._awaited)

    def on_pong(self, payload: bytes) -> None:
        """Handle a pong; one that answers no ping of ours is none."""
        if payload != self._awaited:
            return
        self._cancel()
        latency = self._clock() - self._pinged_at
        if self._interval is not None:
            self._timer = self._loop.call_later(max(0.0, self._interval - latency), self.ping)
        self._told(latency)

    def stop(self) -> None:
        """End the timer for good."""
        self._stopped = True
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._awaited = None

    def _look(self, patience: float) -> None:
        """Give the peer the time-out again from its last sign of life, whatever that was."""
        heard_at = self._wire.heard_at
        left = heard_at + patience - self._loop.time()
        if (left > 0.001 and heard_at > self._sent_at) or self._wire.held:
            wait = patience if self._wire.held else left
            self._timer = self._loop.call_later(wait, self._look, patience)
            return
        self._cancel()
        self._wire.lose(LOST)
