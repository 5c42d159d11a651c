"""`Pulse`: sends the application's heartbeat, and tells when no answer came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pydantic_core import from_json

from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.options import Heartbeat
from heimdall_reactive.base.starting import call_at

from .codec import encode

__all__ = ["Pulse"]

MAX_OPEN: Final = 64  # pings whose timeout runs; where there are more, some are not looked at
LATE: Final = 2.0  # seconds; a timer that comes later than that says nothing about the peer
LOST: Final = "heartbeat timeout"


class Pulse:
    """The heartbeat of one connection.

    Every message counts as life, and costs nothing here: the count of the received ones is
    compared. The timeout begins when the ping is due, also where the socket does not take it.
    Where this process was suspended, or the page that it runs in, what came in that time may still
    wait to be read: then the peer is asked again.

    Args:
        heartbeat: the option.
        loop: keeps its timers.
        write: sends a frame if the socket takes one; returns whether it did.
        received: returns the count of the messages received.
        lose: is called with a reason when the timeout passes.
    """

    def __init__(
        self,
        heartbeat: Heartbeat,
        loop: asyncio.AbstractEventLoop,
        write: Callable[[Frame], bool],
        received: Callable[[], int],
        lose: Callable[[str], None],
    ) -> None:
        self.awaits_reply = 0  # replies to come
        self._heartbeat = heartbeat
        self._frame = encode(heartbeat.message)
        self._loop = loop
        self._write = write
        self._received = received
        self._lose = lose
        # Each ping's deadline, the count then, and whether it is judged however late that is.
        self._open: deque[tuple[float, int, bool]] = deque()
        self._beat = loop.call_later(heartbeat.interval, self._ping)
        self._check: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """End every timer."""
        self._beat.cancel()
        if self._check is not None:
            self._check.cancel()

    def takes(self, data: bytes | bytearray, text: bool) -> bool:
        """Return whether a frame is the reply that is awaited; nobody else is to see it then."""
        if not is_reply(self._heartbeat.reply, data, text):
            return False
        self.awaits_reply -= 1
        return True

    def probe(self, timeout: float) -> None:
        """Ping now, and judge in some seconds, within the timeout at the latest."""
        if not self._beat.cancelled():
            self._ask(min(timeout, self._heartbeat.timeout))

    def _ping(self) -> None:
        self._beat = self._loop.call_later(self._heartbeat.interval, self._ping)
        self._ask(self._heartbeat.timeout)

    def _ask(self, timeout: float, last: bool = False) -> None:
        if self._write(self._frame) and self._heartbeat.reply is not None:
            self.awaits_reply = min(self.awaits_reply + 1, MAX_OPEN)
        if len(self._open) < MAX_OPEN:
            self._open.append((self._loop.time() + timeout, self._received(), last))
        if self._check is None:
            self._check = call_at(self._loop, self._open[0][0], self._look)

    def _look(self) -> None:
        self._check = None
        due, received, last = self._open.popleft()
        if self._received() != received:
            if self._open:  # the timeout is longer than the interval
                self._check = call_at(self._loop, self._open[0][0], self._look)
        elif self._loop.time() - due > LATE and not last:
            self._open.clear()
            self._ask(self._heartbeat.timeout, last=True)
        else:
            self.stop()
            self._lose(LOST)


def is_reply(reply: Any, data: bytes | bytearray, text: bool) -> bool:
    """Compare a frame with what `Heartbeat.reply` says.

    Args:
        reply: as there.
        data: the payload.
        text: whether it came as text.
    """
    if not text:
        plain: Any = bytes(data)
    else:
        try:
            plain = from_json(data)
        except ValueError:
            plain = data.decode(errors="replace")
    if callable(reply):
        return bool(reply(plain))
    if isinstance(reply, dict):
        return isinstance(plain, dict) and reply.items() <= plain.items()
    return bool(plain == reply) or (text and isinstance(reply, str) and data == reply.encode())
