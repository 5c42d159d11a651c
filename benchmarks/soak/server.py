"""The soak's server: numbers what it sends, notes and acknowledges what it gets, and restarts."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.protocol import State

from .words import HEADER, Ended, Got, Published, number_of

__all__ = ["Desk", "SoakServer"]

TICK = 0.025  # seconds between two messages to a store
NO_HANDLER = 0.5  # seconds after which a lost connection without a handler counts as read
_log = logging.getLogger("benchmarks.soak.server")


class Desk:
    """What the server knows of one store.

    Attributes:
        published: numbered messages, for the ledger to take.
        received: what was read, for the ledger to take.
        links: the connections that are open.
        number: of the last message published.
    """

    def __init__(self) -> None:
        self.published: deque[Published] = deque()
        self.received: deque[Got | Ended] = deque()
        self.links: set[Link] = set()
        self.number = 0

    def publish(self) -> None:
        """Give the next message to every connection; none has to be open."""
        self.number += 1
        at = time.time()
        self.published.append(Published(self.number, at))
        broadcast(self.links, f"d{self.number}:{at!r}")


class Link(ServerConnection):
    """A connection that knows whose it is, and notes its end."""

    desk: Desk | None = None
    dial = 0
    started = False
    by_server = False

    def enter(self, desk: Desk, dial: int) -> None:
        """Get every message from now on: the answer to the upgrade leaves before the next one."""
        self.desk, self.dial = desk, dial
        desk.links.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Get no message any more."""
        super().connection_lost(exc)
        if self.desk is not None:
            self.desk.links.discard(self)
            if not self.started:
                self.loop.call_later(NO_HANDLER, self.note_end)

    def note_end(self) -> None:
        """Note that all was read."""
        if self.desk is not None:
            sent, answered = self.protocol.close_sent, self.protocol.close_rcvd_then_sent
            no_pong = sent is not None and sent.code == CloseCode.INTERNAL_ERROR and not answered
            self.desk.received.append(Ended(self.dial, self.by_server or no_pong))


class SoakServer:
    """A server on an event loop and a thread of its own.

    Args:
        stores: how many stores it serves.

    Attributes:
        desks: one for each store.
        port: where it listens.
    """

    def __init__(self, stores: int) -> None:
        self.desks = [Desk() for _ in range(stores)]
        self.port = 0
        self._server: Server | None = None
        self._links: set[Link] = set()
        self._thread = threading.Thread(target=self._run, name="soak-server")
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._done = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return when it listens."""
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        """End every connection, the loop and the thread."""
        self._started.result().call_soon_threadsafe(self._done.set)
        self._thread.join()

    def restart(self, crash: bool, downtime: float) -> None:
        """Drop everybody, with 1012 or without a word, and listen again after the downtime."""
        self._started.result().call_soon_threadsafe(self._begin_restart, crash, downtime)

    def flood(self, store: int, frames: bytes) -> None:
        """Write frames, as they are, to every connection of a store."""
        self._started.result().call_soon_threadsafe(self._flood, self.desks[store], frames)

    def _flood(self, desk: Desk, frames: bytes) -> None:
        for link in desk.links:
            if link.state is State.OPEN:  # else it may have sent its last byte already
                link.transport.write(frames)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        await self._listen(_bound(0))
        self._started.set_result(asyncio.get_running_loop())
        while not self._done.is_set():
            for desk in self.desks:
                desk.publish()
            await asyncio.sleep(TICK)
        for task in self._tasks:
            task.cancel()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _listen(self, sock: socket.socket) -> None:
        self.port = sock.getsockname()[1]
        self._server = await serve(
            self._handle, sock=sock, create_connection=Link, process_response=self._admit,
            ping_interval=1.0, ping_timeout=1.5, close_timeout=0.3, logger=_log,
        )  # fmt: skip

    def _begin_restart(self, crash: bool, downtime: float) -> None:
        server, self._server = self._server, None
        if server is not None:
            task = asyncio.get_running_loop().create_task(self._restart(server, crash, downtime))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _restart(self, server: Server, crash: bool, downtime: float) -> None:
        server.close(close_connections=False)
        links = list(self._links)
        for link in links:
            link.by_server = True
            if crash:
                link.transport.abort()
        if not crash:
            await asyncio.gather(*(link.close(1012, "restart") for link in links))
        await asyncio.sleep(0)
        sock = _bound(self.port)  # at once, so that nobody else is given the port
        await asyncio.sleep(downtime)
        await self._listen(sock)

    def _admit(self, connection: ServerConnection, request: Request, response: Response) -> None:
        store, dash, dial = request.headers.get(HEADER, "").partition("-")
        if isinstance(connection, Link) and dash and response.status_code == 101:
            connection.enter(self.desks[int(store)], int(dial))

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Link)
        connection.started = True
        self._links.add(connection)
        try:
            async for message in connection:
                self._take(connection, message)
        except ConnectionClosed:
            pass
        finally:
            self._links.discard(connection)
            connection.note_end()

    def _take(self, link: Link, message: Any) -> None:
        if message == "ping":
            broadcast([link], "pong")
        elif link.desk is not None and (number := number_of(message)):
            link.desk.received.append(Got(link.dial, number))
            broadcast([link], f"a{number}")


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock
