"""Endpoints: paths and URLs, what they resolve to, and what of them may be shown."""

from __future__ import annotations

import ipaddress
import os
import re
from string import punctuation
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from .exceptions import InvalidEndpoint, one_line

__all__ = [
    "check_endpoint",
    "is_loopback",
    "is_proxy",
    "redact",
    "resolve_endpoint",
    "ws_config",
]

MAX_URL: Final = (
    8192  # characters; longer request lines are refused by common servers (RFC 9110 4.1)
)

SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
# `localhost`, an address, or a name with a port.
HOST: Final = re.compile(
    r"((localhost|\[[0-9a-fA-F:.]+\]|\d+(\.\d+){3})(:\d+)?|[\w-]+(\.[\w-]+)*\.?:\d{2,5})(/|\?|$)"
)
# A scheme with a slash or a colon too few.
MISSPELT: Final = re.compile(r"(wss?|https?)(:/?(?!/)|//)", re.IGNORECASE)
PROXY_SCHEMES: Final = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


class WsConfig:
    """Where paths lead: the base URL of every endpoint that is not a full URL."""

    __slots__ = ("_ws_url",)  # another name is a mistake

    def __init__(self) -> None:
        self._ws_url: str | None = None

    @property
    def ws_url(self) -> str:
        """Base URL: the value set here, else `HEIMDALL_WS_URL`, else `ws://localhost:3000`."""
        return self._ws_url or os.environ.get("HEIMDALL_WS_URL") or "ws://localhost:3000"

    @ws_url.setter
    def ws_url(self, value: str | None) -> None:
        if value:
            check_endpoint(value)
        self._ws_url = value

    def __repr__(self) -> str:
        return f"<WsConfig {redact(self.ws_url)}>"

    def resolve(self, endpoint: str) -> str:
        """Make the full URL of an endpoint, see `resolve_endpoint`."""
        return resolve_endpoint(endpoint, self.ws_url)


ws_config = WsConfig()


def resolve_endpoint(endpoint: str, base: str) -> str:
    """Make the full URL of an endpoint.

    Args:
        endpoint: a path under `base`, or a whole `ws://` or `wss://` URL.
        base: a `ws://` or `wss://` URL.

    Raises:
        InvalidEndpoint: where no WebSocket URL comes out of it (RFC 6455 section 3).
    """
    whole = SCHEME.match(endpoint)
    url = endpoint if whole else f"{base.rstrip('/')}/{endpoint.lstrip('/')}"
    advice = "give a path such as '/v1/ws', or a full ws:// or wss:// URL"
    if len(url) > MAX_URL or any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise InvalidEndpoint(
            f"the endpoint has spaces, control characters or is too long; {advice}"
        )
    try:
        parts = urlsplit(url)
        port, ascii_url = parts.port, _escaped(url, parts.netloc)
    except ValueError:
        raise InvalidEndpoint(f"the endpoint has a wrong host or port; {advice}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0:
        raise InvalidEndpoint(f"{redact(url)!r} is not a WebSocket URL; {advice}")
    if "#" in url:
        raise InvalidEndpoint(f"{redact(url)!r} has a fragment, which WebSocket URLs may not have")
    # In lower case, as all else here expects it.
    return parts.scheme + ascii_url[len(parts.scheme) :]


def _escaped(url: str, netloc: str) -> str:
    """Return a URL in ASCII (RFC 3987 section 3.1); what is escaped in it stays as it is.

    `websockets` would escape each `%` again where other characters are.
    """
    if url.isascii():
        return url
    _, at, place = netloc.rpartition("@")
    host = place.encode("idna").decode()
    return quote(url.replace(at + place, at + host, 1), safe=punctuation)


def check_endpoint(endpoint: str) -> None:
    """Refuse what is certainly a mistake, whatever the base is.

    Raises:
        InvalidEndpoint: another scheme than `ws://` or `wss://`, one that is misspelt, or a host
            without one.
    """
    if (scheme := SCHEME.match(endpoint)) is not None:
        if scheme[0].lower() not in ("ws://", "wss://"):
            url = redact(endpoint)
            instead = (
                repr(re.sub("^http", "ws", url)) if url.startswith("http") else "ws:// or wss://"
            )
            raise InvalidEndpoint(f"{url!r} is not a WebSocket URL; say {instead}")
    elif (scheme := MISSPELT.match(endpoint)) is not None:
        secure = scheme[1].lower() in ("wss", "https")
        url = redact(f"{'wss' if secure else 'ws'}://{endpoint[scheme.end() :]}")
        raise InvalidEndpoint(f"{scheme[0]!r} does not begin a WebSocket URL; say {url!r}")
    elif HOST.match(endpoint):
        host = redact(f"ws://{endpoint}").removeprefix("ws://")
        raise InvalidEndpoint(
            f"{host!r} is a host without a scheme; say 'ws://{host}', or '/{host}' if it is a path"
        )


def is_proxy(url: object) -> bool:
    """Return whether something is the URL of a proxy: a scheme, a host, and perhaps a login."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    whole = parts.scheme in PROXY_SCHEMES and bool(parts.hostname)
    login = parts.username is None or parts.password is not None
    return whole and login and parts.path in ("", "/") and not (parts.query or parts.fragment)


def redact(url: str) -> str:
    """Return the URL without user, password, query and fragment, which may be secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        netloc = f"[{host}]" if ":" in host else host
        if parts.port is not None:
            netloc = f"{netloc}:{parts.port}"
    except ValueError:
        return "<invalid URL>"
    return one_line(urlunsplit((parts.scheme, netloc, parts.path, "", "")), 200)


def is_loopback(host: str) -> bool:
    """Return whether a host can only be this machine.

    Only `localhost`, 127.0.0.0/8 and ::1 as they are usually written: a name that merely
    begins like one, or a number in disguise, is none.
    """
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None
