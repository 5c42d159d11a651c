"""The opening handshake, from a server's side: what a request says, and the 101 to it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

from heimdall_reactive.testing.handshake import http_answer

__all__ = ["bearer_token", "request_headers", "upgrade_answer"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def request_headers(head: bytes) -> dict[str, str]:
    """Return the headers of a request, names in lower case; the last of equal names counts."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def bearer_token(path: str, headers: dict[str, str]) -> str | None:
    """Return the access token in header, subprotocol or query; None without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token
    for name in headers.get("sec-websocket-protocol", "").split(","):
        if name.strip().startswith("bearer."):
            return name.strip().removeprefix("bearer.")
    return next(iter(parse_qs(urlsplit(path).query).get("access_token", ())), None)


def upgrade_answer(
    request: bytes,
    accept: str | None = None,
    subprotocol: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return the 101 to a request.

    Args:
        request: the request's head.
        accept: a `Sec-WebSocket-Accept` to send instead of the right one.
        subprotocol: the subprotocol to name, asked for or not.
        headers: more headers.
    """
    if accept is None:
        key = request_headers(request).get("sec-websocket-key", "").encode("latin-1")
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
    pairs = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
    if subprotocol is not None:
        pairs.append(("Sec-WebSocket-Protocol", subprotocol))
    return http_answer(101, [*pairs, *headers])
