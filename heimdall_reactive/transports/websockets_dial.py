"""Dial with `websockets`, and map what that raises to our errors."""

from __future__ import annotations

import functools
import logging
import os
import socket
import ssl as ssl_module
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from websockets import exceptions as ws_exceptions
from websockets.asyncio.client import ClientConnection, connect
from websockets.http11 import Response
from websockets.typing import Origin, Subprotocol

from heimdall_reactive.base.endpoints import is_loopback
from heimdall_reactive.base.exceptions import (
    CertificateError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    HandshakeRefused,
    InvalidEndpoint,
    InvalidHandshake,
    RedirectRefused,
    TlsError,
)
from heimdall_reactive.base.options import StoreOptions
from heimdall_reactive.base.retry import seconds_to_wait

from . import Wire
from .websockets_wire import WebSocketsWire

__all__ = ["Dialler", "dial", "open_wire"]

# Ours and pinned: at DEBUG `websockets` logs the request line and every header, tokens included,
# and a root logger at DEBUG would be enough for that.
wire_logger: Final = logging.getLogger("heimdall_reactive.wire")
wire_logger.setLevel(logging.INFO)
# The level alone is not enough: `dictConfig` takes it away where it configures a logger above.
wire_logger.addFilter(lambda record: record.levelno >= logging.INFO)

# `websockets` 16 has one class for both.
NO_HTTP: Final[tuple[type[Exception], ...]] = (
    ws_exceptions.InvalidMessage,
    getattr(ws_exceptions, "StatusLineTooLong", ws_exceptions.InvalidMessage),
)


async def dial(
    url: str,
    headers: Sequence[tuple[str, str]],
    subprotocols: Sequence[str] | None,
    options: StoreOptions,
) -> Wire:
    """Open a connection, see `Dial`."""
    return await open_wire(WebSocketsWire, url, headers, subprotocols, options)


async def open_wire(
    kind: type[WebSocketsWire],
    url: str,
    headers: Sequence[tuple[str, str]],
    subprotocols: Sequence[str] | None,
    options: StoreOptions,
    dialler: Callable[..., Awaitable[ClientConnection]] | None = None,
) -> Wire:
    """Open a connection with a wire of a kind, see `Dial`; a double brings its own dialler."""
    loopback = is_loopback(urlsplit(url).hostname or "")
    secure = url.startswith("wss:")
    tls: dict[str, Any] = {"ssl": options.ssl or _default_context()} if secure else {}
    try:
        wire = await (dialler or Dialler)(
            url,
            additional_headers=list(headers),
            subprotocols=[Subprotocol(name) for name in subprotocols] if subprotocols else None,
            proxy=None if loopback and options.proxy is True else options.proxy,
            compression=options.compression,
            open_timeout=options.open_timeout,
            ping_interval=None,  # the wire pings by itself, see `WebSocketsWire`
            close_timeout=options.close_timeout,
            max_size=options.max_size,
            # `writable` then tells that the operating system has taken all that was written; TLS
            # counts from 1, and has up to 64 KiB more in its own buffers.
            write_limit=(1, 0) if secure else (0, 0),
            origin=Origin(options.origin) if options.origin else None,
            logger=wire_logger,
            create_connection=kind,
            **tls,
        )
    except Exception as error:
        # `from None`: the library's errors hold the URL, the request and its token.
        raise _translate(error, options.open_timeout) from None
    assert isinstance(wire, WebSocketsWire)
    wire.ping_interval, wire.ping_timeout = options.ping_interval, options.ping_timeout
    wire.request = None  # it holds the token, and so may these
    wire.protocol.uri = replace(wire.protocol.uri, username=None, password=None, query="")
    wire.protocol.available_subprotocols = None
    return wire


@functools.cache
def _default_context() -> ssl_module.SSLContext:
    # Once a process: loading the roots takes some 20 ms of the event loop.
    context = ssl_module.create_default_context()
    # Debian builds its Python to leave this to the system's OpenSSL, which may allow TLS 1.0.
    context.minimum_version = max(context.minimum_version, ssl_module.TLSVersion.TLSv1_2)
    return context


