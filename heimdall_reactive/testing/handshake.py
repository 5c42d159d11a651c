"""HTTP for the fault kit: the head of a message, and what answers an upgrade."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from .sockets import Side

__all__ = [
    "HEAD_END",
    "HEAD_LIMIT",
    "http_answer",
    "read_head",
    "request_headers",
    "upgrade_answer",
]

HEAD_END = b"\r\n\r\n"
HEAD_LIMIT = 64 * 1024

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def read_head(side: Side) -> bytes | None:
    """Return a request's head; None if the connection ends, or if that cannot become one."""
    head = b""
    while (arrival := await side.read()) is not None:
        head += arrival[1]
        end = head.find(HEAD_END)
        if end >= 0:
            end += len(HEAD_END)
            if end < len(head):
                side.push_back(head[end:])
            return head[:end]
        if len(head) > HEAD_LIMIT or not head[:1].isalpha():
            break
    return None


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


def http_answer(status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """Return a response; `Content-Length` is added where the headers have none and it may be."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
    pairs = list(headers)
    if status >= 200 and "content-length" not in {name.lower() for name, _ in pairs}:
        pairs.append(("Content-Length", str(len(body))))
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + HEAD_END + body


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
