"""HTTP for the fault proxy: the head of a request, and what answers an upgrade."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from .sockets import Side

__all__ = ["HEAD_END", "HEAD_LIMIT", "http_answer", "read_head"]

HEAD_END = b"\r\n\r\n"
HEAD_LIMIT = 64 * 1024


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


def http_answer(status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """Return a response; `Content-Length` is added where the headers have none and it may be."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
    pairs = list(headers)
    if status >= 200 and "content-length" not in {name.lower() for name, _ in pairs}:
        pairs.append(("Content-Length", str(len(body))))
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + HEAD_END + body