class Dialler(connect):
    """`connect` that follows no redirect to another origin."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return where to go instead, or the error that ends the attempt."""
        origin = _origin(self.uri)
        try:
            followed = super().process_redirect(exc)
            elsewhere = isinstance(followed, str) and _origin(followed) != origin
        except (ValueError, LookupError):  # a Location that is no URL, or two of them
            return InvalidEndpoint("the server redirects to what is no WebSocket URL")
        # From wss to ws, it is an error already.
        if elsewhere or (followed is not exc and isinstance(followed, Exception)):
            return RedirectRefused(
                "the server redirects to another origin, where the token must not go; "
                "give that server's URL as the endpoint"
            )
        return followed


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "wss" else 80)


def _translate(error: Exception, open_timeout: float) -> Exception:
    """Map what a dial raises to our errors, in words that hold no secret."""
    match error:
        case ConfigurationError() | NotImplementedError():
            return error
        case TimeoutError():
            return ConnectTimeout(f"no answer to the opening handshake within {open_timeout} s")
        case ssl_module.SSLError():
            return _no_tls(error)
        case OSError():
            return _no_connection(error)
        case ws_exceptions.WebSocketException():
            return _no_handshake(error)
        case _:
            return ConfigurationError(f"dialling raised {type(error).__name__}; check the options")


def _no_handshake(error: ws_exceptions.WebSocketException) -> Exception:
    match error:
        case ws_exceptions.InvalidStatus():
            return _refused(error.response)
        case ws_exceptions.InvalidProxyStatus(response=response) if response.status_code == 407:
            return ConfigurationError("the proxy asks for a login (HTTP 407); put it into proxy=")
        case ws_exceptions.ProxyError():
            return ConnectError(f"the proxy failed ({type(error).__name__})", "proxy")
        case ws_exceptions.InvalidURI():
            return InvalidEndpoint("the endpoint, or a redirect, is no WebSocket URL")
        case _ if isinstance(error, NO_HTTP):
            return ConnectError(
                "the server closed or answered the upgrade with no HTTP response", "reset"
            )
        case _:
            return InvalidHandshake(
                f"the opening handshake failed ({type(error).__name__}); is it a WebSocket server?"
            )


def _no_tls(error: ssl_module.SSLError) -> ConnectError:
    match error:
        case ssl_module.SSLCertVerificationError():
            return CertificateError(
                f"the server's certificate was not accepted ({error.verify_message}); "
                "pass ssl= with a context that trusts it"
            )
        case ssl_module.SSLEOFError() | ssl_module.SSLZeroReturnError():
            return ConnectError("the server closed the socket during the TLS handshake", "reset")
        case _:
            return TlsError(f"TLS failed ({error.reason}); is the port a TLS port?")


def _refused(response: Response) -> HandshakeRefused:
    # By the server's own clock where it tells: ours may be wrong, and the wait with it.
    now = max(_seconds(response, "Date", 0.0), default=0.0) or time.time()
    after = max(_seconds(response, "Retry-After", now), default=None)
    return HandshakeRefused(response.status_code, after)


def _seconds(response: Response, name: str, now: float) -> list[float]:
    """Read a header of seconds or dates; a proxy may have put its own beside the server's."""
    values = (seconds_to_wait(text, now) for text in response.headers.get_all(name))
    return [value for value in values if value is not None]


def _no_connection(error: OSError) -> ConnectError:
    if isinstance(error, socket.gaierror):
        return ConnectError("the host's name is not found; check the endpoint", "unresolved")
    # Not `strerror`: asyncio puts a sentence of its own there.
    number = error.errno or 0
    what = os.strerror(number) if number > 0 else type(error).__name__
    cause = "unreachable"
    if isinstance(error, ConnectionRefusedError):
        cause = "refused"
    elif isinstance(error, ConnectionError):
        cause = "reset"
    return ConnectError(f"no connection: {what}", cause)
