"""`Pinger`: protocol pings of one wire, what they reveal of its peer, and what they prove.

A pong tells three things: the round trip, that the peer lives, and that it has all that was written
before its ping. So the pings of the keep-alive and those that somebody waits for as a proof are the
same, and one is under way at most. Only the keep-alive judges: a late proof is not a loss.

Many servers answer no ping while their handler does not receive. What tells them from a dead peer
is that their host acknowledges what we write. So where all is acknowledged and the pong is still to
come, an unsolicited pong goes out (RFC 6455 section 5.5.3: "a unidirectional heartbeat"), which
asks for no answer, and the timeout starts again with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

from heimdall_reactive.base.starting import call_at

__all__ = ["Pinger"]

LOST: Final = "keepalive ping timeout"
SLACK: Final = 0.001  # seconds; a timer may come a little early by the clock


class Pinged(Protocol):
    """The wire, as its pinger sees it."""

    loop: asyncio.AbstractEventLoop
    held: bool  # we do not read

    @property
    def heard_at(self) -> float:
        """When the last byte came."""
        ...

    def taken(self) -> tuple[int, float]:
        """Return how much of what we wrote the peer has taken, and when it last took some."""
        ...

    def all_taken(self) -> bool:
        """Return whether the peer has taken all that we wrote; False where nobody tells."""
        ...

    def send_ping(self, payload: bytes) -> None:
        """Send a ping, or queue it behind what the socket does not take yet."""

    def send_pong(self) -> None:
        """Send a pong that answers nothing."""

    def lose(self, reason: str) -> None:
        """Give the peer up as dead."""


class Watcher(Protocol):
    """What is notified of pings and pongs."""

    def on_ping(self) -> None:
        """Note what was written so far: the pong of this ping proves that."""

    def on_pong(self) -> None:
        """Handle that proof."""

    def on_latency(self, seconds: float) -> None:
        """Handle the round trip."""


class Pinger:
    """Timers of its own: one that waits for the socket to take the ping would never start.

    Args:
        wire: what is pinged.
        interval: seconds between pings; None judges after probes only.
        timeout: seconds in which nothing comes and nothing is taken, after which a peer is dead.
        watcher: is told.
        clock: measures the round trips; some loops' clocks have milliseconds only.
    """

    __slots__ = (
        "_awaited", "_clock", "_count", "_due", "_fires_at", "_interval", "_judged_from", "_loop",
        "_pinged_at", "_stopped", "_taken", "_timeout", "_timer", "_watcher", "_wire",
    )  # fmt: skip

    def __init__(
        self,
        wire: Pinged,
        interval: float | None,
        timeout: float,
        watcher: Watcher,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._wire = wire
        self._loop = wire.loop
        self._interval = interval
        self._timeout = timeout
        self._watcher = watcher
        self._count = 0
        self._judged_from = 0.0  # on the loop's clock
        self._taken = 0
        self._pinged_at = 0.0
        self._fires_at = 0.0
        self._due = 0.0  # when the next ping is, on the loop's clock
        self._timer: asyncio.TimerHandle | None = None  # of the next ping, or of the judgement
        self._awaited: bytes | None = None  # what the pong has to say
        self._stopped = False
        if interval is not None:
            self._keep_alive()

    def ping(self, timeout: float) -> None:
        """Ping now, and judge; where a ping is under way, this one takes its place.

        After `stop()` it does nothing: a wire may be shut and probed in the same turn.
        """
        if not self._stopped:
            self._send()
            self._judge(timeout)

    def prove(self, *, last: bool = False) -> None:
        """Ping now, unless one is under way; a pong that does not come is not a loss by itself.

        Args:
            last: also where one is under way, which this one takes the place of.
        """
        if not self._stopped and (last or self._awaited is None):
            self._send()

    def on_pong(self, payload: bytes) -> None:
        """Handle a pong; one that answers no ping of ours is none."""
        if payload != self._awaited:
            return
        self._awaited = None
        latency = self._clock() - self._pinged_at
        if self._interval is None:
            self._set_timer()
        else:
            self._due = self._loop.time() + max(0.0, self._interval - latency)
            # A timer that comes before is left as it is: it sees then that nothing is due.
            if self._timer is None or self._fires_at > self._due + SLACK:
                self._set_timer(self._due, self._keep_alive)
        self._watcher.on_pong()
        self._watcher.on_latency(latency)

    def stop(self) -> None:
        """End the timer for good."""
        self._stopped = True
        self._awaited = None
        self._set_timer()

    def _keep_alive(self) -> None:
        """Judge from now on by the ping that is under way, or by one of now."""
        if self._awaited is None:
            if self._due - self._loop.time() > SLACK:
                self._set_timer(self._due, self._keep_alive)
                return
            self._send()
        self._judge(self._timeout)

    def _send(self) -> None:
        self._count += 1
        self._pinged_at = self._clock()
        self._awaited = b"%d" % self._count
        self._watcher.on_ping()
        self._wire.send_ping(self._awaited)

    def _judge(self, patience: float) -> None:
        self._judged_from = now = self._loop.time()
        self._taken = self._wire.taken()[0]
        # A peer that dies behind its acknowledgement is to be found within interval + timeout.
        first = patience if self._interval is None else min(patience, self._interval)
        self._set_timer(now + first, self._look, patience)

    def _set_timer(
        self, when: float = 0.0, call: Callable[..., None] | None = None, *args: float
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = when
        self._timer = None if call is None else call_at(self._loop, when, call, *args)

    def _look(self, patience: float) -> None:
        """Give the peer the timeout again from its last sign of life, whatever that was.

        Any byte of it is one, and so is that it has taken bytes of ours: it may be slow. Where it
        has taken all of them, only another byte can tell.
        """
        if self._awaited is None:  # the pong has come
            self._keep_alive()
            return
        taken, when = self._wire.taken()
        signs = [self._judged_from, self._wire.heard_at, when if taken > self._taken else 0.0]
        self._taken = taken
        now = self._loop.time()
        left = max(signs) + patience - now
        if self._wire.held:
            self._set_timer(now + patience, self._look, patience)
        elif self._wire.all_taken():
            self._wire.send_pong()
            self._judge(patience)
        elif left > SLACK:
            self._set_timer(now + left, self._look, patience)
        else:
            self.stop()
            self._wire.lose(LOST)
