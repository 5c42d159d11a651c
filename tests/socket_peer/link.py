"""The server's side of one real WebSocket connection, frame by frame."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from heimdall_reactive.connecting.codec import encode
from heimdall_reactive.testing.frames import build_close, build_frame
from heimdall_reactive.testing.sockets import Side
from heimdall_reactive.testing.watch import Watch

from .frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, FrameReader, RawFrame

__all__ = ["SocketLink"]


class SocketLink:
    """One accepted connection; a `SocketPeer` makes it.

    It answers pings and closing handshakes as it should, until it is told not to. What it sends is
    not bounded, except by `flood`. It belongs to the loop that the peer runs on.

    Attributes:
        number: of the dial, counted from 1.
        request: the bytes of the opening handshake's request; they hold the token, if there is one.
        received: what the client sent, decoded: JSON where it is JSON text, else `str`; `bytes`.
        frames: all its frames, fragments and control frames included.
        pings: how many pings came.
        close_code: the code of the client's close frame, else None.
        close_reason: its reason.
    """

    def __init__(
        self,
        side: Side,
        number: int,
        request: bytes,
        on_message: Callable[[SocketLink, Any], object] | None = None,
    ) -> None:
        self.number = number
        self.request = request
        self.received: list[Any] = []
        self.frames: list[RawFrame] = []
        self.pings = 0
        self.close_code: int | None = None
        self.close_reason = ""
        self._side = side
        self._on_message = on_message
        self._watch = Watch()
        self._reader = FrameReader()
        self._parts: list[RawFrame] = []
        self._held: list[bytes] | None = None
        self._taken = 0
        self._closing = False
        self._mute_close = False
        self._mute_pong = False
        self._over = False

    @property
    def live(self) -> bool:
        """Whether the socket is open."""
        return not self._over and not self._side.lost.done()

    # What the peer does

    def send(self, value: Any, *, text: bool | None = None) -> None:
        """Send one message.

        Args:
            value: `str`, `bytes`, a pydantic model, or anything with a JSON form.
            text: whether it is a text frame; None takes what `value` is. `bytes` in a text frame
                need not be UTF-8.
        """
        message = encode(value)
        is_text = message.text if text is None else text
        self.frame(TEXT if is_text else BINARY, message.data)

    def frame(
        self,
        opcode: int,
        payload: bytes = b"",
        fin: bool = True,
        rsv: int = 0,
        masked: bool = False,
        length: int | None = None,
    ) -> None:
        """Send one frame, legal or not; see `build_frame`."""
        self.raw(build_frame(opcode, payload, fin, rsv, masked, length))

    def fragments(self, *payloads: bytes, text: bool = True, finish: bool = True) -> None:
        """Send one message in fragments.

        Args:
            payloads: of its frames.
            text: whether it is a text message.
            finish: whether the last frame ends the message; else it never ends.
        """
        last = len(payloads) - 1
        for index, payload in enumerate(payloads):
            first = TEXT if text else BINARY
            self.frame(CONTINUATION if index else first, payload, fin=finish and index == last)

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping."""
        self.frame(PING, payload)

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._held is None:
            self._side.write(data)
        else:
            self._held.append(data)

    async def flood(self, data: bytes, count: int | None = None) -> int:
        """Send the same bytes again and again, as fast as the client takes them.

        Args:
            data: a frame, see `build_frame`, or any bytes.
            count: how often; None until the connection ends.

        Returns:
            How often they were sent.
        """
        sent = 0
        while self.live and sent != count:
            self.raw(data)
            sent += 1
            await self._side.drain()
            if sent % 100 == 0:
                await asyncio.sleep(0)  # `drain` returns at once while the kernel takes all
        return sent

    def close(
        self, code: int | None = 1000, reason: str | bytes = "", *, hold: bool = False
    ) -> None:
        """Begin the closing handshake.

        Args:
            code: close code, also one that must not travel; None leaves it out.
            reason: text, or any bytes.
            hold: keep TCP open afterwards, whatever the client answers.
        """
        self._closing = True
        self._mute_close |= hold
        self.raw(build_close(code, reason))

    def drop(self) -> None:
        """End the stream by a FIN, without a close frame, also through a silence."""
        self._held = None
        self._side.hold(False)
        self._side.finish()

    def reset(self) -> None:
        """End the connection by a RST."""
        self._side.reset()

    def silence(self) -> None:
        """Become a black hole: nothing is read or sent until `resume()`; TCP stays open."""
        self._held = [] if self._held is None else self._held
        self._side.hold()

    def stall(self) -> None:
        """Stop reading until `resume()`: the client's writes fill the kernel's buffers."""
        self._side.hold()

    def resume(self) -> None:
        """End a silence or a stall: what was held goes out in order."""
        held, self._held = self._held, None
        for data in held or ():
            self._side.write(data)
        self._side.hold(False)

    def mute_close(self) -> None:
        """Never answer a closing handshake, and hold TCP open after one."""
        self._mute_close = True

    def mute_pong(self) -> None:
        """Never answer a ping."""
        self._mute_pong = True

    def ignore(self) -> None:
        """Answer nothing any more, neither pings nor a closing handshake."""
        self._mute_close = self._mute_pong = True

    # What the peer sees

    async def receive(self, timeout: float | None = None) -> Any:
        """Return the next message that was not returned yet, decoded as in `received`.

        Args:
            timeout: seconds, None forever.

        Raises:
            TimeoutError: it did not come in time.
            ConnectionError: the connection ended before it came.
        """
        await self._watch.wait_for(
            lambda: self._taken < len(self.received) or not self.live, timeout
        )
        if self._taken == len(self.received):
            raise ConnectionError("the link has ended")
        self._taken += 1
        return self.received[self._taken - 1]

    async def wait_for(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        """Wait until a predicate holds; it is asked after every frame, and at the end.

        Raises:
            WaitTimeout: if it does not hold within `timeout` seconds.
        """
        await self._watch.wait_for(predicate, timeout)

    async def ended(self, timeout: float | None = None) -> None:
        """Return when the client has ended the connection, or it is lost.

        Args:
            timeout: seconds, None forever.

        Raises:
            TimeoutError: it did not end in time.
        """
        await self._watch.wait_for(lambda: not self.live, timeout)

    async def run(self) -> None:
        """Read frames until the connection ends."""
        try:
            while (arrival := await self._side.read()) is not None:
                for frame in self._reader.feed(arrival[1]):
                    self._take(frame)
                    self._watch.changed()
        finally:
            self._over = True
            self._watch.changed()
        if self._mute_close:
            await self._side.lost

    def __repr__(self) -> str:
        state = "live" if self.live else "ended"
        return f"<SocketLink {self.number} {state}, {len(self.received)} received>"

    def _take(self, frame: RawFrame) -> None:
        self.frames.append(frame)
        if frame.opcode == PING:
            self.pings += 1
            if not self._mute_pong:
                self.frame(PONG, frame.payload)
        elif frame.opcode == CLOSE:
            self._take_close(frame.payload)
        elif frame.opcode in (CONTINUATION, TEXT, BINARY):
            self._parts.append(frame)
            if frame.fin:
                parts, self._parts = self._parts, []
                self._take_message(parts)

    def _take_close(self, payload: bytes) -> None:
        self.close_code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        self.close_reason = payload[2:].decode(errors="replace")
        if self._mute_close:
            return
        if not self._closing:
            self._closing = True
            self.frame(CLOSE, payload[:2])
        self._side.finish()

    def _take_message(self, parts: list[RawFrame]) -> None:
        data = b"".join(part.payload for part in parts)
        # A compressed message is kept as it came; the peer never offers to decompress one.
        text = parts[0].opcode == TEXT and not parts[0].rsv
        message = _decode(data) if text else data
        self.received.append(message)
        if self._on_message is not None:
            self._on_message(self, message)


def _decode(data: bytes) -> Any:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    try:
        return json.loads(text)
    except ValueError:
        return text
