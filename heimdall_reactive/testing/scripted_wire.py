"""The store's side of a scripted link: the real wire, with the strictness of a test."""

from __future__ import annotations

import threading
from typing import Any

from heimdall_reactive.base.frames import Frame, LaterFrame
from heimdall_reactive.transports import Receiver
from heimdall_reactive.transports.websockets_wire import WebSocketsWire

from .scripted_transport import Dropped

__all__ = ["ScriptedWire"]


class ScriptedWire(WebSocketsWire):
    """The wire of the default transport; what a socket would forgive is an `AssertionError`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clock = self.loop.time
        self._thread = threading.get_ident()
        self._started = False
        self._killed = False

    @property
    def batches(self) -> bool:
        """No: there is no socket, and a test may count on each frame."""
        return False

    def start(self, receiver: Receiver) -> None:
        """See `Wire`."""
        self._check("start()")
        _must(not self._started, "start() was called twice")
        self._started = True
        super().start(receiver)

    def write(self, frame: Frame) -> None:
        """See `Wire`."""
        self._check("write()")
        _must(type(frame.data) is bytes, "write() takes frames of bytes")
        later = isinstance(frame, LaterFrame)
        _must(self.writable or later, "write() while the wire is not writable")
        super().write(frame)

    def end(self, code: int, reason: str = "") -> None:
        """See `Wire`."""
        self._check("end()")
        super().end(code, reason)

    def fail(self, code: int, reason: str) -> None:
        """See `Wire`."""
        self._check("fail()")
        super().fail(code, reason)

    def lose(self, reason: str) -> None:
        """See `Wire`."""
        self._check("lose()")
        super().lose(reason)

    def probe(self, timeout: float) -> None:
        """See `Wire`."""
        self._check("probe()")
        super().probe(timeout)

    def kill(self) -> None:
        """See `Wire`; also from another thread, where the loop is closed."""
        if not self.loop.is_closed():
            self._check_thread("kill()")
        self._killed = True
        super().kill()

    def _break_off(self, error: Exception) -> None:
        context = {"message": "a frame could not be processed", "exception": error}
        self.loop.call_exception_handler(context)
        if not self._killed:
            super()._break_off(error)

    def _what_happened(self) -> str:
        lost = self._error
        return str(lost) if isinstance(lost, Dropped) else super()._what_happened()

    def _check(self, call: str) -> None:
        self._check_thread(call)
        _must(not self._killed, f"{call} after kill()")

    def _check_thread(self, call: str) -> None:
        _must(threading.get_ident() == self._thread, f"{call} on another thread than the loop's")


def _must(holds: bool, words: str) -> None:
    # Not `assert`: it has to hold under -O too.
    if not holds:
        raise AssertionError(f"misuse of a wire: {words}")
