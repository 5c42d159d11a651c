"""A `websockets` connection that pushes.

It adds to `ReadingConnection` what a session does with a socket: writing, pings, the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Response
from websockets.protocol import Protocol, State

from heimdall_reactive.base import frames
from heimdall_reactive.base.options import CloseInfo

from . import Receiver
from .ending import cut_reason, tell_end
from .pinging import Pinger
from .reading import ReadingConnection
from .taken import abort, all_taken, taken
from .writing import can_batch, hand_over, serialize

__all__ = ["WebSocketsWire"]

# What servers answer a close frame with, whatever its code was; another one is their own.
ANSWERS: Final = (CloseCode.NORMAL_CLOSURE, CloseCode.NO_STATUS_RCVD)
CAUSES: Final[dict[type, str]] = {
    type(None): "the socket ended without a close frame",
    EOFError: "the socket ended without a close frame",
    ConnectionResetError: "the connection was reset",
}


class _Unread:
    """Stands for the queue of `recv()`, which nobody calls."""

    def close(self) -> None:
        """End nothing."""


# What every open connection can share.
UNREAD: Final = _Unread()
UPGRADED: Final = Response(101, "Switching Protocols", Headers())


class WebSocketsWire(ReadingConnection):
    """What a session writes to and is pushed by; see `Wire`."""

    __slots__ = ("_cause", "_error", "_lost", "_pinger", "_reaper", "clock")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clock: Callable[[], float] = time.perf_counter  # of the round trips
        self._pinger: Pinger | None = None
        self._reaper: asyncio.TimerHandle | None = None
        self._cause = ""
        self._error: Exception | None = None  # what ended the socket
        self._lost = False

    def forget_handshake(self) -> None:
        """Drop what the handshake needed, and what `recv()` would: the token, and 2 KB."""
        protocol = self.protocol
        self.request = None  # it holds the token, and so may these
        protocol.uri = replace(protocol.uri, username=None, password=None, query="")
        protocol.available_subprotocols = protocol.available_extensions = None
        if protocol.state is State.OPEN:  # the parser of the handshake keeps the answer
            protocol.parser = Protocol.parse(protocol)  # it begins with its first bytes
        logger = getattr(self.logger, "logger", self.logger)  # without what names this connection
        self.logger = protocol.logger = logger
        self.recv_messages: Any = UNREAD
        self.drain_waiters: Any = ()  # of `send()`
        del self.response_rcvd, self._answer

    # Wire

    @property
    def writable(self) -> bool:
        if self.paused or self.protocol.state is not State.OPEN:
            return False
        return not self.transport.is_closing()

    @property
    def close_received(self) -> bool:
        protocol = self.protocol
        rcvd, sent = protocol.close_rcvd, protocol.close_sent
        if rcvd is None or sent is None or protocol.close_rcvd_then_sent:
            return False
        return rcvd.code in (sent.code, *ANSWERS)

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.response = UPGRADED  # its headers were asked for by now: they take 1 KB
        early, self._early = self._early, []
        for data, text in early:
            self._push(data, text)
        self._read_on()
        if not self._goes_on:
            self.transport.resume_reading()
        if self.protocol.state is State.CLOSED:
            # The socket ended between the handshake and now.
            self._report_closed()
        else:
            timeout = self.ping_timeout or 0.0
            self._pinger = Pinger(self, self.ping_interval, timeout, receiver, self.clock)

    def write(self, frame: frames.Frame) -> None:
        if frame.text:
            self.protocol.send_text(frame.data)
        else:
            self.protocol.send_binary(frame.data)
        self.send_data()

    @property
    def batches(self) -> bool:
        return can_batch(self.transport)

    def write_all(self, frames: Sequence[frames.Frame]) -> tuple[int, int]:
        return hand_over(self.transport, serialize(frames, self.protocol.extensions))

    def end(self, code: int, reason: str = "") -> None:
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(code, cut_reason(reason))
            self._send_quietly()
        self._expect_end()

    def lose(self, reason: str) -> None:
        if self.protocol.state is State.OPEN:  # else it ends already, with a code that says why
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
            if on:
                self.transport.pause_reading()
            elif self._splitter.behind:
                self._go_on_later()
            elif not self._goes_on:
                self.transport.resume_reading()

    def kill(self) -> None:
        self._receiver = None
        self._stop_reading()
        self._cancel_timers()
        try:
            abort(self.transport)
        except RuntimeError:  # the event loop is closed; let the peer know all the same
            with contextlib.suppress(OSError):
                self.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    # Its end

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._receiver is not None:
            self._receiver.on_writable()

    def _finish(self, exc: Exception | None) -> None:
        super()._finish(exc)
        self._error = self._error or exc
        self._cancel_timers()
        self._report_closed()

    def on_close_frame(self) -> None:
        """End with the peer's close frame, which ours has answered: nothing comes behind it.

        The server is to close the socket (RFC 6455 section 7.1.1), but some take their time, and a
        store must not look connected until then.
        """
        self._expect_end()
        # Before the report: who waits for the end finds the socket closed. `close` would wait for
        # a peer that reads nothing, and with TLS for its goodbye again.
        self.transport.abort()
        self._report_closed()

    def fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455 section 7.1.7); our code and reason are kept."""
        self._cause = self._cause or reason
        if self._pings:
            self._answer_pings()  # behind the close frame it would be too late
        self._stop_reading()
        if not self.protocol.eof_sent:  # else the peer has closed the socket: nobody is told
            self.protocol.fail(code, cut_reason(reason))
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

    def on_pong(self, payload: bytes) -> None:
        if self._pinger is not None:
            self._pinger.on_pong(payload)

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
