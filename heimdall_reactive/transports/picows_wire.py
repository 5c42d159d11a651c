"""The default wire, with messages that `picows` cuts out of the stream in a buffer of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from . import Receiver
from .picows_splitting import PicowsSplitter
from .websockets_wire import WebSocketsWire

__all__ = ["PicowsWire"]


class PicowsWire(WebSocketsWire):
    """A `WebSocketsWire` that reads into the buffer of `picows` once it has a receiver."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit = self.protocol.max_message_size or 0
        self._splitter = self._picows = PicowsSplitter(
            self._parse, self._is_plain, limit, self._refuse
        )

    def start(self, receiver: Receiver) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()  # some loops choose how to read when they begin to
            self.transport.set_protocol(_PicowsReader(self, self._picows))
        super().start(receiver)

    def buffer_updated(self, size: int) -> None:
        """Handle bytes that are in the buffer."""
        self.heard_at = self.loop.time()
        self._read(self._picows.take, size)

    def _refuse(self, code: int, reason: str) -> None:
        if self.protocol.close_rcvd is None:  # what follows a close frame is nothing
            self.fail(code, reason)


class _PicowsReader(asyncio.BufferedProtocol):
    """What the event loop sees in place of the wire, whose base class is for copies.

    Args:
        wire: is told of all.
        splitter: has the buffer.
    """

    def __init__(self, wire: PicowsWire, splitter: PicowsSplitter) -> None:
        self._wire = wire
        self._splitter = splitter

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._splitter.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        self._wire.buffer_updated(nbytes)

    def eof_received(self) -> None:
        self._wire.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire.connection_lost(exc)

    def pause_writing(self) -> None:
        self._wire.pause_writing()

    def resume_writing(self) -> None:
        self._wire.resume_writing()
