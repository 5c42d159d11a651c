"""Let a socket hear nothing, so that its host acknowledges nothing: for faults of tests (Linux).

Elsewhere nothing changes; a peer that has no `TCP_INFO` does not see the difference.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from array import array
from typing import Final

__all__ = ["deafen", "hear"]

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
    address = struct.pack("HP", len(FILTER), PROGRAM.buffer_info()[0])
    _set(transport, ATTACH, address)


def hear(transport: asyncio.BaseTransport) -> None:
    """Undo `deafen`; the peer's kernel sends again what was dropped."""
    _set(transport, DETACH, 0)


def _set(transport: asyncio.BaseTransport, option: int, value: int | bytes) -> None:
    sock = transport.get_extra_info("socket")
    if sys.platform == "linux" and sock is not None:
        with contextlib.suppress(OSError):  # it is closed, or was never deaf
            sock.setsockopt(socket.SOL_SOCKET, option, value)
