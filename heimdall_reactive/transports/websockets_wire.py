"""A `websockets` connection that pushes.

Way of a frame: the socket wakes the event loop, `websockets` parses, `process_event` takes the
data frames and pushes each whole message into the receiver: no queue, no task, no wake-up between
the socket and the codec, so a slow consumer cannot keep pongs unread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from websockets.asyncio.client import ClientConnection
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from heimdall_reactive.base import messages
from heimdall_reactive.base.masking import told
from heimdall_reactive.base.options import CloseInfo

from . import Receiver
from .ending import cut_reason, tell_end
from .pinging import Pinger
from .splitting import Splits, Splitter
from .taken import abort, all_taken, taken

__all__ = ["WebSocketsWire"]

T = TypeVar("T")

MAX_FRAGMENTS: Final = 4096  # per message, as `websockets` has it; a longer one closes with 1009
HEAD_END: Final = b"\r\n\r\n"
CAUSES: Final[dict[type, str]] = {
    type(None): "the socket ended without a close frame",
    EOFError: "the socket ended without a close frame",
    ConnectionResetError: "the connection was reset",
}


class WebSocketsWire(ClientConnection):
    """A connection that pushes. It is never read by `recv()`.

    `process_event` is undocumented: `websockets` is pinned below the next major version, and
    `tests/transports/test_websockets_wire.py` holds what is relied upon.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._receiver: Receiver | None = None
        self._early: list[tuple[bytes | bytearray, bool]] = []
        self._unread: list[bytes] = []
        self._head = b""  # the last bytes of a response that is not whole yet
        self._parse = super().data_received
        limit = self.protocol.max_message_size or 0
        self._splitter: Splits = Splitter(self._parse, self._is_plain, limit)
        self._fragments: list[bytes] = []
        self._text = False
        self.heard_at = self.loop.time()
        self.clock: Callable[[], float] = time.perf_counter  # of the round trips
        self._pinger: Pinger | None = None
        self._reaper: asyncio.TimerHandle | None = None
        self._cause = ""
        self._error: Exception | None = None  # what ended the socket
        self.held = False
        self._failed = False
        self._lost = False

    # Wire

    @property
    def writable(self) -> bool:
        if self.paused or self.protocol.state is not State.OPEN:
            return False
        return not self.transport.is_closing()

    @property
    def close_received(self) -> bool:
        return self.protocol.close_rcvd is not None

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        early, self._early = self._early, []
        for data, text in early:
            self._push(data, text)
        self._read_on()
        self.transport.resume_reading()
        if self.protocol.state is State.CLOSED:
            # The socket ended between the handshake and now.
            self._report_closed()
        else:
            timeout = self.ping_timeout or 0.0
            self._pinger = Pinger(self, self.ping_interval, timeout, receiver, self.clock)

    def write(self, frame: messages.Frame) -> None:
        if frame.text:
            self.protocol.send_text(frame.data)
        else:
            self.protocol.send_binary(frame.data)
        self.send_data()

    def end(self, code: int, reason: str = "") -> None:
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(code, cut_reason(reason))
            self._send_quietly()
        self._expect_end()

    def lose(self, reason: str) -> None:
        self._lost = True
        self.fail(CloseCode.INTERNAL_ERROR, reason)
        abort(self.transport)

    def probe(self, timeout: float) -> None:
        if self._pinger is not None:
            self._pinger.ping(timeout)

    def prove(self, *, last: bool = False) -> None:
        if self._pinger is not None:
            self._pinger.prove(last=last)

    def taken(self) -> tuple[int, float]:
        return taken(self.transport, self.loop.time())

    def all_taken(self) -> bool:
        return all_taken(self.transport)

    def hold(self, on: bool) -> None:
        self.held = on
        self.heard_at = self.loop.time()
        with contextlib.suppress(RuntimeError):  # the socket is going
            (self.transport.pause_reading if on else self.transport.resume_reading)()

    def kill(self) -> None:
        self._receiver = None
        self._stop_reading()
        self._cancel_timers()
        try:
            abort(self.transport)
        except RuntimeError:  # the event loop is closed; let the peer know all the same
            with contextlib.suppress(OSError):
                self.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        if self.response is None:
            data = self._shake_hands(data)
        if self._receiver is None and not self._failed:
            if data:
                self._unread.append(data)
                self.transport.pause_reading()  # bounds what comes before `start`
        else:
            self._read(self._splitter.feed, data)

    def _read(self, feed: Callable[[T, Callable[[bytes, bool], None]], None], data: T) -> None:
        receiver = self._receiver
        if receiver is None:
            feed(data, self._push)
        else:
            try:
                feed(data, receiver.on_frame)  # straight: it is the way of a frame
            except Exception as error:
                self._break_off(error)
        if self.close_deadline is not None:
            # Without this, a peer that keeps TCP open after a close frame holds us forever.
            self._expect_end()

    def _shake_hands(self, data: bytes) -> bytes:
        """Read the HTTP response; return what came behind it."""
        seen, self._head = self._head + data, (self._head + data)[-3:]
        end = seen.find(HEAD_END) + len(HEAD_END)
        behind = len(seen) - end if end >= len(HEAD_END) else 0
        cut = len(data) - behind
        super().data_received(data[:cut])
        if self.protocol.handshake_exc is not None or self.response is None:
            if cut < len(data) and not self.protocol.reader.eof:
                super().data_received(data[cut:])  # a body, or what is no HTTP
            cut = len(data)
        if self.response is None and self.protocol.handshake_exc is not None:
            self.transport.abort()  # no HTTP: a peer that keeps TCP open would hide that
        return data[cut:]

    def _read_on(self) -> None:
        unread, self._unread = self._unread, []
        for data in unread:
            self._read(self._splitter.feed, data)

    def eof_received(self) -> None:
        self._read_on()
        super().eof_received()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._receiver is not None:
            self._receiver.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        self._read_on()
        super().connection_lost(exc)
        self._error = self._error or exc
        self._cancel_timers()
        self._report_closed()

    # Frames

    def process_event(self, event: Any) -> None:
        if self.response is None or type(event) is not Frame:
            super().process_event(event)
            return
        opcode = event.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            self._text = opcode is Opcode.TEXT
            if event.fin:
                self._push(event.data, self._text)  # type: ignore[arg-type]
            else:
                self._fragments = [bytes(event.data)]
        elif opcode is Opcode.CONT:
            self._append(event)
        elif opcode is Opcode.PONG and self._pinger is not None:
            self._pinger.on_pong(bytes(event.data))

    def _append(self, event: Frame) -> None:
        self._fragments.append(bytes(event.data))
        if len(self._fragments) > MAX_FRAGMENTS:
            self._fragments = []
            self.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
        elif event.fin:
            data, self._fragments = b"".join(self._fragments), []
            self._push(data, self._text)

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

    def _is_plain(self) -> bool:
        """Whether a text frame is a message: nothing fragmented is open, nothing has ended."""
        protocol = self.protocol
        over = protocol.close_rcvd is not None or protocol.parser_exc is not None
        return protocol.current_size is None and not over and not self._failed

    def _stop_reading(self) -> None:
        self._failed = True
        self._splitter.stop()

    # Closable

    def fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455 section 7.1.7); our code and reason are kept."""
        self._cause = self._cause or reason
        self._stop_reading()
        if not self.protocol.eof_sent:  # else the peer has closed the socket: nobody is told
            self.protocol.fail(code, reason)
        self._send_quietly()
        self._expect_end()

    def _send_quietly(self) -> None:
        try:
            self.send_data()
        except OSError as error:  # the socket is gone already; connection_lost follows
            self._error = self._error or error

    def _expect_end(self) -> None:
        if self._reaper is None and not self.connection_lost_waiter.done():
            self._reaper = self.loop.call_later(self.close_timeout or 0.0, abort, self.transport)

    def _report_closed(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.on_closed(self._close_info())

    def _close_info(self) -> CloseInfo:
        protocol = self.protocol
        rcvd, sent = protocol.close_rcvd, protocol.close_sent
        return tell_end(
            None if rcvd is None else (int(rcvd.code), rcvd.reason),
            None if sent is None else (int(sent.code), sent.reason),
            bool(protocol.close_rcvd_then_sent),
            self._cause,
            self._cause or self._what_happened(),
            self._lost,
        )

    def _what_happened(self) -> str:
        cause = self._error or self.protocol.parser_exc
        return CAUSES.get(type(cause), type(cause).__name__)

    # Liveness

    def send_ping(self, payload: bytes) -> None:
        if self.protocol.state is State.OPEN:
            self.protocol.send_ping(payload)
            self._send_quietly()

    def send_pong(self) -> None:
        if self.protocol.state is State.OPEN:
            self.protocol.send_pong(b"")
            self._send_quietly()

    def _cancel_timers(self) -> None:
        if self._pinger is not None:
            self._pinger.stop()
        if self._reaper is not None:
            self._reaper.cancel()
