"""The store's side of a scripted link: a wire without a socket, as strict as it can be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from heimdall_reactive.base.messages import Frame
from heimdall_reactive.base.options import CloseInfo, StoreOptions
from heimdall_reactive.transports import Receiver
from heimdall_reactive.transports.ending import cut_reason, tell_end
from heimdall_reactive.transports.pinging import Pinger

__all__ = ["Closing", "End", "Event", "Pinging", "Ponging", "ScriptedWire"]

TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
NO_CLOSE_FRAME: Final = "the socket ended without a close frame"


class Pinging(NamedTuple):
    """A protocol ping."""

    number: int


class Ponging(NamedTuple):
    """The answer to a protocol ping."""

    number: int


class Closing(NamedTuple):
    """A close frame."""

    code: int
    reason: str


class End(NamedTuple):
    """The end of the socket."""

    reason: str = NO_CLOSE_FRAME


Event: TypeAlias = Frame | Pinging | Ponging | Closing | End


class ScriptedWire:
    """A `Wire` that hands over what is written, and is handed what arrives.

    It behaves as `WebSocketsWire`, time-outs included, on the timers of the running loop. What a
    socket would forgive or break on is an `AssertionError` here.

    Args:
        options: the store's.
        out: takes what the store's side sends, at once.

    Attributes:
        paused: whether the buffer of the operating system is full.
        heard_at: see `Wire`.
        open: whether the socket is there; a closing handshake may be under way.
    """

    def __init__(self, options: StoreOptions, out: Callable[[Event], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.heard_at = self.loop.time()
        self.paused = False
        self.open = True
        self._thread = threading.get_ident()
        self._options = options
        self._out = out
        self._receiver: Receiver | None = None
        self._started = False
        self._killed = False
        self._early: list[Frame] = []
        self._sent: Closing | None = None
        self._rcvd: Closing | None = None
        self._answered = False  # our close frame is the answer to the peer's
        self._failed = False
        self._lost = False
        self._cause = ""
        self.held = False
        self._behind: list[Event] = []  # came while the store did not read
        self._pinger: Pinger | None = None
        self._reaper: asyncio.TimerHandle | None = None

    # Wire

    @property
    def writable(self) -> bool:
        """See `Wire`."""
        return self.open and not self.paused and not self._is_closing()

    def start(self, receiver: Receiver) -> None:
        """See `Wire`."""
        self._check("start()")
        _must(not self._started, "start() was called twice")
        self._started, self._receiver = True, receiver
        early, self._early = self._early, []
        for frame in early:
            self._push(frame)
        if not self.open:
            self._report_closed()
        else:
            interval, timeout = self._options.ping_interval, self._options.ping_timeout
            told, clock = receiver.on_latency, self.loop.time
            self._pinger = Pinger(self, interval, timeout, told, clock)

    def write(self, frame: Frame) -> None:
        """See `Wire`."""
        self._check("write()")
        _must(self.writable, "write() while the wire is not writable")
        _must(type(frame.data) is bytes, "write() takes frames of bytes")
        self._out(frame)

    def end(self, code: int, reason: str = "") -> None:
        """See `Wire`."""
        self._check("end()")
        self._close(code, cut_reason(reason))
        self._expect_end()

    def fail(self, code: int, reason: str) -> None:
        """See `Wire`."""
        self._check("fail()")
        self._cause = self._cause or reason
        self._failed = True
        self._close(code, reason)
        self._expect_end()

    def lose(self, reason: str) -> None:
        """See `Wire`."""
        self._lost = True
        self.fail(INTERNAL_ERROR, reason)
        self._abort()

    def probe(self, timeout: float) -> None:
        """See `Wire`."""
        self._check("probe()")
        if self._pinger is not None:
            self._pinger.ping(timeout)

    def hold(self, on: bool) -> None:
        """See `Wire`."""
        self.held, self.heard_at = on, self.loop.time()
        behind, self._behind = self._behind, []
        for event in behind:
            self.arrive(event)

    def kill(self) -> None:
        """See `Wire`; also from another thread, where the loop is closed."""
        if not self.loop.is_closed():
            self._check_thread("kill()")
        self._receiver, self._killed = None, True
        self._shut()

    # From the peer

    def arrive(self, event: Event) -> None:
        """Take what comes from the peer."""
        if not self.open:
            return
        if self.held:
            self._behind.append(event)
            return
        if isinstance(event, End):
            self._end(event)
            return
        self.heard_at = self.loop.time()
        if self._failed or self._rcvd is not None:
            return  # nothing is read behind a close frame, or after a failure
        match event:
            case Frame():
                self._push(event)
            case Ponging():
                if self._pinger is not None:
                    self._pinger.on_pong(b"%d" % event.number)
            case Closing():
                self._rcvd = event
                if self._sent is None:
                    self._answered = True
                    self._close(event.code, event.reason)
                self._expect_end()

    def resume(self) -> None:
        """Be told that the buffer is empty again."""
        if self._receiver is not None and not self.paused:
            self._receiver.on_writable()

    def cut(self, reason: str) -> None:
        """Break the socket; it is noticed soon."""
        if self.open:
            self._cause = self._cause or reason
            self._abort()

    # Parts

    def _push(self, frame: Frame) -> None:
        if self._killed or self._failed:
            return
        if self._receiver is None:
            self._early.append(frame)
            return
        if len(frame.data) > self._options.max_size:
            self.fail(TOO_BIG, f"a message of {len(frame.data)} bytes is over max_size")
            return
        try:
            self._receiver.on_frame(frame.data, frame.text)
        except Exception as error:
            told = "a frame could not be processed"
            self.loop.call_exception_handler({"message": told, "exception": error})
            if not self._killed:
                self.fail(INTERNAL_ERROR, f"{type(error).__name__} while receiving")

    def _is_closing(self) -> bool:
        return self._sent is not None or self._rcvd is not None

    def _close(self, code: int, reason: str) -> None:
        if self.open and self._sent is None:
            self._sent = Closing(code, reason)
            self._out(self._sent)

    def _expect_end(self) -> None:
        if self._reaper is None and self.open:
            self._reaper = self.loop.call_later(self._options.close_timeout, self._abort)

    def _abort(self) -> None:
        if self.open:
            self._shut()
            self.loop.call_soon(self._report_closed)

    def _end(self, event: End) -> None:
        self._cause = self._cause or event.reason
        self._shut()
        self._report_closed()

    def _shut(self) -> None:
        if self._pinger is not None:
            self._pinger.stop()
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        if self.open:
            self.open = False
            self._out(End())

    def _report_closed(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.on_closed(self._close_info())

    def _close_info(self) -> CloseInfo:
        ours = self._cause if self._failed else ""
        befell = self._cause or NO_CLOSE_FRAME
        return tell_end(self._rcvd, self._sent, self._answered, ours, befell, self._lost)

    # Liveness

    def send_ping(self, payload: bytes) -> None:
        """Send a ping, see `Pinger`."""
        if self.open and not self._is_closing():
            self._out(Pinging(int(payload)))

    # Strictness

    def _check(self, call: str) -> None:
        self._check_thread(call)
        _must(not self._killed, f"{call} after kill()")

    def _check_thread(self, call: str) -> None:
        _must(threading.get_ident() == self._thread, f"{call} on another thread than the loop's")


def _must(holds: bool, words: str) -> None:
    # Not `assert`: it has to hold under -O too.
    if not holds:
        raise AssertionError(f"misuse of a wire: {words}")
