"""A wire without a socket: what it is fed, and what it writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.uri import parse_uri

from heimdall_reactive import CloseInfo
from heimdall_reactive.transports.websockets_wire import WebSocketsWire
from tests.socket_peer.frames import FrameReader, RawFrame
from tests.socket_peer.handshake import upgrade_answer

__all__ = ["Bench", "Notes", "Pipe", "pieces"]

Told = tuple[bytes, bool] | CloseInfo


class Notes:
    """A receiver that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.ended = asyncio.Event()

    @property
    def frames(self) -> list[bytes]:
        """The payloads, without the end."""
        return [each[0] for each in self.told if not isinstance(each, CloseInfo)]

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        self.told.append((bytes(data), text))

    def on_ping(self) -> None: ...
    def on_pong(self) -> None: ...
    def on_latency(self, seconds: float) -> None: ...
    def on_writable(self) -> None: ...

    def on_closed(self, close: CloseInfo) -> None:
        self.told.append(close)
        self.ended.set()


class Pipe(asyncio.Transport):
    """A transport that keeps what is written; it is full only when it is told so."""

    def __init__(self, protocol: WebSocketsWire) -> None:
        super().__init__()
        self.written = bytearray()
        self.reading = True
        self.closing = False
        self._lost = False
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        self._loop.call_soon(self.lose)

    def lose(self, error: Exception | None = None) -> None:
        """End the socket, once."""
        if not self._lost:
            self.closing = self._lost = True
            self._protocol.connection_lost(error)

    abort = close


class Bench:
    """A wire behind its handshake, started with a receiver unless that is to come later."""

    def __init__(
        self, receiver: Any = None, *, start: bool = True, max_size: int = 2**20,
        deflate: str | None = None,
    ) -> None:  # fmt: skip
        extensions = None if deflate is None else [ClientPerMessageDeflateFactory()]
        protocol = ClientProtocol(
            parse_uri("ws://localhost/"), extensions=extensions, max_size=max_size
        )
        self.notes: Any = receiver or Notes()
        self.wire: Any = WebSocketsWire(protocol, ping_interval=None, close_timeout=5)
        self.pipe = Pipe(self.wire)
        self.wire.connection_made(self.pipe)
        protocol.send_request(protocol.connect())
        self.wire.send_data()
        headers = [] if deflate is None else [("Sec-WebSocket-Extensions", deflate)]
        self.wire.data_received(upgrade_answer(bytes(self.pipe.written), headers=headers))
        assert self.wire.response is not None
        self.pipe.written.clear()
        if start:
            self.wire.start(self.notes)

    def feed(self, *chunks: bytes) -> None:
        """Bring chunks by the way of a protocol with a buffer, as event loops do."""
        for chunk in chunks:
            left = memoryview(chunk)
            while left:
                room = self.wire.get_buffer(-1)
                size = min(len(room), len(left))
                room[:size] = left[:size]
                self.wire.buffer_updated(size)
                left = left[size:]

    async def rest(self) -> None:
        """Let the event loop turn until no frame waits."""
        while self.wire._goes_on:  # noqa: ASYNC110 - nobody is notified of it
            await asyncio.sleep(0)

    @property
    def sent(self) -> list[RawFrame]:
        """The frames that were written since the handshake."""
        return FrameReader().feed(bytes(self.pipe.written))

    async def end(self) -> None:
        """Drop the wire, and its timers."""
        self.wire.kill()
        await self.wire.wait_closed()


def pieces(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Cut a stream at positions, which need not be in order."""
    at = sorted(min(cut, len(stream)) for cut in cuts)
    return [stream[a:b] for a, b in zip([0, *at], [*at, len(stream)], strict=True)]
