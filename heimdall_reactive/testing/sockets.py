"""Sockets for the fault kit: a port that can be shut, and a TCP connection ended in every way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import cast

from heimdall_reactive.base.starting import start_task
from heimdall_reactive.transports.deafness import deafen, hear

__all__ = ["ProxyListener", "Side"]

_LIMIT = 64 * 1024
"""Bytes held between two sockets; more is left in the kernel, which slows the sender."""


class Side(asyncio.Protocol):
    """One TCP connection: what arrives is stamped and bounded, what leaves waits for room.

    Attributes:
        transport: asyncio's transport, once it is connected.
        lost: done when the socket is closed.
        error: why it was lost; None after a FIN, or while it is open.
    """

    transport: asyncio.Transport

    def __init__(self, made: Callable[[Side], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.error: Exception | None = None
        self._made = made
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._eof = False
        self._held = False
        self._finished = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handle the transport over."""
        self.use(transport)
        if self._made is not None:
            self._made(self)

    def use(self, transport: asyncio.BaseTransport) -> None:
        """Write to a transport, and let `drain` mean that the kernel has it."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Keep what arrived, with the time it came."""
        self._chunks.append((self._loop.time(), data))
        self._size += len(data)
        if self._size > _LIMIT:
            self.transport.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        """Note the FIN; the other direction stays open, except under TLS, which has no half."""
        self._eof = True
        self._news.set()
        return self.transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.error = exc
        self._eof = True
        self._news.set()
        self._room.set()
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        """Note that the kernel takes no more."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Note that the kernel has taken all."""
        self._room.set()

    async def read(self) -> tuple[float, bytes] | None:
        """Return when the next bytes arrived and what they are; None after the last."""
        while not self._chunks:
            if self._eof:
                return None
            self._news.clear()
            await self._news.wait()
        at, data = self._chunks.popleft()
        self._size -= len(data)
        self._flow()
        return at, data

    def push_back(self, data: bytes) -> None:
        """Put bytes that were read but not used back in front."""
        self._chunks.appendleft((self._loop.time(), data))
        self._size += len(data)

    @property
    def connected(self) -> bool:
        """Whether it was ever connected."""
        return hasattr(self, "transport")

    @property
    def ended(self) -> bool:
        """Whether the peer has sent a FIN, or the socket is lost."""
        return self._eof

    def hold(self, held: bool = True) -> None:
        """Stop reading from the socket, or go on."""
        self._held = held
        if self.connected:
            self._flow()

    def vanish(self, gone: bool = True) -> None:
        """Stop reading, and acknowledge nothing, as a host that is gone; or come back."""
        self.hold(gone)
        (deafen if gone else hear)(self.transport)

    def drop(self) -> None:
        """Close the socket, without what it has not sent."""
        hear(self.transport)  # else nobody would hear of the other end
        self.transport.abort()

    def write(self, data: bytes) -> None:
        """Send bytes; without a bound, unless `drain` is awaited after it. None after a FIN."""
        if not self._finished and not self.transport.is_closing():
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the kernel has taken everything, or the socket is lost."""
        await self._room.wait()

    async def discard(self, hold: bool = False) -> None:
        """Read until the peer ends, and forget what it sends; stay open even then to hold."""
        while await self.read() is not None:
            pass
        if hold:
            await self.lost

    def finish(self) -> None:
        """Send a FIN behind what was written; TLS is closed altogether."""
        if self._finished or self.transport.is_closing():
            return
        self._finished = True
        if self.transport.can_write_eof():
            with contextlib.suppress(OSError):  # the peer has reset it: the loop will tell
                self.transport.write_eof()
        else:
            self.transport.close()

    def reset(self) -> None:
        """Send a RST; what the kernel has not sent yet is lost."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            # A linger of 0 seconds makes the kernel answer the close with a RST.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _flow(self) -> None:
        if self.transport.is_closing():
            return
        if self._held or self._size > _LIMIT:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


class ProxyListener:
    """A port of 127.0.0.1 that is open, refuses, or drops what knocks; the number is kept.

    Args:
        made: is called with each connection.
    """

    def __init__(self, made: Callable[[Side], None]) -> None:
        self.port = 0
        self._made = made
        self._sock: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._starting: asyncio.Task[None] | None = None
        self._fillers: list[socket.socket] = []

    @property
    def listening(self) -> bool:
        """Whether a dial is accepted."""
        return self._starting is not None

    def open(self) -> None:
        """Accept connections from now on.

        Raises:
            OSError: if the port was taken by another program.
        """
        if self.listening:
            return
        sock = self._renew()
        sock.listen(100)  # at once: a dial waits in the backlog until the server has started
        self._starting = start_task(self._serve(sock))

    def refuse(self) -> None:
        """Refuse connections from now on: bound, so that the port stays ours, but not listening."""
        self._renew()

    def drop(self) -> None:
        """Leave every SYN unanswered from now on, as a firewall does (Linux).

        The backlog is one connection long and full, so that the kernel ignores the next.
        """
        sock = self._renew()
        sock.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    async def close(self) -> None:
        """Give the port back."""
        starting = self._starting
        self._shut()
        if starting is not None:
            await asyncio.wait([starting])

    def _renew(self) -> socket.socket:
        self._shut()
        sock = socket.socket()
        try:
            if os.name == "posix":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind(("127.0.0.1", self.port))
        except BaseException:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        self._sock = sock
        return sock

    def _shut(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        while self._fillers:
            self._fillers.pop().close()

    async def _serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Side(self._made), sock=sock)
        if self._sock is sock:
            self._server = server
        else:
            server.close()
