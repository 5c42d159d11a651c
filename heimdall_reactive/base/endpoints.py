"""Endpoints: paths and URLs, what they resolve to, and what of them may be shown."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from .exceptions import InvalidEndpoint, one_line

__all__ = ["is_loopback", "redact", "resolve_endpoint", "ws_config"]

MAX_URL: Final = (
    8192  # characters; longer request lines are refused by common servers (RFC 9110 4.1)
)


class WsConfig:
    """Where paths lead: the base URL of every endpoint that is not a full URL."""

    def __init__(self) -> None:
        self._ws_url: str | None = None

    @property
    def ws_url(self) -> str:
        """Base URL: the value set here, else `HEIMDALL_WS_URL`, else `ws://localhost:3000`."""
        return self._ws_url or os.environ.get("HEIMDALL_WS_URL") or "ws://localhost:3000"

    @ws_url.setter
    def ws_url(self, value: str | None) -> None:
        self._ws_url = value

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
    whole = re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", endpoint)
    url = endpoint if whole else f"{base.rstrip('/')}/{endpoint.lstrip('/')}"
    advice = "give a path such as '/v1/ws', or a whole ws:// or wss:// URL"
    if len(url) > MAX_URL or any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise InvalidEndpoint(
            f"the endpoint has spaces, control characters or is too long; {advice}"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidEndpoint(f"the endpoint is no URL; {advice}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0:
        raise InvalidEndpoint(f"{redact(url)!r} is no WebSocket URL; {advice}")
    if "#" in url:
        raise InvalidEndpoint(f"{redact(url)!r} has a fragment, which WebSocket URLs may not have")
    return parts.scheme + url[len(parts.scheme) :]  # in lower case, as all else here expects it


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
