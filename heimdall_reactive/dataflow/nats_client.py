"""A connection of `nats-py`: how it is opened, what of it is told, and how it really ends."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import random
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from heimdall_reactive.base.exceptions import ConfigurationError, HeimdallError

if TYPE_CHECKING:
    from nats.aio.client import Client

    from .checked_client import CheckedClient

__all__ = [
    "TOO_LARGE",
    "LogDenied",
    "LogError",
    "OnRefusal",
    "RecordTooLarge",
    "close_client",
    "dial",
    "shown",
    "told",
]

logger: Final = logging.getLogger("heimdall_reactive.dataflow")

CONNECT_TIMEOUT: Final = 10.0  # seconds for the first connection
RETRY_WAIT: Final = 0.5  # seconds between two dials of one server
DEAD_TIMEOUT: Final = 0.2  # seconds for the end of a connection whose socket is gone
TOO_LARGE: Final = {10054}  # codes of the log: no repetition will make it take this record
CANCELS: Final = 20  # times that a task of the client is cancelled, each given 50 ms
NAMES: Final = {
    "ConnectionClosedError": "the connection is closed",
    "NoRespondersError": "nobody answers",
    "NoStreamResponseError": "no stream takes it, or it has no leader",
    "ServiceUnavailableError": "its server has no JetStream (-js), or no leader",
}
SIGNED: Final = ("user_credentials", "nkeys_seed", "nkeys_seed_str")  # options that need `nkeys`

OnRefusal: TypeAlias = Callable[[str], Awaitable[None]]


class LogError(HeimdallError):
    """The log cannot be reached, or refuses."""


class RecordTooLarge(LogError):
    """The log will never take this record."""


class LogDenied(LogError):
    """The log does not let us in, or we do not trust it: another attempt would be the same."""


async def dial(
    servers: list[str], options: dict[str, Any], on_refusal: OnRefusal | None = None
) -> CheckedClient:
    """Open a connection to one of the servers; it reconnects unless `allow_reconnect` is False.

    The first connection is opened without that: `nats-py` hides why it cannot reconnect.

    Args:
        servers: their URLs; each is tried, in random order.
        options: of `nats.connect`.
        on_refusal: is told each error that the server sends on the open connection.

    Raises:
        ConfigurationError: `nats-py` is not installed, or `nkeys`, which the options need.
        LogError: no server can be reached, or none lets us in.
    """
    try:
        import nats.errors

        from .checked_client import CheckedClient
    except ImportError:
        raise ConfigurationError(
            "the log needs a library: pip install 'heimdall-reactive[nats]'"
        ) from None
    _check_signing(options)
    order = random.sample(servers, len(servers))
    reasons: dict[str, bool] = {}  # and whether another attempt would be the same
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            for number in range(len(order)):
                client = CheckedClient()
                try:
                    await _open(client, order[number:] + order[:number], options, on_refusal)
                except (nats.errors.Error, OSError) as error:
                    await close_client(client, DEAD_TIMEOUT)
                    reasons.update([_reason(client, error)])
                    if isinstance(error, nats.errors.NoServersError):
                        break  # it has tried each of them
                except BaseException:  # cancelled, or late
                    await close_client(client)
                    raise
                else:
                    return client
    except TimeoutError:
        reasons[f"no answer in {CONNECT_TIMEOUT:g} s"] = False
    hosts = ", ".join(map(shown, servers))
    kind = LogDenied if reasons and all(reasons.values()) else LogError
    raise kind(f"no connection to the log at {hosts}: {'; '.join(reasons)}")


async def _open(
    client: CheckedClient,
    servers: list[str],
    options: dict[str, Any],
    on_refusal: OnRefusal | None,
) -> None:
    """Open a connection, and let it reconnect from then on as the options say."""
    reconnects = options.get("allow_reconnect", True)
    later = {
        "allow_reconnect": reconnects,
        "max_reconnect_attempts": options.get("max_reconnect_attempts", -1 if reconnects else 1),
        "reconnect_time_wait": options.get("reconnect_time_wait", RETRY_WAIT),
        "dont_randomize": options.get("dont_randomize", False),
    }

    async def mind() -> None:
        _mind(client)

    first: dict[str, Any] = {
        "connect_timeout": max(2.0, CONNECT_TIMEOUT / len(servers)),
        "ping_interval": 10,
        "error_cb": _on_error,
        "reconnected_cb": mind,
        **options,
        "allow_reconnect": False,
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0,
        "dont_randomize": True,
    }
    client.encrypted = "tls" in options or any("tls://" in one for one in servers)
    client.on_refusal = on_refusal
    await client.connect(servers, **first)
    client.options.update(later)
    await mind()


def _check_signing(options: dict[str, Any]) -> None:
    given = [name for name in SIGNED if options.get(name) is not None]
    if given and importlib.util.find_spec("nkeys") is None:
        raise ConfigurationError(
            f"{given[0]} needs a library: pip install 'heimdall-reactive[nats]', or nkeys"
        )


def _reason(client: CheckedClient, error: Exception) -> tuple[str, bool]:
    """Return why a connection was not opened, and whether another attempt would be the same."""
    said = client.left() or _said(error)
    if re.match("authoriz|authentic", said, re.IGNORECASE):
        return f"it does not let us in, check the credentials ({said})", True
    if said:
        return said, False
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "it ended the connection at once: is it full, or does it want a certificate?", False
    failed = client.failure or error
    return told(failed), isinstance(failed, ssl.SSLCertVerificationError)


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
    tasks |= inner.working
    transport, flusher = inner._transport, inner._flusher_task
    dead = flusher is not None and flusher.done()
    try:
        with suppress(Exception):  # what it fails of has no one to tell
            async with asyncio.timeout(DEAD_TIMEOUT if dead else timeout):
                await client.close()
    finally:  # also where the caller is cancelled
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
    match error:
        case _ if code and text:
            return f"{text} ({code})"
        case TimeoutError():
            return "no answer in time"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message}): give its CA"
        case ssl.SSLError():
            return f"TLS failed ({error.reason})"
        case ConnectionRefusedError():
            return "nobody listens there"
        case socket.gaierror():
            return "its name is not known"
        case _:
            name = type(error).__name__
            return _said(error) or NAMES.get(name, name)


def _said(error: BaseException) -> str:
    """Return what the server said, of an error that `nats-py` made of it."""
    found = re.fullmatch("nats: '(.+)'", str(error))
    return found[1] if found else ""


def shown(server: str) -> str:
    """Return a server's URL without user, password and token."""
    try:
        parts = urlsplit(server if "://" in server else f"nats://{server}")
        return f"{parts.scheme}://{parts.hostname}:{parts.port or 4222}"
    except ValueError:
        return "<invalid URL>"
