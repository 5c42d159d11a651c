"""The server on its loop: its connections, and what is read from and sent to them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from collections.abc import Coroutine, Iterable
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from heimdall_reactive.base.messages import (
    ErrorMessage,
    Ping,
    Pong,
    Subscribe,
    WireModel,
)
from heimdall_reactive.base.starting import start_task

from .control import Auth, Order, Unclear, id_of, objection, read_order
from .handshake import Handshake
from .journal import ServerJournal
from .link import ServerLink, ServerWire
from .listener import ServerListener, Settings
from .tokens import Grant, Tokens

__all__ = ["ServerCore"]

_log = logging.getLogger("heimdall_reactive.devserver")


class ServerCore:
    """Everything that runs on the server's loop; no method may be called from elsewhere."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokens = Tokens()
        self.journal = ServerJournal(settings.history)
        self.gate = Handshake(
            self.tokens,
            self.journal,
            require_token=settings.require_token,
            first_message_auth=settings.first_message_auth,
            at_root=settings.echo,
        )
        self.links: dict[int, ServerLink] = {}
        self.dropped_slow = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        self.listener = ServerListener(settings, self._handle, self.gate)
        self._numbers = itertools.count(1)
        self._chores: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Bind and listen on the running loop."""
        self.loop = asyncio.get_running_loop()
        try:
            await self.listener.start()
        except BaseException:
            self.loop = None
            raise

    async def stop(self) -> None:
        """End everything; at most the close grace is spent on clients that do not answer."""
        if self.loop is None:
            return
        self.listener.close()
        for link in list(self.links.values()):
            self.part(link, 1001, "the server stops")
        while self._chores:
            await asyncio.wait(self._chores)
        await self.listener.wait_closed()
        self.journal.end()
        self.loop = None

    def restart(self, downtime: float) -> None:
        """Drop everybody with 1012 and listen again on the same port after `downtime`."""
        if not self.listener.listening:
            return
        self.listener.retire()
        for link in list(self.links.values()):
            self.part(link, 1012, "the server restarts")
        self.spawn(self._return_after(downtime))
        self.journal.changed()

    async def _return_after(self, downtime: float) -> None:
        await self.listener.return_after(downtime)
        self.journal.changed()

    # -- connections

    @property
    def ready(self) -> list[ServerLink]:
        """The connections whose identity is known."""
        return [link for link in self.links.values() if link.grant is not None]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside; `stop` waits for it."""
        assert self.loop is not None
        task = start_task(work, loop=self.loop)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    def part(self, link: ServerLink, code: int | None, reason: str) -> None:
        """End a connection with a close code, or without any where `code` is None."""
        if link.leaving:
            return
        if code is not None:
            link.resume()
        link.leaving = True
        self.links.pop(link.id, None)
        if code is None:
            link.abort()
        else:
            self.spawn(self._farewell(link, code, reason))
        self.journal.changed()

    async def _farewell(self, link: ServerLink, code: int, reason: str) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                # The limit also covers a peer that reads nothing: there, `close` waits for room.
                async with asyncio.timeout(self.settings.close_grace):
                    await link.wire.close(code, reason)
        finally:
            link.abort()

    async def _handle(self, connection: ServerConnection) -> None:
        wire = connection
        assert isinstance(wire, ServerWire)
        assert wire.arrival is not None
        link = ServerLink(next(self._numbers), wire, wire.arrival, self.settings.buffer_limit)
        self.links[link.id] = link
        self.journal.changed()
        try:
            if link.grant is None and not await self._first_message(link):
                self.part(link, 4401, "no token came")
            await self._read(link)
        except ConnectionClosed:
            pass
        finally:
            link.leaving = True
            link.abort()
            self.links.pop(link.id, None)
            self.journal.changed()

    async def _first_message(self, link: ServerLink) -> bool:
        try:
            async with asyncio.timeout(self.settings.auth_timeout):
                order = read_order(await link.wire.recv())
        except TimeoutError:
            return False
        if not isinstance(order, Auth):
            return False
        self._authenticate(link, order)
        return True

    def _authenticate(self, link: ServerLink, order: Auth) -> None:
        verdict = self.tokens.check(order.token)
        if isinstance(verdict, Grant):
            link.grant = verdict
            self.journal.changed()
        elif verdict == HTTPStatus.FORBIDDEN:
            self.part(link, 4403, "forbidden")
        else:
            self.part(link, 4401, "the token is not valid")

    async def _read(self, link: ServerLink) -> None:
        while True:
            await link.running.wait()
            message = await link.wire.recv()
            while not link.running.is_set():
                link.hush()  # taking a message may have made websockets read on
                await link.running.wait()
            if not link.leaving:
                self._take(link, message)

    # -- messages

    def _take(self, link: ServerLink, message: str | bytes) -> None:
        order = read_order(message)
        kind = order.kind if isinstance(order, Unclear) else order.type
        name = id_of(message) if kind is None and self.settings.acknowledge else None
        if name is not None:
            self._acknowledge(link, message, name)
            return
        if kind != "Auth":  # it holds a token
            self.journal.add_message(link.id, message)
        if not isinstance(order, Unclear):
            self._obey(link, order)
        elif kind is None and self.settings.echo:
            self.deliver([link], message)
        else:
            self._reply(link, ErrorMessage(message=order.problem))

    def _acknowledge(self, link: ServerLink, message: str | bytes, name: str | int) -> None:
        """Remember a message once, however often it comes, and answer each time."""
        assert link.grant is not None
        if self.journal.is_new(link.grant.user_id, name):
            self.journal.add_message(link.id, message)
        self.deliver([link], json.dumps({"type": "Ack", "id": name}))

    def _obey(self, link: ServerLink, order: Order) -> None:
        assert link.grant is not None
        if isinstance(order, Ping):
            self._reply(link, Pong())
        elif isinstance(order, Auth):
            if self.settings.first_message_auth:
                self._authenticate(link, order)
            else:
                self._reply(link, ErrorMessage(message="this server takes no token in a message"))
        elif problem := objection(link.grant, order.channel):
            self._reply(link, ErrorMessage(message=problem))
        else:
            change = link.channels.add if isinstance(order, Subscribe) else link.channels.discard
            change(order.channel)
            self.journal.changed()

    def _reply(self, link: ServerLink, model: WireModel) -> None:
        self.deliver([link], model.model_dump_json(by_alias=True, exclude_none=True))

    def deliver(self, links: Iterable[ServerLink], message: str | bytes) -> int:
        """Write a message to connections without waiting, and return their number."""
        count = 0
        for link in list(links):
            count += 1
            if not link.send(message):
                self.dropped_slow += 1
                _log.warning("connection %d reads too slowly and is dropped", link.id)
                self.part(link, None, "")
        return count
