"""The splitter agrees with the parser about every stream, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heimdall_reactive.transports.splitting import Splitter
from tests.peers import frame

TEXT, BINARY, CONT, CLOSE, PING = 1, 2, 0, 8, 9
LIMIT = 70_000


class Sides:
    """What was pushed, and what the parser got."""

    def __init__(self, plain: bool = True) -> None:
        self.log: list[tuple[str, bytes]] = []
        self.plain = plain
        self.splitter = Splitter(self._parse, lambda: self.plain, LIMIT)

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.splitter.feed(piece, self._push)

    def _push(self, data: bytes, text: bool) -> None:
        assert type(data) is bytes
        self.log.append(("pushed" if text else "pushed binary", data))

    def _parse(self, data: bytes) -> None:
        self.log.append(("parsed", data))

    @property
    def parsed(self) -> bytes:
        return b"".join(data for side, data in self.log if side == "parsed")

    @property
    def pushed(self) -> list[bytes]:
        return [data for side, data in self.log if side != "parsed"]


SIZES = st.sampled_from([0, 1, 125, 126, 127, 300, 65535, 65536, LIMIT, LIMIT + 1])
FRAMES = st.lists(
    st.tuples(st.sampled_from([TEXT, TEXT, BINARY, CONT, PING, CLOSE]), SIZES, st.booleans()),
    max_size=6,
)


def build(frames: list[tuple[int, int, bool]]) -> list[tuple[int, bytes, bytes]]:
    built = []
    for number, (opcode, size, fin) in enumerate(frames):
        payload = bytes([number]) * (min(size, 125) if opcode >= CLOSE else size)
        built.append((opcode, payload, frame(opcode, payload, fin or opcode >= CLOSE)))
    return built


@given(FRAMES, st.data())
def test_nothing_is_lost_and_frames_keep_their_order_however_the_stream_is_cut(
    frames: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    built = build(frames)
    stream = b"".join(raw for _, _, raw in built)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    sides = Sides()
    sides.feed(*pieces)
    # What was pushed, framed again, and what was parsed make the stream again.
    opcodes = {"pushed": TEXT, "pushed binary": BINARY}
    again = b"".join(
        part if side == "parsed" else frame(opcodes[side], part) for side, part in sides.log
    )
    left = stream[len(again) :]
    assert again + left == stream
    assert len(left) < 10  # the beginning of a head at most
    if len(pieces) == 1:
        assert len(sides.pushed) == sum(
            raw[0] in (0x81, 0x82) and len(payload) <= LIMIT for _, payload, raw in built
        )


def test_the_parser_gets_what_there_is_of_a_frame_at_once() -> None:
    sides = Sides()
    raw = frame(BINARY, b"x" * 1000)
    sides.feed(raw[:500])
    assert sides.parsed == raw[:500]
    sides.feed(raw[500:] + frame(TEXT, b"t"))
    assert sides.log[-2:] == [("parsed", raw[500:]), ("pushed", b"t")]


def test_a_text_frame_in_two_pieces_is_the_parsers_and_the_next_is_not() -> None:
    sides = Sides()
    raw = frame(TEXT, b"hello")
    sides.feed(raw[:3], raw[3:] + raw)
    assert (sides.parsed, sides.pushed) == (raw, [b"hello"])


def test_no_short_way_while_a_message_is_open_or_after_the_end() -> None:
    sides = Sides(plain=False)
    sides.feed(frame(TEXT, b"t"))
    assert sides.pushed == []
    sides.plain = True
    sides.feed(frame(TEXT, b"u"))
    assert sides.pushed == [b"u"]


def test_what_is_against_the_protocol_goes_to_the_parser_with_all_that_follows() -> None:
    for wrong in (b"\x81\x85", b"\x83\x7e", b"\x8f\x7f"):  # masked, unknown opcodes
        sides = Sides()
        sides.feed(frame(TEXT, b"a") + wrong, frame(TEXT, b"b"))
        assert sides.pushed == [b"a"]
        assert sides.parsed == wrong + frame(TEXT, b"b")


def test_a_stop_from_within_a_push_hands_the_rest_to_the_parser() -> None:
    sides = Sides()

    def push(data: bytes, _: bool) -> None:
        sides.log.append(("pushed", data))
        sides.splitter.stop()

    sides.splitter.feed(frame(TEXT, b"a") + frame(TEXT, b"b"), push)
    sides.splitter.feed(frame(TEXT, b"c"), push)
    assert sides.pushed == [b"a"]
    assert sides.parsed == frame(TEXT, b"b") + frame(TEXT, b"c")


def test_what_follows_an_interruption_is_not_lost() -> None:
    sides = Sides()

    def push(data: bytes, _: bool) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sides.splitter.feed(frame(TEXT, b"a") + frame(TEXT, b"b") + b"\x81", push)
    sides.feed(b"\x01c")
    assert sides.pushed == [b"b", b"c"]
