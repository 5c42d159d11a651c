"""The listening socket: it opens, closes, and comes back on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from ssl import SSLContext
from typing import cast

from websockets.asyncio.server import Server, ServerConnection, serve

from heimdall_reactive.base.starting import start_task

from .handshake import Handshake
from .link import ServerWire

__all__ = ["ServerListener", "Settings"]

_log = logging.getLogger("heimdall_reactive.devserver")
_wire_log = logging.getLogger("heimdall_reactive.devserver.wire")
# At DEBUG the wire's log would show every header, tokens included; a root logger at DEBUG must
# not bring that about.
_wire_log.setLevel(logging.INFO)
# The level alone is not enough: `dictConfig` takes it away where it configures a logger above.
_wire_log.addFilter(lambda record: record.levelno >= logging.INFO)


@dataclass(frozen=True)
class Settings:
    """The options of `DevServer`, which documents them."""

    host: str
    port: int
    require_token: bool
    first_message_auth: bool
    auth_timeout: float
    echo: bool
    acknowledge: bool
    compression: str | None
    max_size: int | None
    buffer_limit: int
    history: int
    close_grace: float
    ssl: SSLContext | None


class ServerListener:
    """Accept connections on one address, as often as it is opened.

    Attributes:
        port: the port, known once it has started.
        stopped: set when it is closed for good.
    """

    def __init__(
        self,
        settings: Settings,
        handler: Callable[[ServerConnection], Awaitable[None]],
        gate: Handshake,
    ) -> None:
        self.port = settings.port
        self.stopped = asyncio.Event()
        self._settings = settings
        self._handler = handler
        self._gate = gate
        self._address = (socket.AF_INET, settings.host)
        self._server: Server | None = None
        self._retired: set[asyncio.Task[None]] = set()  # servers that still have connections
        self._wires: set[ServerWire] = set()

    @property
    def listening(self) -> bool:
        """Whether new connections are accepted."""
        return self._server is not None

    async def start(self) -> None:
        """Bind the first address of the host and listen on it.

        Raises:
            OSError: if the host is unknown or the port is taken.
        """
        self.stopped = asyncio.Event()
        settings = self._settings
        found = await asyncio.get_running_loop().getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        self._address = (family, str(address[0]))
        sock = _bound(family, self._address[1], settings.port)
        self.port = sock.getsockname()[1]
        await self._listen(sock)

    def retire(self) -> None:
        """Stop listening, and abort the connections that have not sent their request yet."""
        if self._server is not None:
            self._server.close(close_connections=False)
            closed = start_task(self._server.wait_closed())
            self._retired.add(closed)
            closed.add_done_callback(self._retired.discard)
            self._server = None
        for wire in list(self._wires):
            if wire.response is None:
                wire.transport.abort()

    async def return_after(self, downtime: float) -> None:
        """Listen again on the same port after `downtime` seconds, unless stopped before."""
        # One turn of the loop lets the old socket close. The new one is bound at once and listens
        # later: connections are refused until then, and nobody else can take the port.
        await asyncio.sleep(0)
        try:
            sock = _bound(*self._address, self.port)
        except OSError as error:
            _log.error("port %d was taken during a restart: %s", self.port, error)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(downtime):
                await self.stopped.wait()
        if self.stopped.is_set():
            sock.close()
        else:
            await self._listen(sock)

    def close(self) -> None:
        """Stop listening for good."""
        self.stopped.set()
        self.retire()

    async def wait_closed(self) -> None:
        """Abort what is still open, and wait until everything has ended."""
        self.retire()  # a restart may have been about to listen
        for wire in list(self._wires):
            wire.transport.abort()
        while self._retired:
            await self._retired.pop()

    async def _listen(self, sock: socket.socket) -> None:
        settings = self._settings
        self._server = await serve(
            self._handler,
            sock=sock,
            process_request=self._gate.admit,
            process_response=self._gate.note,
            select_subprotocol=self._gate.select,
            create_connection=cast(
                "type[ServerConnection]", partial(ServerWire, wires=self._wires)
            ),
            compression=settings.compression,
            max_size=settings.max_size,
            ping_interval=None,  # a server that stalls must not ping either
            close_timeout=settings.close_grace,
            logger=_wire_log,
            ssl=settings.ssl,
        )
        _log.info("listening on port %d", self.port)


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock
