"""`Conversation`: one open socket, as its session protocol sees it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from heimdall_reactive.base.checks import check_close
from heimdall_reactive.base.exceptions import StoreError
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.hidden import SecretText
from heimdall_reactive.base.session_protocol import ProtocolSession, Refused
from heimdall_reactive.transports import Wire

from .answers import headers_of, subprotocol_of
from .heartbeat import LATE

__all__ = ["Conversation"]

GRACE: Final = 1.0  # seconds until what waits to be read has been, after a suspended process
LIMIT: Final = 1000  # envelopes that a handshake may leave, and values that may wait to be sent
SILENT: Final = "the protocol expected an envelope by now"

Call = Callable[[], object]


class Owner(Protocol):
    """The session, as its conversation sees it."""

    wire: Wire

    def frames(self, value: Any) -> list[Frame]:
        """Encode a value."""
        ...

    def report(self, error: StoreError) -> None:
        """Report what ended nothing."""

    def begin(self) -> None:
        """Have the wire push frames, which end in `take`."""

    def break_off(self, error: Refused) -> None:
        """End the session by the protocol's own decision."""

    def recovered(self) -> None:
        """Drop the gap of this session, unless it was told."""

    def reconnect(self, code: int, reason: str, overlap: bool) -> None:
        """Open another session in place of this one."""


class Conversation(ProtocolSession):
    """What a protocol may do on one socket, and the envelopes that its handshake left.

    Args:
        owner: the session.
        loop: its event loop.
        number: of the session.
        attempt: number of the reconnection.
        token: of this attempt.
    """

    def __init__(
        self,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        number: int,
        attempt: int,
        token: SecretText | None,
    ) -> None:
        wire = owner.wire
        self.number, self.attempt = number, attempt
        self.subprotocol = subprotocol_of(wire)
        self.response_headers = headers_of(wire)
        self.has_token = token is not None
        self._owner = owner
        self._wire = wire
        self._loop = loop
        self._token = token
        self._ids = 0
        self._shaking = True  # until what came during the handshake is delivered
        self.is_ready = False  # whether the handshake has returned: then the outbox may go out
        self._came: deque[Any] = deque()
        self._arrival: asyncio.Future[None] | None = None
        self._ahead: deque[Frame] = deque()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._heard_at = loop.time()

    # ProtocolSession

    def send(self, value: Any) -> None:
        """Send a value ahead of everything that waits."""
        frames = self._owner.frames(value)
        if len(self._ahead) + len(frames) > LIMIT:
            raise Refused(f"{LIMIT} values of the protocol wait for a socket that takes nothing")
        self._ahead.extend(frames)
        self.flush()

    async def recv(self, match: Callable[[Any], bool] | None = None) -> Any:
        """Return the next envelope that matches; in the handshake only."""
        if not self._shaking:
            raise RuntimeError("recv() is for handshake() only; receive() gets what comes later")
        self._owner.begin()
        seen = 0
        while True:
            for index in range(seen, len(self._came)):
                if match is None or match(self._came[index]):
                    envelope = self._came[index]
                    del self._came[index]
                    return envelope
            seen = len(self._came)
            if seen >= LIMIT:
                raise Refused(f"{LIMIT} envelopes came, and the handshake waits for another one")
            self._arrival = self._loop.create_future()
            await self._arrival

    async def token(self) -> str:
        """Return the access token of this attempt."""
        if self._token is None:
            raise Refused("the protocol needs an access token; pass access_token=", "stop")
        return self._token.get_secret_value()

    def next_id(self) -> int:
        """Return 1, 2, 3 ... for this session."""
        self._ids += 1
        return self._ids

    def every(self, seconds: float, call: Call, *, first: float | None = None) -> None:
        """Call something every so many seconds while this session lasts."""
        key = self.next_timer()

        def run() -> None:
            self._timers[key] = self._loop.call_later(seconds, run)
            try:
                call()
            except Refused as error:
                self._owner.break_off(error)
            except Exception as raised:
                name = type(raised).__name__
                self._owner.report(
                    StoreError(f"a timer of the protocol raised {name}; fix that call")
                )

        self._timers[key] = self._loop.call_later(seconds if first is None else first, run)

    def expect(self, seconds: float) -> None:
        """Give the connection up unless some envelope comes in time, each time.

        Where the look is late, this process was suspended, or the page that it runs in. What came
        in the meantime may still wait to be read, so the next look decides.
        """
        due = 0.0

        def wait(delay: float, last: bool = False) -> None:
            nonlocal due
            due = self._loop.time() + delay
            self._timers[0] = self._loop.call_later(delay, look, last)

        def look(last: bool) -> None:
            now = self._loop.time()
            left = self._heard_at + seconds - now
            if left > 0:
                wait(left)
            elif now - due > LATE and not last:
                wait(GRACE, last=True)
            else:
                self._timers.pop(0, None)
                self._wire.lose(SILENT)

        if (before := self._timers.pop(0, None)) is not None:
            before.cancel()
        wait(seconds)

    def reconnect(self, reason: str = "", *, code: int = 1000, overlap: bool = False) -> None:
        """Open another session in place of this one."""
        check_close(code, reason)  # raised later, it would leave the connection without a session
        self._owner.reconnect(code, reason, overlap)

    def recovered(self) -> None:
        """Say that nothing was missed."""
        self._owner.recovered()

    # For its session

    def use_token(self, token: SecretText | None) -> None:
        """Return another token from now on."""
        self._token, self.has_token = token, token is not None

    def next_timer(self) -> int:
        """Return a name for a timer; 0 is that of `expect`."""
        return max(self._timers, default=0) + 1

    def take(self, envelope: Any) -> bool:
        """Keep an envelope for the handshake; return False where that is over."""
        self._heard_at = self._loop.time()
        if not self._shaking:
            return False
        self._came.append(envelope)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
        return True

    def end_handshake(self) -> deque[Any]:
        """Return what the handshake left; from now on envelopes are delivered."""
        self._shaking = False
        came, self._came = self._came, deque()
        return came

    def flush(self) -> bool:
        """Write what the protocol has sent; return whether all of it went out."""
        while self._ahead and self._wire.writable:
            self._wire.write(self._ahead.popleft())
        return not self._ahead

    def stop(self) -> None:
        """End every timer."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
