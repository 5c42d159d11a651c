"""The splitter agrees with the parser about every stream, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heimdall_reactive.transports.splitting import Outlets, Splitter
from tests.peers import frame

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
LIMIT = 70_000


class Sides:
    """What was pushed, and what the parser got."""

    def __init__(self, plain: bool = True) -> None:
        self.log: list[tuple[str, bytes]] = []
        self.plain = plain
        self.splitter = Splitter(Outlets(self._parse, lambda: self.plain), LIMIT)

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
    assert again == stream
    assert len(sides.pushed) == sum(
        raw[0] in (0x81, 0x82) and len(payload) <= LIMIT for _, payload, raw in built
    )


def test_the_parser_gets_what_there_is_of_a_frame_at_once() -> None:
    sides = Sides()
    raw = frame(BINARY, b"x" * 1000, fin=False)
    sides.feed(raw[:500])
    assert sides.parsed == raw[:500]
    sides.feed(raw[500:] + frame(TEXT, b"t"))
    assert sides.log[-2:] == [("parsed", raw[500:]), ("pushed", b"t")]


@pytest.mark.parametrize("size", [5, 300, 66_000])
def test_a_message_in_many_pieces_is_pushed_once_it_is_whole(size: int) -> None:
    sides = Sides()
    raw = frame(TEXT, b"h" * size)
    sides.feed(raw[:3], raw[3:6])
    assert sides.pushed == []
    sides.feed(raw[6:] + raw)
    assert (sides.parsed, sides.pushed) == (b"", [b"h" * size] * 2)


def test_a_large_payload_is_written_where_it_stays() -> None:
    sides = Sides()
    payload = bytes(range(256)) * 260
    raw = frame(BINARY, payload)
    assert sides.splitter.room is None
    sides.feed(raw[:100])
    written = 100
    while (room := sides.splitter.room) is not None:
        part = raw[written : written + 9000]
        room[: len(part)] = part
        sides.splitter.fill(len(part), sides._push)
        written += len(part)
    assert (sides.pushed, written) == ([payload], len(raw))


def test_pings_pongs_and_compressed_messages_have_ways_of_their_own() -> None:
    log: list[tuple[str, bytes]] = []
    splitter = Splitter(
        Outlets(
            lambda data: log.append(("parsed", data)),
            lambda: True,
            lambda data, text: log.append(("text" if text else "binary", data)),
            lambda data: log.append(("ping", data)),
            lambda data: log.append(("pong", data)),
        ),
        10,
        packed=20,
    )
    long = b"\xc2\x0f" + b"x" * 15  # longer than a message may be, but not inflated yet
    too_long = b"\xc1\x15" + b"x" * 21
    both = frame(PING, b"p") + frame(PONG, b"q")
    splitter.feed(both + b"\xc1\x01t" + long + too_long, lambda *_: None)
    assert log == [
        ("ping", b"p"), ("pong", b"q"), ("text", b"t"), ("binary", b"x" * 15), ("parsed", too_long)
    ]  # fmt: skip


def test_what_comes_late_in_a_turn_is_left_and_comes_next() -> None:
    sides = Sides()
    late = iter([False, True])
    sides.splitter.feed(frame(TEXT, b"a") * 20 + b"\x81", sides._push, lambda: next(late))
    assert (len(sides.pushed), sides.splitter.behind) == (16, True)
    sides.feed(b"")
    assert (len(sides.pushed), sides.splitter.behind) == (20, False)
    sides.feed(b"\x01b")
    assert sides.pushed[-1] == b"b"


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
