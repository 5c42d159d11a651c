"""How much of what we wrote the peer's host has taken: Linux tells for a socket of TCP."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Final

__all__ = ["abort", "taken"]

# `struct tcp_info` of Linux, in <linux/tcp.h>: eight bytes, then 32-bit numbers; since 4.1 the
# 64-bit `tcpi_bytes_acked` follows at 120.
LAST_ACK: Final = 56  # tcpi_last_ack_recv, in milliseconds
BYTES_ACKED: Final = 120
SIZE: Final = BYTES_ACKED + 8
NO_LINGER: Final = struct.pack("ii", 1, 0)


def taken(transport: asyncio.Transport, now: float) -> tuple[int, float]:
    """Return how many bytes the peer's host has acknowledged, and when it last did.

    Where the platform does not tell, it is how much less waits in our own buffer: a number that
    grows when some of it was taken, at a time that may have been now.

    Args:
        transport: of the connection.
        now: on the event loop's clock.
    """
    sock = transport.get_extra_info("socket")
    if sys.platform == "linux" and sock is not None:
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SIZE)
        except OSError:  # another kind of socket, or it is closed
            info = b""
        if len(info) == SIZE:
            (acked,) = struct.unpack_from("=Q", info, BYTES_ACKED)
            (ago,) = struct.unpack_from("=I", info, LAST_ACK)
            return acked, now - ago / 1000
    return -transport.get_write_buffer_size(), now


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
