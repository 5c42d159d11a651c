"""`PicowsSplitter`: cuts a stream at its frames by the parser of `picows`, which is of C.

Of `picows` only the parser is used. Its `send` masks with the `rand()` of C, which nobody seeds
(RFC 6455 section 5.3 wants a strong source), and reserved bits, fragments, close codes, redirects
and proxies are not its business: all of that is done as by the default transport.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import sys
from collections.abc import Callable
from typing import Any, Final

from picows import WSAutoPingStrategy, WSFrame, WSListener, WSMsgType, WSTransport
from picows.picows import WSProtocol  # type: ignore[attr-defined] # pyright: ignore

__all__ = ["PicowsSplitter"]

TEXT: Final = WSMsgType.TEXT
BINARY: Final = WSMsgType.BINARY
BUFFER: Final = 16 * 1024  # bytes to begin with
PIECE: Final = 64 * 1024  # bytes that are read at once: each time it is full, a buffer doubles
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# An adapter, as `picows` would make a child of a logger, and that one speaks for itself.
silence: Final = logging.LoggerAdapter(logging.Logger("heimdall_reactive.silence"), {})
silence.logger.disabled = True


class PicowsSplitter(WSListener):
    """Hands whole text and binary messages on, and every other frame to the parser.

    What is against the protocol already in a frame's head ends the reading. All else is judged by
    the parser, which gets the frame as it came, once it is whole.

    Args:
        parse: takes bytes of all other frames.
        is_plain: returns whether a data frame may take the short way now: no fragmented message is
            open, and no close frame has come.
        limit: bytes of the largest payload.
        refuse: takes the close code and the reason where a frame is against the protocol.
    """

    def __init__(
        self,
        parse: Callable[[bytes], None],
        is_plain: Callable[[], bool],
        limit: int,
        refuse: Callable[[int, str], None],
    ) -> None:
        super().__init__()
        self._parse = parse
        self._is_plain = is_plain
        self._refuse = refuse
        self._push: Callable[[bytes, bool], None] = _nowhere
        self._plain = True
        self._over = False
        self._raised: BaseException | None = None
        protocol = _opened(self, limit)
        self._feed: Callable[[int], None] = protocol.buffer_updated
        self._picows: WSTransport = protocol.transport
        self._room: Callable[[int], memoryview] = protocol.get_buffer

    def stop(self) -> None:
        """Handle nothing more."""
        self._over, self._plain = True, False

    def feed(self, data: bytes, push: Callable[[bytes, bool], None]) -> None:
        """Handle what came from the socket; see `Splitter.feed`."""
        while data:
            room = self.get_buffer(-1)
            piece, data = data[: len(room)], data[len(room) :]
            room[: len(piece)] = piece
            self.take(len(piece), push)

    def get_buffer(self, hint: int) -> memoryview:
        """Return where the next bytes are to be written; see `asyncio.BufferedProtocol`."""
        room = self._room(hint)
        return room if len(room) <= PIECE else room[:PIECE]

    def take(self, size: int, push: Callable[[bytes, bool], None]) -> None:
        """Handle what was written into the buffer.

        Args:
            size: bytes of it.
            push: takes the payload of a message, and whether it is text.
        """
        if self._over:
            return
        self._push, self._plain = push, self._is_plain()
        self._feed(size)
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised
        if self._picows.is_close_frame_sent and not self._over:
            self.stop()
            sent = self._picows.close_handshake.sent
            assert sent is not None
            self._refuse(sent.code.value, sent.reason)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Handle a frame from `picows`, which must not meet an error of ours."""
        try:
            # The order is that of the costs: a reserved bit takes 25 ns, the type 90 ns.
            if self._plain and frame.fin and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
                kind = frame.msg_type
                if kind is TEXT or kind is BINARY:
                    self._push(frame.get_payload_as_bytes(), kind is TEXT)
                    return
            if not self._over:
                self._parse(_rebuilt(frame))
                self._plain = self._is_plain()
        except Exception as error:
            self.stop()
            self._raised = error
        except BaseException as error:  # an interruption: the other frames are still to come
            self._raised = error


def _nowhere(data: bytes, text: bool) -> None:
    """Handle what comes before there is a receiver; nothing does."""


def _rebuilt(frame: WSFrame) -> bytes:
    """Return a frame as it came; `picows` refuses lengths that are not in their shortest form."""
    bits = (frame.fin << 7) | (frame.rsv1 << 6) | (frame.rsv2 << 5) | (frame.rsv3 << 4)
    first = bits | frame.msg_type.value
    size = frame.payload_size
    if size < 126:
        head = bytes((first, size))
    elif size < 1 << 16:
        head = bytes((first, 126)) + size.to_bytes(2)
    else:
        head = bytes((first, 127)) + size.to_bytes(8)
    return head + frame.get_payload_as_bytes()


def _opened(listener: WSListener, limit: int) -> Any:
    """Return the protocol of `picows`, which believes that its upgrade was answered.

    Its class is not documented: `picows` is pinned below the next minor version, and
    `tests/transports/test_picows.py` holds what is relied upon.
    """
    protocol = WSProtocol(
        "",  # host
        "/",
        True,  # it is the client
        lambda *_: listener,
        silence,
        True,  # it would disconnect where the listener raises
        None,  # no time-out of the handshake
        False, 10, 10, WSAutoPingStrategy.PING_WHEN_IDLE,  # no pings of its own
        False,  # no pongs
        min(limit, sys.maxsize),
        None,  # no headers
        BUFFER,
    )  # fmt: skip
    nothing = _Nothing()
    protocol.connection_made(nothing)
    answer = nothing.answer()
    protocol.get_buffer(-1)[: len(answer)] = answer
    protocol.buffer_updated(len(answer))
    return protocol


class _Nothing:
    """What `picows` takes for its transport and its socket: all that it writes is its upgrade."""

    def __init__(self) -> None:
        self._written = b""

    def answer(self) -> bytes:
        """Return the 101 to the upgrade."""
        key = self._written.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        # With TLS it writes by `write`, without it to the descriptor.
        return self if name in ("socket", "ssl_object") else default

    def write(self, data: bytes) -> None:
        self._written = self._written or bytes(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *_: int) -> None:
        pass

    def getsockopt(self, *_: int) -> int:
        return 0

    def close(self) -> None:
        pass
