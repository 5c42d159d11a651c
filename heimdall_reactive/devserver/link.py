"""One connection as the server holds it: its socket, its identity, and its stalls."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast

from heimdall_reactive.transports.deafness import deafen, hear

from .journal import Peer
from .tokens import BEARER_SUBPROTOCOL, Grant

__all__ = ["Arrival", "ServerLink", "ServerWire"]


class Arrival:
    """What the opening handshake told about a client.

    Attributes:
        path: the path it asked for.
        headers: names of its headers.
        grant: its identity; None while it is still unknown or was refused.
        fingerprint: of the token it came with.
    """

    def __init__(self, path: str, headers: tuple[str, ...], fingerprint: str | None) -> None:
        self.path = path
        self.headers = headers
        self.fingerprint = fingerprint
        self.grant: Grant | None = None


class ServerWire(ServerConnection):
    """A connection that is known from its first byte, so that `stop` can end a mute one."""

    def __init__(self, *args: Any, wires: set[ServerWire], **options: Any) -> None:
        super().__init__(*args, **options)
        self.arrival: Arrival | None = None
        self._wires = wires
        self._cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the connection into the server's set."""
        super().connection_made(transport)
        self._wires.add(self)

    def data_received(self, data: bytes) -> None:
        """Handle bytes; a peer that ends or breaks the protocol has the close grace to hang up."""
        super().data_received(data)
        if self._cut is None and self.protocol.close_expected():
            self._cut = self.loop.call_later(self.close_timeout or 0, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the server's set."""
        self._wires.discard(self)
        if self._cut is not None:
            self._cut.cancel()
        super().connection_lost(exc)


class ServerLink:
    """An open connection.

    Attributes:
        id: its number.
        wire: the socket.
        path: the endpoint.
        grant: its identity, None until a first message brings the token.
        channels: names of its subscriptions.
        leaving: set once the server has decided to end it.
        running: cleared during a stall.
    """

    def __init__(self, number: int, wire: ServerWire, arrival: Arrival, buffer_limit: int) -> None:
        self.id = number
        self.wire = wire
        self.path = arrival.path
        self.grant = arrival.grant
        self.channels: set[str] = set()
        self.leaving = False
        self.running = asyncio.Event()
        self.running.set()
        self._limit = buffer_limit
        self._held: deque[str | bytes] = deque()
        self._held_size = 0
        self._wake: asyncio.TimerHandle | None = None

    @property
    def peer(self) -> Peer:
        """The public picture of the connection."""
        subprotocol: str | None = self.wire.subprotocol
        if subprotocol is not None and subprotocol.startswith(BEARER_SUBPROTOCOL):
            subprotocol = "bearer"
        user_id = "" if self.grant is None else self.grant.user_id
        return Peer(self.id, self.path, user_id, frozenset(self.channels), subprotocol)

    def send(self, message: str | bytes) -> bool:
        """Write a message, or hold it during a stall; never wait.

        Returns:
            Whether the connection is still within its bound of unsent bytes.
        """
        if self.leaving:
            return True
        if self.running.is_set():
            broadcast([self.wire], message)
            return self.wire.transport.get_write_buffer_size() <= self._limit
        self._held.append(message)
        self._held_size += len(message)
        return self._held_size <= self._limit

    def stall(self, seconds: float) -> None:
        """Stop reading and writing for `seconds`; of two stalls the one that ends later counts.

        On Linux nothing is acknowledged either, as if the host were gone.
        """
        loop = self.wire.loop
        until = loop.time() + seconds
        if self._wake is not None:
            if self._wake.when() >= until:
                return
            self._wake.cancel()
        self._wake = loop.call_at(until, self.resume)
        self.running.clear()
        deafen(self.wire.transport)
        self.hush()

    def hush(self) -> None:
        """Stop reading from the socket."""
        self.wire.transport.pause_reading()

    def resume(self) -> None:
        """End a stall: send what was held, in order, and read again."""
        self._forget_stall()
        if not self.running.is_set():
            self.running.set()
            hear(self.wire.transport)
            self.wire.transport.resume_reading()
            for message in self._held:
                broadcast([self.wire], message)
        self._held.clear()
        self._held_size = 0

    def abort(self) -> None:
        """Cut the TCP connection, without a close frame."""
        self._forget_stall()
        self._held.clear()
        self.running.set()
        hear(self.wire.transport)
        self.wire.transport.abort()

    def _forget_stall(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
