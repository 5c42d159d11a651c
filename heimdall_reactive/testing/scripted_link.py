"""The peer's side of a scripted link: what a test sees of one session, and does to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from heimdall_reactive.base.frames import Frame
from heimdall_reactive.connecting.codec import encode
from heimdall_reactive.transports.ending import MAX_REASON

from .scripted_transport import FIN, Dropped

if TYPE_CHECKING:
    from .scripted_wire import ScriptedWire

__all__ = [
    "CLOSE",
    "DATA",
    "NO_CODE",
    "TEXT",
    "Connect",
    "Link",
    "LinkServer",
    "LinkSocket",
    "MakeSocket",
]

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9  # opcodes (RFC 6455 section 5.2)
DATA: Final = (TEXT, BINARY)
NO_CODE: Final = 1005  # stands for a close frame without a code (RFC 6455 section 7.1.5)


class LinkServer(Protocol):
    """Speaks for the peer on one link, in units that only it and the store's side know."""

    @property
    def opening(self) -> bool:
        """Whether the handshake is to come."""
        ...

    @property
    def opened(self) -> bool:
        """Whether it was accepted, and nothing has ended it."""
        ...

    def is_message(self, unit: Any) -> bool:
        """Return whether a unit of the store is a message."""
        ...

    def take(self, unit: Any) -> Iterable[tuple[int, bytes]]:
        """Handle what the store wrote: its handshake, or a frame, which comes back."""
        ...

    def answers(self) -> list[Any]:
        """Return what has to be answered."""
        ...

    def unit(self, opcode: int, payload: bytes) -> Any:
        """Return a frame as a unit, whatever a server would think of it now."""
        ...


class LinkSocket(Protocol):
    """The store's side of a link."""

    open: bool

    def arrive(self, *units: Any) -> None:
        """Let something arrive: units, an empty one for a FIN, or an error of the socket."""

    def stall(self) -> None:
        """Keep what is written from now on."""

    def resume(self) -> list[Any]:
        """Return what was kept."""
        ...

    def lose(self, error: Exception | None) -> None:
        """End."""


MakeSocket = Callable[[Callable[[Any], None], Callable[[], None]], LinkSocket]
"""Makes the store's side; it calls the first with each unit, and the second at its end."""
Connect = Callable[[LinkServer, MakeSocket], "Link"]
"""Puts a link between both."""


