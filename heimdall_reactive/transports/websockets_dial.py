"""Dial with `websockets`, over sockets of our own."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import re
import socket
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from websockets import exceptions as ws_exceptions
from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.typing import Origin, Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from heimdall_reactive.base.endpoints import is_loopback
from heimdall_reactive.base.exceptions import (
    ConfigurationError,
    ConnectError,
    InvalidEndpoint,
    RedirectRefused,
)
from heimdall_reactive.base.options import StoreOptions

from . import Wire
from .addresses import open_socket
from .failures import ENDED_IN_TLS, at, translate
from .proxies import choose_proxy, open_socks, open_tunnel, shown
from .websockets_wire import WebSocketsWire

__all__ = ["Dialler", "dial", "open_wire"]

REDIRECTS: Final = frozenset({300, 301, 302, 303, 307, 308})

# Ours and pinned: at DEBUG `websockets` logs the request line and every header, tokens included,
# and a root logger at DEBUG would be enough for that.
wire_logger: Final = logging.getLogger("heimdall_reactive.wire")
wire_logger.setLevel(logging.INFO)
# The level alone is not enough: `dictConfig` takes it away where it configures a logger above.
wire_logger.addFilter(lambda record: record.levelno >= logging.INFO)


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
    attempt: Awaitable[ClientConnection] | None = None
    try:
        attempt = (dialler or Dialler)(
            url,
            options=options,
            ssl=options.ssl or default_context() if secure else None,
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
        )
        wire = await attempt
    except Exception as error:
        # `from None`: the library's errors hold the URL, the request and its token.
        missing = getattr(attempt, "missing", Dialler.missing)
        raise translate(error, url, f"{missing} within {options.open_timeout} s") from None
    assert isinstance(wire, WebSocketsWire)
    wire.ping_interval, wire.ping_timeout = options.ping_interval, options.ping_timeout
    wire.forget_handshake()
    return wire


@functools.cache
def default_context() -> ssl_module.SSLContext:
    # Once a process: loading the roots takes some 20 ms of the event loop.
    context = ssl_module.create_default_context()
    # Debian builds its Python to leave this to the system's OpenSSL, which may allow TLS 1.0.
    context.minimum_version = max(context.minimum_version, ssl_module.TLSVersion.TLSv1_2)
    return context


class Dialler(connect):
    """`connect` that opens its sockets by itself, and follows no redirect to another origin.

    Args:
        uri: what to dial.
        options: the store's.
        ssl: the TLS context of a `wss://` URL.
        **rest: see `connect`.

    Attributes:
        missing: what has not come yet, for the words of a timeout.
    """

    missing = "no answer to the opening handshake"

    def __init__(
        self,
        uri: str,
        *,
        options: StoreOptions | None = None,
        ssl: ssl_module.SSLContext | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(uri, **rest)
        self._options = options or StoreOptions()
        self._ssl = ssl

    async def open_tcp_connection(self) -> ClientConnection:
        """Open the socket, through a proxy perhaps, and TLS; return the wire over them."""
        uri, loop = parse_uri(self.uri), asyncio.get_running_loop()
        wire, tls = self.make_wire(uri), self._tls(uri)
        way = await self._find_way(uri)
        try:
            if isinstance(way, socket.socket):
                await loop.create_connection(lambda: wire, sock=way, **tls)
            elif isinstance(way, (str, os.PathLike)):
                await loop.create_unix_connection(lambda: wire, str(way), **tls)
            else:
                await _enter(way, wire, tls)
        except NotImplementedError:  # by an event loop without sockets, which has not taken ours
            if isinstance(way, socket.socket):
                way.close()
            raise
        except ConnectionError:
            if not tls:
                raise
            raise at(self.uri, ConnectError(ENDED_IN_TLS, "reset")) from None
        return wire

    create_connection = open_tcp_connection  # its name in `websockets` 16

    def make_wire(self, uri: WebSocketURI) -> ClientConnection:
        """Return a wire without a socket."""
        make = getattr(self, "factory", None) or vars(self)["protocol_factory"]  # as above
        wire: ClientConnection = make(uri)
        if "Host" in Headers(self.additional_headers or ()):
            build = wire.protocol.connect

            def build_without_host() -> Request:
                request = build()
                del request.headers["Host"]  # else the user's would be a second one
                return request

            setattr(wire.protocol, "connect", build_without_host)  # noqa: B010 - it is a method
        return wire

    def _tls(self, uri: WebSocketURI) -> dict[str, Any]:
        if not uri.secure:
            return {}
        name = self._options.server_hostname or uri.host
        return {"ssl": self._ssl or default_context(), "server_hostname": name}

    async def _find_way(
        self, uri: WebSocketURI
    ) -> socket.socket | asyncio.Transport | str | os.PathLike[str]:
        """Return a socket or a proxy's tunnel to the server, or the path of a Unix socket."""
        options = self._options
        if options.unix is not None:
            return options.unix
        if options.sock is not None:
            return await _given(options.sock)
        proxy = choose_proxy(self.proxy, uri)
        if proxy is None:
            return await self._open_socket(uri.host, uri.port)
        self.missing = f"no answer from the proxy {shown(proxy)}"
        way: socket.socket | asyncio.Transport
        if proxy.scheme.startswith("http"):
            tls = options.proxy_ssl or default_context()
            way = await open_tunnel(proxy, uri, tls, self._open_socket)
        else:
            way = await open_socks(proxy, uri, options.local_addr, self._open_socket)
        self.missing = Dialler.missing
        return way

    async def _open_socket(self, host: str, port: int) -> socket.socket:
        options, answer = self._options, self.missing
        self.missing = f"no address of {host!r}"
        return await open_socket(
            host, port, family=options.family, local_addr=options.local_addr,
            delay=options.happy_eyeballs_delay,
            resolved=lambda: setattr(self, "missing", answer),
        )  # fmt: skip

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return where to go instead, or the error that ends the attempt."""
        if not isinstance(exc, ws_exceptions.InvalidStatus):
            return exc
        headers = exc.response.headers
        if exc.response.status_code not in REDIRECTS or "Location" not in headers:
            return exc
        try:
            # Servers and proxies that know nothing of WebSockets write their own scheme.
            location = re.sub(r"(?i)^http(s?):", r"ws\1:", headers["Location"])
            target = urljoin(self.uri, location)
            elsewhere = _origin(target) != _origin(self.uri)
            parse_uri(target)
        except (ValueError, LookupError, ws_exceptions.WebSocketException):
            # It is not a URL, or there are two of them.
            wrong = InvalidEndpoint("the server redirects to what is not a WebSocket URL")
            return at(self.uri, wrong)
        if not elsewhere:  # with the login of the endpoint, which servers leave out
            return urlsplit(target)._replace(netloc=urlsplit(self.uri).netloc).geturl()
        refused = RedirectRefused(
            "the server redirects to another origin, where the token must not go; "
            "give that server's URL as the endpoint"
        )
        return at(self.uri, refused)


async def _given(source: Any) -> socket.socket:
    """Return the user's socket of this attempt, see `StoreOptions.sock`."""
    sock = source() if callable(source) else source
    if inspect.isawaitable(sock):
        sock = await sock
    if not isinstance(sock, socket.socket):
        raise ConfigurationError("the callable of sock= must return a connected socket")
    if sock.fileno() < 0:
        raise ConfigurationError(
            "the socket of sock= is closed, perhaps by an earlier attempt; pass a callable that "
            "returns a connected socket for each attempt"
        )
    return sock


async def _enter(tunnel: asyncio.Transport, wire: ClientConnection, tls: dict[str, Any]) -> None:
    """Put a wire behind the tunnel of a proxy."""
    tunnel.set_protocol(wire)
    transport: asyncio.Transport | None = tunnel
    if tls:
        try:
            context, name = tls["ssl"], tls["server_hostname"]
            loop = asyncio.get_running_loop()
            transport = await loop.start_tls(tunnel, wire, context, server_hostname=name)
        except BaseException:
            tunnel.abort()
            raise
    assert transport is not None
    wire.connection_made(transport)


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "wss" else 80)
