"""Raw RFC 6455 frames: built as wrong as a fault wants, and followed without judgement."""

from __future__ import annotations

import copy
import struct

from heimdall_reactive.base.exceptions import ConfigurationError

__all__ = ["CLOSE", "FrameScanner", "build_close", "build_frame", "head_size", "payload_size"]

CLOSE = 0x8

_MASK = b"\x00\x00\x00\x00"
"""Masked is what a receiver judges; a key of zeros keeps the payload readable in a capture."""


def build_frame(
    opcode: int,
    payload: bytes = b"",
    fin: bool = True,
    rsv: int = 0,
    masked: bool = False,
    length: int | None = None,
) -> bytes:
    """Return a frame's bytes (RFC 6455 section 5.2); nothing about it is checked for sense.

    Args:
        opcode: 0 to 15.
        payload: bytes of the payload.
        fin: whether it is the last frame of its message.
        rsv: the reserved bits, 0 to 7.
        masked: mask it, as only a client may.
        length: announce this many bytes of payload, whatever `payload` has.

    Raises:
        ConfigurationError: if a value does not fit the header's fields.
    """
    if not 0 <= opcode <= 15 or not 0 <= rsv <= 7:
        raise ConfigurationError(f"opcode {opcode} or rsv {rsv} does not fit; use 0-15 and 0-7")
    size = len(payload) if length is None else length
    if not 0 <= size < 1 << 64:
        raise ConfigurationError(f"{size} bytes cannot be announced; use 0 to 2**64 - 1")
    first = fin << 7 | rsv << 4 | opcode
    bit = masked << 7
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    return head + (_MASK if masked else b"") + payload


def build_close(code: int | None = 1000, reason: str | bytes = "") -> bytes:
    """Return a close frame; the code may be one that must not travel, the reason not UTF-8.

    Args:
        code: 0 to 65535; None leaves code and reason out.
        reason: text, or any bytes; 123 bytes are the most a legal frame has.

    Raises:
        ConfigurationError: if the code does not fit two bytes.
    """
    if code is None:
        return build_frame(CLOSE)
    if not 0 <= code < 1 << 16:
        raise ConfigurationError(f"close code {code} does not fit two bytes; use 0 to 65535")
    text = reason.encode() if isinstance(reason, str) else reason
    return build_frame(CLOSE, code.to_bytes(2, "big") + text)


class FrameScanner:
    """Follow where frames begin and end in a stream of bytes, without keeping payloads.

    Attributes:
        opcode: of the frame the stream is in; of the last one at a boundary.
        closes: how many close frames have ended.
    """

    def __init__(self) -> None:
        self.opcode = 0
        self.closes = 0
        self.head = b""
        self._left = 0  # bytes of the payload still to come
        self._dropping = False

    @property
    def boundary(self) -> bool:
        """Whether the stream is between two frames."""
        return not self.head

    def reach(self, data: bytes) -> int:
        """Return how many bytes of `data` belong to the frame the stream is in."""
        probe = copy.copy(self)
        used = 0
        while used < len(data) and not probe.boundary:
            used += probe.step(data[used:])
        return used

    def feed(self, data: bytes, mute_close: bool = False) -> bytes:
        """Follow `data`, and return it without the close frames if they are to be muted."""
        kept = []
        view = data
        while view:
            if self.boundary:
                self._dropping = mute_close and view[0] & 0x0F == CLOSE
            dropping = self._dropping
            used = self.step(view)
            if not dropping:
                kept.append(view[:used])
            view = view[used:]
        return kept[0] if len(kept) == 1 else b"".join(kept)

    def step(self, data: bytes) -> int:
        """Follow `data` to the end of a header or payload; return how many bytes that took."""
        if not self.head:
            self.opcode = data[0] & 0x0F
        size = head_size(self.head + data[:2])
        if len(self.head) >= size:
            used = min(self._left, len(data))
            self._left -= used
        else:
            used = min(size - len(self.head), len(data))
            self.head += data[:used]
            size = head_size(self.head)
            if len(self.head) < size:
                return used
            self._left = payload_size(self.head)
        if not self._left:
            self.closes += self.opcode == CLOSE
            self.head = b""
        return used


def head_size(start: bytes) -> int:
    """Return the bytes of a header that starts so; 2 where its second byte is not known yet."""
    if len(start) < 2:
        return 2
    return 2 + {126: 2, 127: 8}.get(start[1] & 0x7F, 0) + (4 if start[1] >= 128 else 0)


def payload_size(head: bytes) -> int:
    """Return the bytes of the payload that a whole header announces."""
    short = head[1] & 0x7F
    if short < 126:
        return short
    return int.from_bytes(head[2 : 4 if short == 126 else 10], "big")
