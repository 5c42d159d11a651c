"""What the peer sends and reads: frames of a server (RFC 6455), and compressed ones (RFC 7692)."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from typing import Final

__all__ = ["EXTENSIONS", "frame", "frames", "inflated"]

EXTENSION: Final = b"Sec-WebSocket-Extensions: permessage-deflate"
# What the peer agrees to, by path, where it is offered. At /deflate it compresses nothing: what
# the agreement itself takes is the client's.
EXTENSIONS: Final = {
    b"/deflate": EXTENSION + b"; server_max_window_bits=12; client_max_window_bits=12\r\n",
    b"/packed": EXTENSION + b"; server_no_context_takeover; client_no_context_takeover\r\n",
    b"/context": EXTENSION + b"\r\n",
}
VARIANTS: Final = 64  # messages that differ, where they are compressed
NAME: Final = b"u1017"  # what differs in them
WINDOW: Final = 1 << 15  # bytes that a compressed message may refer to


def frame(payload: bytes, binary: bool = False, packed: bool = False) -> bytes:
    """Build a server's frame (RFC 6455 section 5.2)."""
    first = bytes([(0x82 if binary else 0x81) | (0x40 if packed else 0)])
    size = len(payload)
    if size < 126:
        return first + bytes([size]) + payload
    if size < 65536:
        return first + b"\x7e" + size.to_bytes(2, "big") + payload
    return first + b"\x7f" + size.to_bytes(8, "big") + payload


def frames(path: bytes, payload: bytes, binary: bool, chunk: int) -> Iterator[list[bytes]]:
    """Yield lists of frames without end, each list of about so many bytes of messages."""
    if path not in (b"/packed", b"/context"):
        yield from itertools.repeat([frame(payload, binary)] * max(1, chunk // len(payload)))
    variants = [payload.replace(NAME, b"u%d" % (1000 + n)) for n in range(VARIANTS)]
    if path == b"/packed":
        packed = [_packed(zlib.compressobj(wbits=-15), one) for one in variants]
        yield from itertools.repeat(packed * max(1, chunk // len(payload) // VARIANTS))
    # Each message refers to those before it. From the second time on, what is before the list is
    # the list itself, and so the same frames are right again.
    rounds = max(chunk, WINDOW) // (len(payload) * VARIANTS) + 1
    packer = zlib.compressobj(wbits=-15)
    yield [_packed(packer, one) for _ in range(rounds) for one in variants]
    again = [_packed(packer, one) for _ in range(rounds) for one in variants]
    yield from itertools.repeat(again)


def _packed(packer: zlib._Compress, payload: bytes) -> bytes:
    """Build a compressed text frame (RFC 7692 section 7.2.1)."""
    data = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    return frame(data[:-4], packed=True)


def inflated(data: bytes) -> bytes:
    """Decompress the first message of a connection (RFC 7692 section 7.2.2)."""
    return zlib.decompressobj(wbits=-15).decompress(data + b"\x00\x00\xff\xff")
