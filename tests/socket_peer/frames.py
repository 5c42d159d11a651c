"""Raw RFC 6455 frames, taken apart without judgement."""

from __future__ import annotations

from dataclasses import dataclass

from heimdall_reactive.testing.frames import CLOSE, head_size, payload_size

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "FrameReader",
    "RawFrame",
]

CONTINUATION, TEXT, BINARY, PING, PONG = 0x0, 0x1, 0x2, 0x9, 0xA


@dataclass(frozen=True)
class RawFrame:
    """One frame as it travelled, fragments and control frames included.

    Attributes:
        opcode: 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
        payload: its bytes, unmasked.
        fin: whether it is the last frame of its message.
        rsv: the three reserved bits, 0 to 7; 4 marks a compressed message.
        masked: whether it was masked, as every client's frame must be.
    """

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    masked: bool = False


class FrameReader:
    """Handle frames out of a stream of bytes.

    Args:
        max_size: bytes of the longest payload that is taken.
    """

    def __init__(self, max_size: int = 64 << 20) -> None:
        self._buffer = bytearray()
        self._max_size = max_size

    def feed(self, data: bytes) -> list[RawFrame]:
        """Return the frames that `data` completes.

        Raises:
            ValueError: if a frame announces more than `max_size` bytes.
        """
        self._buffer += data
        frames = []
        while (frame := self._take()) is not None:
            frames.append(frame)
        return frames

    def _take(self) -> RawFrame | None:
        start = bytes(self._buffer[:14])
        size = head_size(start)
        if len(start) < size:
            return None
        length = payload_size(start)
        if length > self._max_size:
            raise ValueError(f"a frame of {length} bytes; at most {self._max_size} are taken")
        if len(self._buffer) < size + length:
            return None
        payload = bytes(self._buffer[size : size + length])
        del self._buffer[: size + length]
        masked = start[1] >= 128
        if masked:
            payload = _unmask(payload, start[size - 4 : size])
        return RawFrame(start[0] & 0x0F, payload, start[0] >= 128, start[0] >> 4 & 7, masked)


def _unmask(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    stream = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return mixed.to_bytes(size, "big")
