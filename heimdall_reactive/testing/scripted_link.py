"""The peer's side of a scripted link: what a test sees of one session, and does to it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from heimdall_reactive.base.messages import Frame
from heimdall_reactive.base.options import StoreOptions
from heimdall_reactive.connecting.codec import encode
from heimdall_reactive.transports.ending import MAX_REASON

from .scripted_wire import Closing, End, Event, Pinging, Ponging, ScriptedWire

__all__ = ["Link"]

T = TypeVar("T")

NO_CODE: Final = 1005  # stands for a close frame without a code (RFC 6455 section 7.1.5)


class Link:
    """One session, from the peer's side; a `ScriptedPeer` makes it.

    It belongs to the thread of the loop that dialled. What it does arrives at the store on that
    loop, asynchronously and in order; what the store writes is here at once.

    Attributes:
        received: what the store wrote, decoded: JSON where it is JSON text, else `str`; `bytes`.
        frames: the same as raw frames.
        pings: how many protocol pings came.
        latency: seconds that the peer takes to answer a ping or a closing handshake.
        close_code: the code of the store's close frame, else None.
        close_reason: its reason.
    """

    def __init__(
        self, options: StoreOptions, on_message: Callable[[Link, Any], object] | None = None
    ) -> None:
        self.received: list[Any] = []
        self.frames: list[Frame] = []
        self.pings = 0
        self.latency = 0.0
        self.close_code: int | None = None
        self.close_reason = ""
        self.wire = ScriptedWire(options, self._take)
        self._on_message = on_message
        self._taken = 0
        self._silent = False
        self._stalled = False
        self._mute = False
        self._closing = False  # a close frame of ours is under way
        self._stall_after: int | None = None
        self._cut_after: int | None = None
        self._cut_arrives = False
        self._inwards: deque[Event] = deque()  # from the store, held
        self._outwards: deque[Event] = deque()  # to the store, held
        self._changed: list[asyncio.Future[None]] = []

    @property
    def live(self) -> bool:
        """Whether the store's side has its socket."""
        return self.wire.open

    # What the peer does

    def send(self, value: Any, *, text: bool | None = None) -> None:
        """Send one message.

        Args:
            value: `str`, `bytes`, a pydantic model, or anything with a JSON form.
            text: whether it is a text frame; None takes what `value` is. `bytes` in a text frame
                need not be UTF-8.
        """
        frame = encode(value)
        self._deliver(frame if text is None else Frame(frame.data, text))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake.

        Args:
            code: close code; 1005 sends a close frame without one.
            reason: at most 123 bytes.
        """
        if not (code == NO_CODE or 1000 <= code < 5000) or code in (1004, 1006, 1015):
            raise ValueError(f"{code} may not stand in a close frame (RFC 6455 section 7.4)")
        if len(reason.encode()) > MAX_REASON:
            raise ValueError(f"a close reason has at most {MAX_REASON} bytes")
        if not self._closing:
            self._closing = True
            self._deliver(Closing(code, reason))

    def drop(self, reason: str = "the socket ended without a close frame") -> None:
        """End the socket without a close frame, also through a silence.

        Args:
            reason: what the store finds in its `CloseInfo`.
        """
        self.wire.loop.call_soon(self.wire.arrive, End(reason))

    def silence(self) -> None:
        """Become a black hole: nothing arrives on either side until `resume()`."""
        self._silent = True

    def stall(self, after: int = 0) -> None:
        """Stop reading: the store's wire is not writable until `resume()`.

        Args:
            after: messages that are still taken before.
        """
        self._stall_after = after
        self._maybe_stall()

    def resume(self) -> None:
        """End a silence or a stall: what was held arrives, in order."""
        self._silent = self._stalled = False
        self._stall_after = None
        inwards, self._inwards = self._inwards, deque()
        outwards, self._outwards = self._outwards, deque()
        if self.wire.paused:  # first: a buffer is empty before the peer can answer what was in it
            self.wire.paused = False
            self.wire.loop.call_soon(self.wire.resume)
        for event in outwards:
            self._deliver(event)
        for event in inwards:
            self._take(event)

    def mute_close(self) -> None:
        """Never answer a closing handshake, and hold the socket open after one."""
        self._mute = True

    def cut_after_frames(self, n: int, *, arrives: bool = False) -> None:
        """Break the socket while the store writes.

        Args:
            n: messages that are taken before.
            arrives: whether the message of the break still reaches the peer.
        """
        self._cut_after, self._cut_arrives = n, arrives

    # What the peer sees

    async def receive(self, timeout: float | None = None) -> Any:
        """Return the next message that was not returned yet, decoded as in `received`.

        Args:
            timeout: seconds, None for ever.

        Raises:
            TimeoutError: it did not come in time.
            ConnectionError: the link ended before it came.
        """
        async with asyncio.timeout(timeout):
            while self._taken == len(self.received):
                if not self.live:
                    raise ConnectionError("the link has ended")
                await self._change()
        self._taken += 1
        return self.received[self._taken - 1]

    async def ended(self, timeout: float | None = None) -> None:
        """Return when the store's side has no socket any more.

        Args:
            timeout: seconds, None for ever.

        Raises:
            TimeoutError: it did not end in time.
        """
        async with asyncio.timeout(timeout):
            while self.live:
                await self._change()

    def __repr__(self) -> str:
        return f"<Link {'live' if self.live else 'ended'}, {len(self.received)} received>"

    # Parts

    def _deliver(self, event: Event) -> None:
        if self._silent:
            self._outwards.append(event)
        else:
            self.wire.loop.call_soon(self.wire.arrive, event)

    def _deliver_later(self, *events: Event) -> None:
        """Answer after the latency."""

        def deliver() -> None:
            for event in events:
                self._deliver(event)

        if self.latency > 0:
            self.wire.loop.call_later(self.latency, deliver)  # one timer: two might change places
        else:
            deliver()

    def _take(self, event: Event) -> None:
        """Take what comes from the store."""
        if isinstance(event, End):
            self._notify()
        elif isinstance(event, Frame):
            self._take_frame(event)
        elif self._silent or self._stalled:
            self._inwards.append(event)
        elif isinstance(event, Pinging):
            self.pings += 1
            self._deliver_later(Ponging(event.number))
        elif isinstance(event, Closing):
            self._take_close(event)

    def _take_close(self, event: Closing) -> None:
        self.close_code, self.close_reason = event
        self._notify()
        if self._mute:
            return
        answer = () if self._closing else (event,)  # else this is the answer to ours
        self._closing = True
        self._deliver_later(*answer, End())

    def _take_frame(self, frame: Frame) -> None:
        if self._cut_after == 0:
            self._cut_after = None
            self.wire.cut("the connection was reset")
            if not self._cut_arrives:
                return
        elif self._cut_after is not None:
            self._cut_after -= 1
        if self._silent:
            self._inwards.append(frame)
            return
        self._note(frame)
        if self._stall_after is not None:
            self._stall_after -= 1
            self._maybe_stall()

    def _maybe_stall(self) -> None:
        if self._stall_after is not None and self._stall_after <= 0:
            self._stall_after = None
            self._stalled = self.wire.paused = True

    def _note(self, frame: Frame) -> None:
        message = _decode(frame)
        self.frames.append(frame)
        self.received.append(message)
        self._notify()
        if self._on_message is not None:
            self.wire.loop.call_soon(self._on_message, self, message)

    def _notify(self) -> None:
        changed, self._changed = self._changed, []
        for future in changed:
            if not future.done() and not self.wire.loop.is_closed():
                future.set_result(None)

    def _change(self) -> Awaitable[None]:
        future = self.wire.loop.create_future()
        self._changed.append(future)
        return future


def _decode(frame: Frame) -> Any:
    if not frame.text:
        return frame.data
    text = frame.data.decode()
    try:
        return json.loads(text)
    except ValueError:
        return text
