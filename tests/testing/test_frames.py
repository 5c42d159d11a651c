"""Raw frames: what is built is what `websockets` reads, and scanners agree however it is split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.testing.frames import CLOSE, FrameScanner
from tests.socket_peer import RawFrame, build_close, build_frame
from tests.socket_peer.frames import FrameReader

frames = st.builds(
    RawFrame,
    st.sampled_from([0, 1, 2, 3, CLOSE, 9, 10, 15]),
    st.binary(max_size=8) | st.sampled_from([bytes(125), bytes(126), bytes(300), bytes(70_000)]),
    st.booleans(),
    st.integers(0, 7),
    st.booleans(),
)


def wire(frame: RawFrame) -> bytes:
    return build_frame(frame.opcode, frame.payload, frame.fin, frame.rsv, frame.masked)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(st.lists(frames, max_size=5), st.lists(st.integers(min_value=0), max_size=8))
def test_frames_are_read_as_they_were_built_however_they_arrive(
    sent: list[RawFrame], places: list[int]
) -> None:
    reader, scanner, muted = FrameReader(), FrameScanner(), FrameScanner()
    read, passed, kept = [], b"", b""
    for piece in cut(b"".join(map(wire, sent)), places):
        read += reader.feed(piece)
        passed += scanner.feed(piece)
        kept += muted.feed(piece, mute_close=True)
    assert read == sent
    assert passed == b"".join(map(wire, sent))
    assert kept == b"".join(wire(frame) for frame in sent if frame.opcode != CLOSE)
    assert scanner.boundary
    assert scanner.closes == muted.closes == sum(frame.opcode == CLOSE for frame in sent)


@given(frames, frames, st.integers(min_value=0))
def test_a_scanner_knows_how_far_its_frame_reaches(
    first: RawFrame, second: RawFrame, place: int
) -> None:
    data = wire(first)
    at = place % len(data)
    scanner = FrameScanner()
    scanner.feed(data[:at])
    assert scanner.boundary == (at == 0)
    assert scanner.reach(data[at:] + wire(second)) == (len(data) - at if at else 0)


def test_a_legal_frame_is_what_websockets_builds() -> None:
    for size in (0, 125, 126, 65_535, 65_536):
        legal = Frame(Opcode.BINARY, bytes(size)).serialize(mask=False)
        assert build_frame(2, bytes(size)) == legal
    masked = Frame(Opcode.TEXT, b"some text").serialize(mask=True)
    assert FrameReader().feed(masked) == [RawFrame(1, b"some text", masked=True)]


def test_a_close_frame_may_be_wrong_but_not_impossible() -> None:
    assert build_close() == b"\x88\x02\x03\xe8"
    assert build_close(None) == b"\x88\x00"
    assert build_close(999, b"\xff") == b"\x88\x03\x03\xe7\xff"
    with pytest.raises(ConfigurationError):
        build_close(65_536)
    with pytest.raises(ConfigurationError):
        build_frame(16)
    with pytest.raises(ConfigurationError):
        build_frame(1, length=-1)


def test_a_frame_may_announce_more_than_is_taken() -> None:
    with pytest.raises(ValueError, match="at most"):
        FrameReader(max_size=10).feed(build_frame(2, length=1 << 40))
