"""What a socket knows that asyncio does not tell: what was acknowledged, what TLS still holds."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Final

__all__ = ["abort", "all_taken", "leave", "left_in_tls", "taken", "unheard"]

# `struct tcp_info` of Linux, in <linux/tcp.h>: eight bytes, then 32-bit numbers; since 4.1 the
# 64-bit `tcpi_bytes_acked` follows at 120, and since 4.6 `tcpi_notsent_bytes` at 144.
UNACKED: Final = 24  # tcpi_unacked, in segments
LAST_ACK: Final = 56  # tcpi_last_ack_recv, in milliseconds
BYTES_ACKED: Final = 120
NOT_SENT: Final = 144
SIZE: Final = NOT_SENT + 4
# Addresses of ours whose peer, a fault of a test in this process, pretends to hear nothing.
unheard: Final[set[object]] = set()
READ: Final = 1 << 16  # bytes at once
NO_LINGER: Final = struct.pack("ii", 1, 0)


def taken(transport: asyncio.Transport, now: float) -> tuple[int, float]:
    """Return how many bytes the peer's host has acknowledged, and when it last did.

    Where the platform does not tell, it is how much less waits in our own buffer: a number that
    grows when some of it was taken, at a time that may have been now.

    Args:
        transport: of the connection.
        now: on the event loop's clock.
    """
    if info := _tcp_info(transport):
        (acked,) = struct.unpack_from("=Q", info, BYTES_ACKED)
        (ago,) = struct.unpack_from("=I", info, LAST_ACK)
        return acked, now - ago / 1000
    return -transport.get_write_buffer_size(), now


def all_taken(transport: asyncio.Transport) -> bool:
    """Return whether the peer's host has acknowledged every byte; False where nobody tells."""
    if transport.get_write_buffer_size() or not (info := _tcp_info(transport)):
        return False
    return info[UNACKED : UNACKED + 4] == info[NOT_SENT:] == bytes(4)


def _tcp_info(transport: asyncio.Transport) -> bytes:
    """Return `struct tcp_info` of a connection, or nothing where the platform has none."""
    sock = transport.get_extra_info("socket")
    if sys.platform == "linux" and sock is not None:
        try:
            info: bytes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SIZE)
        except OSError:  # another kind of socket, or it is closed
            return b""
        if len(info) == SIZE and not (unheard and sock.getsockname() in unheard):
            return info
    return b""


def abort(transport: asyncio.Transport) -> None:
    """Drop a connection, and what its host would still send: a peer that is given up gets no more.

    Else the kernel repeats for minutes what was not acknowledged, and an old message would come
    behind those of the next session (`SO_LINGER` with 0 seconds, socket(7)).
    """
    sock: Any = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError, AttributeError):  # it is closed, or is not a real one
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    transport.abort()


def left_in_tls(transport: asyncio.Transport) -> bytes:
    """Return what TLS holds at the end of a connection and has not handed on.

    Where the peer ends TCP without a goodbye of TLS while nothing is read, uvloop 0.23 drops that;
    the event loops of asyncio hand it on before they report the end.
    """
    tls: Any = transport.get_extra_info("ssl_object")
    parts: list[bytes] = []
    with suppress(OSError, ValueError, AttributeError):  # there is no more, or no TLS
        while part := tls.read(READ):
            parts.append(part)
    return b"".join(parts)


def leave(wire: object) -> None:
    """Give up a child process's copy of a socket, and nothing but the copy.

    Nothing is sent or shut down, and the event loop's selector, which the parent shares, is not
    touched. While a copy is open, the peer would not see the end of the parent.
    """
    transport = getattr(wire, "transport", None)
    sock: Any = None if transport is None else transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return
    # Its number stays taken: what owns the socket may close it later.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, sock.fileno(), inheritable=False)
    os.close(nowhere)
