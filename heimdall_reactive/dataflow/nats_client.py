"""A connection of `nats-py`: how it is opened, what of it is told, and how it really ends."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from heimdall_reactive.base.exceptions import ConfigurationError, HeimdallError

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["TOO_LARGE", "LogError", "RecordTooLarge", "close_client", "dial", "shown", "told"]

logger: Final = logging.getLogger("heimdall_reactive.dataflow")

CONNECT_TIMEOUT: Final = 10.0  # seconds for the first connection
RETRY_WAIT: Final = 0.5  # seconds between two dials of one server
DEAD_TIMEOUT: Final = 0.2  # seconds for the end of a connection whose socket is gone
TOO_LARGE: Final = {10054}  # codes of the log: no repetition will make it take this record
CANCELS: Final = 20  # times that a task of the client is cancelled, each given 50 ms


class LogError(HeimdallError):
    """The log cannot be reached, or refuses."""


class RecordTooLarge(LogError):
    """The log will never take this record."""


async def dial(servers: list[str], options: dict[str, Any]) -> Client:
    """Open a connection to one of the servers; it reconnects unless `allow_reconnect` is False.

    Raises:
        ConfigurationError: `nats-py` is not installed.
        LogError: no server can be reached, or none lets us in.
    """
    try:
        import nats.errors
        from nats.aio.client import Client
    except ImportError:
        raise ConfigurationError(
            "the log needs a library: pip install 'heimdall-reactive[nats]'"
        ) from None
    client = Client()

    async def mind() -> None:
        _mind(client)

    heal = options.get("allow_reconnect", True)
    first: dict[str, Any] = {
        "max_reconnect_attempts": -1 if heal else 1,
        "reconnect_time_wait": RETRY_WAIT,
        "connect_timeout": CONNECT_TIMEOUT,
        "ping_interval": 10,
        "error_cb": _on_error,
        "reconnected_cb": mind,
        **options,
    }
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):  # its first dial may go on forever, too
            await client.connect(servers, **first)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        await close_client(client)
        hosts = ", ".join(map(shown, servers))
        denied = "authorization" in str(error).lower()  # `nats-py` has no type for it
        why = "it does not let us in, check the credentials" if denied else told(error)
        raise LogError(f"no connection to the log at {hosts}: {why}") from None
    except BaseException:  # cancelled
        await close_client(client)
        raise
    await mind()
    return client


def _mind(client: Client) -> None:
    """Handle what the flusher of a connection fails of: nobody else does, and asyncio complains."""
    inner: Any = client
    if inner._flusher_task is not None:
        inner._flusher_task.add_done_callback(lambda task: task.cancelled() or task.exception())


async def close_client(client: Client, timeout: float = 2.0) -> None:
    """Close a connection of `nats-py`, and leave no task and no socket behind. Idempotent.

    Its own `close()` waits forever where the flusher has died of the socket, and cancels tasks
    that it does not await: a loop that ends then would complain.

    Args:
        client: the connection.
        timeout: seconds for an orderly end.
    """
    inner: Any = client
    parts = ("_reconnection_task", "_reading_task", "_flusher_task", "_ping_interval_task")
    tasks = {getattr(inner, name) for name in parts}
    tasks |= {one._wait_for_msgs_task for one in inner._subs.values()}
    transport, flusher = inner._transport, inner._flusher_task
    dead = flusher is not None and flusher.done()
    with suppress(Exception):  # what it fails of has no one to tell
        async with asyncio.timeout(DEAD_TIMEOUT if dead else timeout):
            await client.close()
    if transport is not None:
        transport.close()
    await _end_all({task for task in tasks if task is not None})


async def _end_all(tasks: set[asyncio.Task[Any]]) -> None:
    """End tasks, also one that swallows a cancellation, as a reconnection of `nats-py` does."""
    me = asyncio.current_task()
    for _ in range(CANCELS):
        if not (left := {task for task in tasks if not task.done() and task is not me}):
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.05)


async def _on_error(error: Exception) -> None:
    """Handle what `nats-py` would log: at most its kind, since a text may quote a URL."""
    logger.debug("the log's connection: %s", type(error).__name__)


def told(error: BaseException) -> str:
    """Name an error; of the server's own refusals also what it says."""
    code, text = getattr(error, "err_code", None), getattr(error, "description", None)
    return f"{text} ({code})" if code and text else type(error).__name__


def shown(server: str) -> str:
    """Return a server's URL without user, password and token."""
    try:
        parts = urlsplit(server if "://" in server else f"nats://{server}")
        return f"{parts.scheme}://{parts.hostname}:{parts.port or 4222}"
    except ValueError:
        return "<invalid URL>"
