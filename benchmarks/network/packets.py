"""IPv4 packets that carry TCP (RFC 791, RFC 9293): read them, rewrite their addresses. Pure."""

from __future__ import annotations

import socket
import struct
from typing import Final, NamedTuple

__all__ = ["Address", "Segment", "checksum", "reset_for", "rewrite", "segment_of"]

TCP: Final = 6
FIN: Final = 1
SYN: Final = 2
RST: Final = 4
ACK: Final = 16


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int


class Segment(NamedTuple):
    """What a router looks at.

    Attributes:
        source: who sent it.
        target: for whom it is.
        sequence: of its first byte.
        acknowledged: the next byte that its sender expects.
        flags: of TCP.
        size: bytes that it takes of the sequence: data, and one each for SYN and FIN.
    """

    source: Address
    target: Address
    sequence: int
    acknowledged: int
    flags: int
    size: int

    @property
    def opens(self) -> bool:
        """Whether it is the first of a connection."""
        return self.flags & (SYN | ACK) == SYN


def segment_of(packet: bytes) -> Segment | None:
    """Read a packet; None where it is not a whole IPv4 packet that carries TCP."""
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != TCP:
        return None
    head = (packet[0] & 15) * 4
    source_port, target_port, sequence, acknowledged, offset, flags = struct.unpack_from(
        "!HHIIBB", packet, head
    )
    data = struct.unpack_from("!H", packet, 2)[0] - head - (offset >> 4) * 4
    return Segment(
        Address(socket.inet_ntoa(packet[12:16]), source_port),
        Address(socket.inet_ntoa(packet[16:20]), target_port),
        sequence, acknowledged, flags, data + bool(flags & SYN) + bool(flags & FIN),
    )  # fmt: skip


def rewrite(packet: bytes, source: Address | None = None, target: Address | None = None) -> bytes:
    """Return a packet with another source or target, and the checksums that belong to it."""
    changed, head = bytearray(packet), (packet[0] & 15) * 4
    for address, at, port_at in ((source, 12, head), (target, 16, head + 2)):
        if address is not None:
            changed[at : at + 4] = socket.inet_aton(address.host)
            struct.pack_into("!H", changed, port_at, address.port)
    return _sealed(changed)


def reset_for(packet: bytes) -> bytes | None:
    """Return the RST with which a host answers a segment of no connection; None to a RST.

    RFC 9293, 3.10.7.1: it takes the place in the sequence that the segment acknowledges.
    """
    segment = segment_of(packet)
    if segment is None or segment.flags & RST:
        return None
    sequence, acknowledged, flags = segment.acknowledged, 0, RST
    if not segment.flags & ACK:
        end = (segment.sequence + segment.size) % 2**32
        sequence, acknowledged, flags = 0, end, RST | ACK
    answer = bytearray(40)
    answer[0], answer[8], answer[9] = 0x45, 64, TCP
    struct.pack_into("!H", answer, 2, 40)
    answer[12:16], answer[16:20] = packet[16:20], packet[12:16]
    ports = segment.target.port, segment.source.port
    struct.pack_into("!HHIIBB", answer, 20, *ports, sequence, acknowledged, 5 << 4, flags)
    return _sealed(answer)


def checksum(data: bytes | bytearray) -> int:
    """Return the Internet checksum (RFC 1071); 0 over what carries its own."""
    if len(data) % 2:
        data = bytes(data) + b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _sealed(packet: bytearray) -> bytes:
    """Set both checksums."""
    head, size = (packet[0] & 15) * 4, struct.unpack_from("!H", packet, 2)[0]
    packet[10:12] = b"\0\0"
    struct.pack_into("!H", packet, 10, checksum(packet[:head]))
    struct.pack_into("!H", packet, head + 16, 0)
    pseudo = packet[12:20] + struct.pack("!BBH", 0, TCP, size - head)
    struct.pack_into("!H", packet, head + 16, checksum(pseudo + packet[head:size]))
    return bytes(packet)
