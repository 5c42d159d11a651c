"""Let a socket hear nothing, so that its host acknowledges nothing: for faults of tests (Linux).

Where the kernel does not let us, `taken.py` is told that the acknowledgements of a peer in this
process mean nothing. On other platforms nothing changes: there nobody reports acknowledgements.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from array import array
from typing import Final

from .taken import unheard

__all__ = ["deafen", "hear", "is_allowed"]

# A filter of packets, see socket(7) and <linux/bpf_common.h>: what has RST set passes, so that a
# peer that has given up is noticed later, and all else is dropped before TCP sees it.
ATTACH: Final = 26  # SO_ATTACH_FILTER
DETACH: Final = 27  # SO_DETACH_FILTER
FILTER: Final = (
    (0x30, 0, 0, 13),  # BPF_LD | BPF_B | BPF_ABS: the byte of the flags
    (0x45, 0, 1, 0x04),  # BPF_JMP | BPF_JSET | BPF_K: RST?
    (0x06, 0, 0, 0xFFFFFFFF),  # BPF_RET | BPF_K: keep it
    (0x06, 0, 0, 0),  # BPF_RET | BPF_K: keep nothing
)
PROGRAM: Final = array("B", b"".join(struct.pack("HBBI", *line) for line in FILTER))


def deafen(transport: asyncio.BaseTransport) -> None:
    """Drop what arrives from now on."""
    sock = transport.get_extra_info("socket")
    if sys.platform == "linux" and sock is not None:
        with contextlib.suppress(OSError):  # it is closed
            if not _attach(sock):
                unheard.add(sock.getpeername())


def hear(transport: asyncio.BaseTransport) -> None:
    """Undo `deafen`; the peer's kernel sends again what was dropped."""
    sock = transport.get_extra_info("socket")
    if sys.platform == "linux" and sock is not None:
        with contextlib.suppress(OSError):  # it is closed, or was never deaf
            unheard.discard(sock.getpeername())
            sock.setsockopt(socket.SOL_SOCKET, DETACH, 0)


def is_allowed() -> bool:
    """Return whether the kernel lets this process drop packets."""
    with socket.socket() as sock:
        return sys.platform == "linux" and _attach(sock)


def _attach(sock: socket.socket) -> bool:
    address = struct.pack("HP", len(FILTER), PROGRAM.buffer_info()[0])
    try:
        sock.setsockopt(socket.SOL_SOCKET, ATTACH, address)
    except PermissionError:  # some kernels want a privilege
        return False
    return True
