"""The development server as its users see it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from ssl import SSLContext
from typing import Any, Self, TypeVar

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.glance import glance

from .core import ServerCore
from .journal import Peer, UpgradeRecord
from .listener import Settings
from .script import ScriptStep, parse_script, valid_seconds
from .thread_commands import ThreadCommands, running_loop

__all__ = ["DevServer"]

T = TypeVar("T")

_REACHABLE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class DevServer(ThreadCommands):
    """Serve the Heimdall WebSocket endpoints from this process, for development and tests.

    Real sockets, real close codes: use it with `async with`, or `start` and `stop`, or from a
    synchronous program with `serve_in_thread`. Plain methods may be called from any thread: on
    the server's loop they act at once, elsewhere they wait until the loop has performed them.

    The endpoints are `/v1/ws`, `/v1/ws/user`, `/v1/ws/updates`, `/v1/ws/notifications` and
    `/v1/ws/status`; another path is answered with HTTP 404. Every endpoint but the status one
    needs a token: in an `Authorization: Bearer` header, a `bearer.<token>` subprotocol, or the
    query's `access_token`. HTTP 401 refuses a missing, unknown or expired token, 403 a revoked
    one and a banned user. `demo-token` is valid from the start, for the user `demo`. A connection
    that needs no token and has none belongs to the user `anonymous`.

    Args:
        host: address to listen on.
        port: port to listen on; 0 picks a free one.
        require_token: False accepts everybody; a known token still identifies its user.
        first_message_auth: accept clients without a token whose first message is
            `{"type": "Auth", "token": ...}`; another one closes with 4401. Such a message is
            never kept in `received`.
        auth_timeout: seconds to wait for that message.
        echo: send everything back as it came that is not a control message; `/` is an endpoint,
            too.
        acknowledge: answer a JSON object with an `id` that is not a control message with
            `{"type": "Ack", "id": ...}`; of the messages of a user with the same id `received`
            has the first.
        compression: `"deflate"`, or None to negotiate none.
        max_size: longest message to accept, in bytes; None accepts any.
        buffer_limit: bytes that may wait for one client before it is dropped.
        history: how many messages and upgrade requests to remember.
        close_grace: seconds a client has to answer a close frame before it is cut off.
        ssl: context for `wss://`.

    Attributes:
        received: the newest messages as they came, each with the number of its connection.
        dials: the newest upgrade requests, refused ones included.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        require_token: bool = True,
        first_message_auth: bool = False,
        auth_timeout: float = 5.0,
        echo: bool = False,
        acknowledge: bool = False,
        compression: str | None = "deflate",
        max_size: int | None = 2**20,
        buffer_limit: int = 4 * 2**20,
        history: int = 10_000,
        close_grace: float = 0.3,
        ssl: SSLContext | None = None,
    ) -> None:
        settings = Settings(
            host=host,
            port=port,
            require_token=require_token,
            first_message_auth=first_message_auth,
            auth_timeout=valid_seconds(auth_timeout),
            echo=echo,
            acknowledge=acknowledge,
            compression=compression,
            max_size=max_size,
            buffer_limit=buffer_limit,
            history=history,
            close_grace=valid_seconds(close_grace),
            ssl=ssl,
        )
        super().__init__(ServerCore(settings))
        self.received: deque[tuple[int, str | bytes]] = self._core.journal.received
        self.dials: deque[UpgradeRecord] = self._core.journal.dials

    async def start(self) -> None:
        """Listen on the running loop, unless it already does.

        Raises:
            OSError: if the address cannot be bound.
        """
        if self._core.loop is None:
            await self._core.start()

    async def stop(self) -> None:
        """Close every connection with 1001, and stop listening."""
        if self._core.loop is not None:
            await self._on_loop(self._core.stop())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The base URL, such as `ws://127.0.0.1:54321`; endpoints come after it."""
        settings = self._core.settings
        host = _REACHABLE.get(settings.host, settings.host)
        scheme = "ws" if settings.ssl is None else "wss"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __repr__(self) -> str:
        return glance(self, f"{self.url}, {'listening' if self.listening else 'not listening'}")

    @property
    def port(self) -> int:
        """The port, which is 0 until a server made with port 0 has started."""
        return self._core.listener.port

    @property
    def listening(self) -> bool:
        """Whether new connections are accepted; False during a restart's downtime."""
        return self._core.listener.listening

    async def play(self, script: str | Iterable[ScriptStep]) -> None:
        """Perform a script, and return after its last step or when the server stops.

        Args:
            script: its text, or steps from `parse_script`.

        Raises:
            ConfigurationError: if the text is wrong; nothing is performed then.
        """
        steps = parse_script(script) if isinstance(script, str) else list(script)
        await self._on_loop(self._stage.play(steps))

    async def wait_until(self, condition: Callable[[], bool], timeout: float = 5.0) -> None:
        """Wait until `condition()`, checked after each change of connections and messages.

        Raises:
            WaitTimeout: if it does not hold within `timeout` seconds, or the server stops.
        """
        await self._on_loop(self._core.journal.until(condition, timeout))

    async def wait_for_connections(self, number: int, timeout: float = 5.0) -> list[Peer]:
        """Wait until exactly `number` connections are open, and return them.

        Raises:
            WaitTimeout: if that is not so within `timeout` seconds, or the server stops.
        """
        await self.wait_until(lambda: len(self._core.ready) == number, timeout)
        return self.connections

    async def wait_for_message(
        self, predicate: Callable[[str | bytes], bool], timeout: float = 5.0
    ) -> str | bytes:
        """Return the first message, remembered or coming, that fulfils `predicate`.

        Raises:
            WaitTimeout: if none comes within `timeout` seconds, or the server stops.
        """
        return await self._on_loop(self._core.journal.message(predicate, timeout))

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the server's loop from another thread, and return its result.

        For synchronous programs: `server.call(server.wait_for_connections(1))`.

        Raises:
            ConfigurationError: on the server's own loop, where it would wait for itself.
            TimeoutError: if there is no result within `timeout` seconds.
        """
        loop = self._core.loop
        if loop is None or loop is running_loop():
            work.close()
            raise ConfigurationError("call() is for other threads, while the server runs")
        return asyncio.run_coroutine_threadsafe(work, loop).result(timeout)

    async def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        loop = self._core.loop
        if loop is None:
            work.close()
            raise ConfigurationError("the server does not run; start it first")
        if loop is running_loop():
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
