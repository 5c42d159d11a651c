"""Reach a server through a proxy, and say what the proxy did wrong."""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, TypeAlias

from websockets import exceptions as ws_exceptions
from websockets.asyncio.client import HTTPProxyConnection, connect_socks_proxy
from websockets.http11 import USER_AGENT
from websockets.proxy import Proxy, get_proxy, parse_proxy
from websockets.uri import WebSocketURI

from heimdall_reactive.base.exceptions import ConfigurationError, ConnectError

from .addresses import look_up
from .failures import unconnected

__all__ = ["choose_proxy", "open_socks", "open_tunnel", "shown"]

OpenSocket: TypeAlias = Callable[[str, int], Awaitable[socket.socket]]

WORDS: Final = "a URL such as http://proxy.example:3128 or socks5h://proxy.example:1080"


def choose_proxy(option: str | bool | None, uri: WebSocketURI) -> Proxy | None:
    """Return the proxy to use: the one of the option, or of the environment where it is True.

    Raises:
        ConnectError: its address is not usable.
    """
    address = get_proxy(uri) if option is True else option
    if not isinstance(address, str):
        return None
    whose = "of the environment (HTTPS_PROXY and the like)" if option is True else "in proxy="
    try:
        return parse_proxy(address)
    except (ws_exceptions.WebSocketException, ValueError):
        raise ConnectError(
            f"the proxy {whose} is not usable; it must be {WORDS}", "proxy"
        ) from None


def shown(proxy: Proxy) -> str:
    """Return the URL of a proxy without user and password."""
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    return f"{proxy.scheme}://{host}:{proxy.port}"


async def _reach(proxy: Proxy, open_socket: OpenSocket) -> socket.socket:
    try:
        return await open_socket(proxy.host, proxy.port)
    except OSError as error:
        raise _unreached(proxy, error) from None


def _unreached(proxy: Proxy, error: OSError) -> ConnectError:
    if isinstance(error, socket.gaierror):
        words = "its name is not found; check proxy=, or the environment's proxies"
    else:
        words = f"{unconnected(error)}; check proxy=, or the environment's proxies"
    return ConnectError(f"the proxy {shown(proxy)} was not reached: {words}", "proxy")


class Tunnel(HTTPProxyConnection):
    """The question to an HTTP proxy, which may end before it is answered."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, unless it was seen before: `websockets` raises then."""
        if not self.response.done():
            super().connection_lost(exc)

    def give_up(self) -> None:
        """Wait no more; what the answer failed of is not reported as lost."""
        if not self.response.cancel() and not self.response.cancelled():
            self.response.exception()


async def open_tunnel(
    proxy: Proxy, uri: WebSocketURI, tls: ssl_module.SSLContext, open_socket: OpenSocket
) -> asyncio.Transport:
    """Have an HTTP proxy connect to the server, and return the transport (RFC 9110 9.3.6).

    Args:
        proxy: which.
        uri: of the server.
        tls: for a proxy with `https://`.
        open_socket: connects to a host and port.

    Raises:
        ConnectError: the proxy failed.
        ConfigurationError: it asks for a login.
    """
    sock = await _reach(proxy, open_socket)
    secure: dict[str, Any] = {}
    if proxy.scheme == "https":
        secure = {"ssl": tls, "server_hostname": proxy.host}
    tunnel = Tunnel(uri, proxy, USER_AGENT)
    transport: asyncio.Transport | None = None
    try:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: tunnel, sock=sock, **secure)
        await tunnel.response
    except BaseException as error:
        tunnel.give_up()
        if transport is not None:
            transport.abort()
        if isinstance(error, (OSError, ws_exceptions.WebSocketException)):
            raise _refused(proxy, error) from None
        raise
    return transport


def _refused(proxy: Proxy, error: Exception) -> Exception:
    name = shown(proxy)
    match error:
        case ws_exceptions.InvalidProxyStatus(response=response):
            if response.status_code == 407:
                return ConfigurationError(
                    f"the proxy asks for a login (HTTP 407); put it into proxy= ({name})"
                )
            return ConnectError(
                f"the proxy {name} refused the connection to the server "
                f"with HTTP {response.status_code}; may it go there?",
                "proxy",
            )
        case ssl_module.SSLCertVerificationError():
            return ConnectError(
                f"the certificate of the proxy {name} was not accepted ({error.verify_message}); "
                "pass proxy_ssl= with a context that trusts it",
                "proxy",
            )
        case ssl_module.SSLError() | ConnectionError() if proxy.scheme == "https":
            return ConnectError(
                f"TLS with the proxy {name} failed; if its port has no TLS, say http://", "proxy"
            )
        case _:
            return ConnectError(
                f"the proxy {name} closed the connection, or answered with no HTTP response",
                "proxy",
            )


async def _address_of(proxy: Proxy, open_socket: OpenSocket) -> str:
    """Return the address of a proxy that answers: of several, the race shows which."""
    try:
        found = await look_up(proxy.host, proxy.port)
    except OSError as error:
        raise _unreached(proxy, error) from None
    if len(found) == 1:
        return str(found[0].sockaddr[0])
    with await _reach(proxy, open_socket) as probe:
        return str(probe.getpeername()[0])


async def open_socks(
    proxy: Proxy, uri: WebSocketURI, local_addr: tuple[str, int] | None, open_socket: OpenSocket
) -> socket.socket:
    """Have a SOCKS proxy connect to the server, and return the socket.

    Args:
        proxy: which.
        uri: of the server.
        local_addr: where to connect from.
        open_socket: connects to a host and port.

    Raises:
        ConnectError: the proxy failed, or the library is missing.
        OSError: the server's name is not found, where the proxy does not look it up.
    """
    # `python-socks` looks names up on the event loop's executor, so it is told an address.
    found = replace(proxy, host=await _address_of(proxy, open_socket))
    if proxy.scheme in ("socks5", "socks4"):
        uri = replace(uri, host=(await look_up(uri.host, uri.port))[0].sockaddr[0])
    try:
        return await connect_socks_proxy(found, uri, local_addr=local_addr)
    except ImportError:
        raise ConnectError(
            f"the proxy {shown(proxy)} needs a library: pip install 'python-socks[asyncio]'",
            "proxy",
        ) from None
    except OSError as error:
        raise _unreached(proxy, error) from None
    except ws_exceptions.ProxyError:
        raise ConnectError(
            f"the proxy {shown(proxy)} refused the connection to the server; may it go there, "
            "and does it need a login?",
            "proxy",
        ) from None
