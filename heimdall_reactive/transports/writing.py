"""Many frames in one system call, and how many of them the operating system has taken."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from heimdall_reactive.base.frames import Frame

try:
    from websockets.speedups import apply_mask
except ImportError:  # a build without C
    from websockets.utils import apply_mask

__all__ = ["can_batch", "hand_over", "serialize"]

MASKED: Final = 0x80


def serialize(frames: Sequence[Frame], extensions: Sequence[Any]) -> list[bytes]:
    """Return the bytes of frames (RFC 6455 section 5.2), masked with keys of the system's."""
    if extensions:
        return [
            WebSocketFrame(Opcode.TEXT if frame.text else Opcode.BINARY, frame.data).serialize(
                mask=True, extensions=extensions
            )
            for frame in frames
        ]
    keys = os.urandom(4 * len(frames))  # of all at once: a system call for each takes 0.5 us
    pieces = []
    for number, frame in enumerate(frames):
        data, key = frame.data, keys[4 * number : 4 * number + 4]
        size, first = len(data), 0x81 if frame.text else 0x82
        if size < 126:
            head = bytes((first, MASKED | size))
        elif size < 1 << 16:
            head = bytes((first, MASKED | 126)) + size.to_bytes(2)
        else:
            head = bytes((first, MASKED | 127)) + size.to_bytes(8)
        pieces.append(head + key + apply_mask(data, key))
    return pieces


def can_batch(transport: asyncio.Transport) -> bool:
    """Return whether a transport is over a socket, with or without TLS."""
    return transport.get_extra_info("socket") is not None


def hand_over(transport: asyncio.Transport, pieces: Sequence[bytes]) -> tuple[int, int]:
    """Write frames to a transport whose buffer is empty, as far as that stays so.

    A transport keeps what the operating system does not take, and does not tell what becomes of it
    when the connection is lost. So without TLS the bytes go to the socket, which tells how many it
    has taken, and only the rest of a frame that has begun goes to the transport.

    Args:
        transport: of the connection.
        pieces: the frames.

    Returns:
        How many frames have begun, the first ones, and how many of these are taken for certain.
    """
    data = b"".join(pieces)
    if transport.get_extra_info("ssl_object") is not None or sys.platform == "win32":
        transport.write(data)
        return len(pieces), 0 if transport.get_write_buffer_size() else len(pieces)
    try:
        taken = os.write(transport.get_extra_info("socket").fileno(), data)
    except OSError:  # it is full; or it is gone, which the transport will find
        taken = 0
    if taken == len(data):
        return len(pieces), len(pieces)
    end = 0
    for number, piece in enumerate(pieces):
        end += len(piece)
        if end > taken:
            transport.write(data[taken:end])
            begun = number + 1
            return begun, number if transport.get_write_buffer_size() else begun
    raise AssertionError("unreachable: not all was taken")