class Link:
    """One session, from the peer's side; a `ScriptedPeer` makes it.

    It belongs to the thread of the loop that opened it. What it does arrives at the store on that
    loop, asynchronously and in order; what the store writes is here at once.

    Attributes:
        received: what the store wrote, decoded: JSON where it is JSON text, else `str`; `bytes`.
        frames: the same as raw frames.
        pings: how many protocol pings came.
        latency: seconds that the peer takes to answer a ping or a closing handshake.
        close_code: the code of the store's close frame, else None.
        close_reason: its reason.
    """

    wire: ScriptedWire  # of the default transport

    def __init__(
        self,
        server: LinkServer,
        make_socket: MakeSocket,
        on_message: Callable[[Link, Any], object] | None,
        opened: Callable[[Link], None],
    ) -> None:
        self.received: list[Any] = []
        self.frames: list[Frame] = []
        self.pings = 0
        self.latency = 0.0
        self.close_code: int | None = None
        self.close_reason = ""
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._opened = opened
        self._server = server
        self._taken = 0
        self._silent = False
        self._mute = False
        self._closing = False  # a close frame of ours is under way
        self._stall_after: int | None = None
        self._cut_after: int | None = None
        self._cut_arrives = False
        self._closed = False  # the store's close frame has come
        self._inwards: list[Any] = []  # from the store, held by a silence
        self._outwards: list[Any] = []  # to the store, held by a silence
        self._changed: list[asyncio.Future[None]] = []
        self._socket = make_socket(self._take, self._notify)

    @property
    def live(self) -> bool:
        """Whether the store's side has its socket."""
        return self._socket.open

    # What the peer does

    def send(self, value: Any, *, text: bool | None = None) -> None:
        """Send one message.

        Args:
            value: `str`, `bytes`, a pydantic model, or anything with a JSON form.
            text: whether it is a text frame; None takes what `value` is. `bytes` in a text frame
                need not be UTF-8.
        """
        frame = encode(value)
        is_text = frame.text if text is None else text
        self._deliver(self._server.unit(TEXT if is_text else BINARY, frame.data))

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
            payload = b"" if code == NO_CODE else code.to_bytes(2) + reason.encode()
            self._deliver(self._server.unit(CLOSE, payload))

    def drop(self, reason: str = "") -> None:
        """End the socket without a close frame, also through a silence.

        Args:
            reason: what the store finds in its `CloseInfo`, in place of the wire's own words.
        """
        self._socket.arrive(Dropped(reason) if reason else FIN)

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
        self._silent = False
        self._stall_after = None
        inwards, self._inwards = self._inwards, []
        outwards, self._outwards = self._outwards, []
        # First: a buffer is empty before the peer can answer what was in it.
        inwards += self._socket.resume()
        self._deliver(*outwards)
        for data in inwards:
            self._take(data)

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
            timeout: seconds, None forever.

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
            timeout: seconds, None forever.

        Raises:
            TimeoutError: it did not end in time.
        """
        async with asyncio.timeout(timeout):
            while self.live:
                await self._change()

    def __repr__(self) -> str:
        return f"<Link {'live' if self.live else 'ended'}, {len(self.received)} received>"

    # Parts

    def _deliver(self, *units: Any) -> None:
        if self._silent:
            self._outwards += units
        else:
            self._socket.arrive(*units)

    def _take(self, unit: Any) -> None:
        """Handle what the store wrote: its handshake, or one frame."""
        opening, is_message = self._server.opening, self._server.is_message(unit)
        if is_message and self._cut_after is not None:
            self._cut_after -= 1
            if self._cut_after < 0:
                arrives = self._cut_arrives and self._cut_after == -1  # what is behind it is lost
                self._socket.lose(ConnectionResetError())
                if not arrives:
                    return
        if self._silent:
            self._inwards.append(unit)
            return
        for opcode, payload in self._server.take(unit):
            self._take_frame(opcode, payload)
        self._answer(self._server.answers())
        if opening and self._server.opened:
            self._opened(self)
        if is_message and self._stall_after is not None:
            self._stall_after -= 1
            self._maybe_stall()

    def _take_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.pings += 1
        elif opcode == CLOSE:
            self._closed = True
            self.close_code = int.from_bytes(payload[:2]) if payload else NO_CODE
            self.close_reason = payload[2:].decode()
            self._notify()
        elif opcode in DATA:
            self._note(Frame(payload, opcode == TEXT))

    def _answer(self, units: list[Any]) -> None:
        """Send what the protocol answers, after the latency."""
        if self._closed:
            if self._mute:
                return
            if self._closing:  # it answers ours, and is not answered itself
                units = units[-1:]
            self._closing = True
        if self.latency > 0 and units:
            self._loop.call_later(self.latency, self._deliver, *units)
        else:
            self._deliver(*units)

    def _maybe_stall(self) -> None:
        if self._stall_after is not None and self._stall_after <= 0:
            self._stall_after = None
            self._socket.stall()

    def _note(self, frame: Frame) -> None:
        message = _decode(frame)
        self.frames.append(frame)
        self.received.append(message)
        self._notify()
        if self._on_message is not None:
            self._loop.call_soon(self._on_message, self, message)

    def _notify(self) -> None:
        changed, self._changed = self._changed, []
        for future in changed:
            if not future.done() and not self._loop.is_closed():
                future.set_result(None)

    def _change(self) -> Awaitable[None]:
        future = self._loop.create_future()
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
