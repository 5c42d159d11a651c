"""Reading from a `websockets` connection, which pushes.

Way of a frame: the socket wakes the event loop, the `Splitter` cuts out the whole messages and
pushes each into the receiver; `websockets` parses the other frames. There is no queue, no task and
no wake-up between the socket and the codec, so a slow consumer cannot keep pongs unread.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Callable
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from heimdall_reactive.base.masking import told

from . import Receiver
from .answer import AnswerReader
from .inflating import Inflater, TooBig, packed_limit
from .splitting import Outlets, Splitter
from .taken import left_in_tls
from .turns import turn

__all__ = ["ReadingConnection"]

MAX_FRAGMENTS: Final = 4096  # per message, as `websockets` has it; a longer one closes with 1009
MAX_PONGS: Final = 16  # pings of one segment that are answered each; of more, the newest
SIP: Final = 4096  # bytes that are read where the next payload will be read in place
LITTLE: Final = 1024  # bytes that cannot hold many frames
PONG_HEAD: Final = b"\x8a"
MAX_LINE: Final = 8192  # bytes of a header line, as `websockets` has it, which refuses more


class ReadingConnection(ClientConnection, asyncio.BufferedProtocol):
    """A connection that pushes what it reads. It is never read by `recv()`.

    `process_event` is undocumented: `websockets` is pinned below the next major version, and
    `tests/transports/test_websockets_wire.py` holds what is relied upon.
    """

    # Beside the dict of `websockets`: with more than 30 names, that one would take 1 KB more.
    __slots__ = (
        "_answer", "_early", "_failed", "_fragments", "_goes_on", "_head", "_inflater", "_limit",
        "_lost_by", "_pings", "_pong", "_receiver", "_splitter", "_text", "_unread", "heard_at",
        "held",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # As early as in the first connection of all: CPython shares the names of instances only
        # as far as they were there when others were made, and a dict of its own takes 1.2 KB.
        self.transport: Any = None
        self.recv_messages: Any = None
        self._receiver: Receiver | None = None
        self._early: list[tuple[bytes | bytearray, bool]] = []
        self._unread: list[bytes] = []
        self._head = b""  # the last line of the response, which is not whole yet
        self._answer = AnswerReader()
        self._limit = self.protocol.max_message_size or 0
        self._splitter = Splitter(Outlets(self._parse, self._is_plain), self._limit)
        self._inflater: Inflater | None = None
        self._pings: list[bytes] = []  # to be answered
        self._pong = b""  # that waits until the socket takes it
        self._goes_on = False  # in the next turn of the event loop
        self._lost_by: list[Exception | None] = []  # the end of the socket waits, too
        self._fragments: list[bytes] = []
        self._text = False
        self.heard_at = self.loop.time()
        self.held = False
        self._failed = False

    # What the wire adds

    def fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455 section 7.1.7)."""
        raise NotImplementedError

    def on_close_frame(self) -> None:
        """End with the peer's close frame, which ours has answered: nothing comes behind it."""
        raise NotImplementedError

    def on_pong(self, payload: bytes) -> None:
        """Handle a pong."""
        raise NotImplementedError

    def _expect_end(self) -> None:
        raise NotImplementedError

    def _send_quietly(self) -> None:
        raise NotImplementedError

    def _finish(self, exc: Exception | None) -> None:
        super().connection_lost(exc)

    # asyncio.BufferedProtocol

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go: most are copied at once, a large payload stays there."""
        splitter = self._splitter
        if (room := splitter.room) is not None:
            return room
        return turn.scratch[:SIP] if splitter.was_large else turn.scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Handle bytes that were written there."""
        if self._splitter.room is None:
            self.data_received(bytes(turn.scratch[:nbytes]))
        else:
            self.heard_at = self.loop.time()
            self._read(self._splitter.fill, nbytes)

    def data_received(self, data: bytes) -> None:
        """Handle bytes that came."""
        self.heard_at = self.loop.time()
        if self.response is None:
            data = self._shake_hands(data)
        if self._receiver is None and not self._failed:
            if data:
                self._unread.append(data)
                self.transport.pause_reading()  # bounds what comes before `start`
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        """Read frames; those that this turn of the event loop has no time for wait for the next."""
        splitter, is_late = self._splitter, None
        # Without a receiver the socket has ended: nothing is called that could take long.
        if self._receiver is not None and (len(data) > LITTLE or splitter.behind):
            turn.begin(self.loop)
            is_late = turn.is_late
        self._read(splitter.feed, data, is_late)
        if splitter.behind:
            with contextlib.suppress(RuntimeError):  # the socket is going
                self.transport.pause_reading()
            self._go_on_later()

    def _go_on_later(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            turn.wait(self.loop, self._go_on)

    def _go_on(self) -> None:
        self._goes_on = False
        if self._splitter.behind and not self.held:
            self._feed(b"")
        if not self._splitter.behind:
            if self._lost_by:
                self._finish(self._lost_by.pop())
            elif not self.held:
                with contextlib.suppress(RuntimeError):  # the socket is going
                    self.transport.resume_reading()

    def _read(self, read: Callable[..., None], what: bytes | int, *rest: Any) -> None:
        receiver = self._receiver
        if receiver is None:
            read(what, self._push, *rest)
        else:
            try:
                read(what, receiver.on_frame, *rest)  # straight: it is the way of a frame
            except Exception as error:
                self._break_off(error)
        if self._pings:
            self._answer_pings()
        if self.protocol.close_rcvd is not None and self._receiver is not None:
            # A turn later: who waits for what came right before it, as a login does, goes first.
            self.loop.call_soon(self.on_close_frame)
        elif self.close_deadline is not None:
            # Without this, a peer that keeps TCP open after a close frame holds us forever.
            self._expect_end()

    def _shake_hands(self, data: bytes) -> bytes:
        """Read the HTTP response line by line; return what came behind it."""
        seen, self._head = self._head + data, b""
        while self.response is None and self.protocol.handshake_exc is None:
            end = seen.find(b"\n") + 1
            if not end and len(seen) <= MAX_LINE:
                self._head = seen
                return b""
            line, seen = (seen[:end], seen[end:]) if end else (seen, b"")
            if line := self._answer.read(line):
                super().data_received(line)
        if self.protocol.handshake_exc is None:
            self._allow_compression()
            return seen
        if self.response is None:
            self.transport.abort()  # no HTTP: a peer that keeps TCP open would hide that
        return b""

    def _read_on(self) -> None:
        unread, self._unread = b"".join(self._unread), []
        if unread:
            self._feed(unread)

    def eof_received(self) -> None:
        """Handle the end of what the peer sends; TLS brings it also while we do not read."""
        self._read_on()
        if not self._splitter.behind:  # else with the end of the socket, which follows
            super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the socket, behind the frames that wait for the next turn."""
        if rest := left_in_tls(self.transport):
            self._unread.append(rest)
        self._read_on()
        if self._splitter.behind:
            self._lost_by.append(exc)
            self.held = False
            self._go_on_later()
        else:
            self._finish(exc)

    # Frames

    def process_event(self, event: Any) -> None:
        """Handle a frame that `websockets` has parsed."""
        if self.response is None or type(event) is not Frame:
            super().process_event(event)
            return
        opcode = event.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            self._text = opcode is Opcode.TEXT
            if event.fin:
                self._push_whole(event.data)  # type: ignore[arg-type]
            else:
                self._fragments = [bytes(event.data)]
        elif opcode is Opcode.CONT:
            self._append(event)
        elif opcode is Opcode.PONG:
            self.on_pong(bytes(event.data))

    def _append(self, event: Frame) -> None:
        self._fragments.append(bytes(event.data))
        if len(self._fragments) > MAX_FRAGMENTS:
            self._fragments = []
            self.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
        elif event.fin:
            data, self._fragments = b"".join(self._fragments), []
            self._push_whole(data)

    def _push_whole(self, data: bytes | bytearray) -> None:
        if len(data) > self._limit:  # the parser's own limit is that of compressed frames
            self._refuse_size()
        else:
            self._push(data, self._text)

    def _inflate(self, data: bytes, text: bool) -> None:
        assert self._inflater is not None
        try:
            message = self._inflater(data)
        except TooBig:
            self._refuse_size()
        except zlib.error:
            self.fail(CloseCode.PROTOCOL_ERROR, "decompression failed")
        else:
            self._push(message, text)

    def _refuse_size(self) -> None:
        self.fail(CloseCode.MESSAGE_TOO_BIG, f"the message is larger than max_size={self._limit}")

    def _push(self, data: bytes | bytearray, text: bool) -> None:
        if self._failed:
            return  # nothing is read after a failure (RFC 6455 section 7.1.7)
        if self._receiver is None:  # the socket ended before `start`
            self._early.append((data, text))
            return
        try:
            self._receiver.on_frame(data, text)
        except Exception as error:
            self._break_off(error)

    def _break_off(self, error: Exception) -> None:
        # A defect in the way of the frame: raised into asyncio it would end in a mute 1006.
        self.logger.error("a frame could not be processed: %s", told(error))
        self.fail(CloseCode.INTERNAL_ERROR, f"{type(error).__name__} while receiving")

    def _allow_compression(self) -> None:
        """Let compressed messages take the short way; `max_size` is that of what they hold."""
        self._inflater = Inflater.of(self.protocol.extensions, self._limit)
        packed = -1
        if self._inflater is not None and self._limit:
            packed = self.protocol.max_message_size = packed_limit(self._limit)
        outlets = Outlets(self._parse, self._is_plain, self._inflate, self._on_ping, self.on_pong)
        self._splitter = Splitter(outlets, self._limit, packed)

    def _is_plain(self) -> bool:
        """Whether a text frame is a message: nothing fragmented is open, nothing has ended."""
        protocol = self.protocol
        over = protocol.close_rcvd is not None or protocol.parser_exc is not None
        return protocol.current_size is None and not over and not self._failed

    def _stop_reading(self) -> None:
        self._failed = True
        self._splitter.stop()

    # Pings of the peer

    def _on_ping(self, payload: bytes) -> None:
        self._pings.append(payload)
        if len(self._pings) > MAX_PONGS:
            del self._pings[0]

    def _parse(self, data: bytes) -> None:
        if self._pings:
            self._answer_pings()  # behind a close frame it would be too late
        super().data_received(data)

    def _answer_pings(self) -> None:
        """Answer what came in one segment, or the newest only (RFC 6455 section 5.5.3)."""
        pings, self._pings = self._pings, []
        if self.protocol.state is State.OPEN:
            for payload in pings:
                self.protocol.send_pong(payload)
            self._send_quietly()

    def send_data(self) -> None:
        """Write what the protocol has; of the pongs that the socket does not take, the newest."""
        if self.paused:
            pongs = [each for each in self.protocol.writes if each[:1] == PONG_HEAD]
            if pongs:
                self._pong = pongs[-1]
                self.protocol.writes = [each for each in self.protocol.writes if each not in pongs]
        super().send_data()

    def resume_writing(self) -> None:
        """Write the pong that waited for room."""
        super().resume_writing()
        pong, self._pong = self._pong, b""
        if pong and self.protocol.state is State.OPEN and not self.transport.is_closing():
            self.transport.write(pong)
