"""What a wire makes of a stream: the same however it is cut, in every turn of the event loop."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from heimdall_reactive import CloseInfo
from heimdall_reactive.transports.reading import MAX_PONGS
from tests.peers import frame, quick, raw_peer
from tests.socket_peer import build_close, build_frame
from tests.socket_peer.frames import CLOSE, PING, PONG, FrameReader
from tests.support import record
from tests.transports.bench import Bench, Notes, pieces
from tests.transports.looks import FRAMES_A_TURN, LOOKS_A_TURN, Looks

TEXT, BINARY, CONT = 1, 2, 0
LIMIT = 70_000
LOST = CloseInfo(1006, "the socket ended without a close frame", "network")

SIZES = st.sampled_from([0, 1, 125, 126, 1000, 65535, 65536, LIMIT, LIMIT, LIMIT + 1])
PARTS = st.lists(
    st.tuples(
        st.sampled_from([TEXT, TEXT, BINARY, CONT, PING, PONG]), SIZES, st.booleans(), st.booleans()
    ),
    max_size=6,
)
CUTS = st.lists(st.integers(0, 300_000), max_size=8)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


def numbered(count: int) -> tuple[bytes, list[bytes]]:
    """Return a stream of so many texts, and what they say."""
    texts = [b"%06d" % n for n in range(count)]
    return b"".join(frame(TEXT, text) for text in texts), texts


def stream_of(parts: list[tuple[int, int, bool, bool]], deflate: PerMessageDeflate | None) -> bytes:
    """Serialize frames, some compressed; the order of fragments may be against the protocol."""
    out = bytearray()
    packing = False  # the message that is open
    for number, (opcode, size, fin, packed) in enumerate(parts):
        data = bytes([65 + number]) * size
        if opcode >= PING:
            out += build_frame(opcode, data[:125])
            continue
        if opcode != CONT:
            packing = deflate is not None and packed
        if packing and deflate is not None:
            made = deflate.encode(Frame(Opcode(opcode), data, fin))
            out += build_frame(opcode, bytes(made.data), fin, rsv=4 if made.rsv1 else 0)
        else:
            out += build_frame(opcode, data, fin)
    return bytes(out)


async def outcome(stream: bytes, cuts: list[int], by_buffer: bool, deflate: bool) -> Any:
    """Return what comes of a stream: messages, answers and the end."""
    bench = Bench(max_size=LIMIT, deflate="permessage-deflate" if deflate else None)
    for piece in pieces(stream, cuts):
        if by_buffer:
            bench.feed(piece)
        elif piece:
            bench.wire.data_received(piece)
        await bench.rest()
    sent = [(each.opcode, each.payload) for each in bench.sent]
    bench.wire.eof_received()
    bench.wire.transport.abort()
    await bench.notes.ended.wait()
    return bench.notes.told, sent


@given(PARTS, CUTS, st.booleans())
@example([(9, 125, False, False), (1, 70001, True, True)], [127], True)
def test_a_stream_means_the_same_however_it_is_cut_and_whichever_way_it_comes(
    parts: list[tuple[int, int, bool, bool]], cuts: list[int], deflate: bool
) -> None:
    async def main() -> None:
        encoder = PerMessageDeflate(False, False, 15, 15) if deflate else None
        stream = stream_of(parts, encoder) + frame(TEXT, b"last")
        whole = await outcome(stream, [], False, deflate)
        assert await outcome(stream, cuts, True, deflate) == whole
        assert await outcome(stream, cuts, False, deflate) == whole

    asyncio.run(main())


def reference(stream: bytes, deflate: bool) -> Any:
    """Return what `websockets` makes of a stream by itself: messages and answers."""
    extensions = [PerMessageDeflate(False, False, 15, 15)] if deflate else []
    protocol = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN, max_size=None)
    protocol.extensions = list(extensions)
    protocol.receive_data(stream)
    told: list[tuple[bytes, bool]] = []
    parts, text = bytearray(), False
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if event.opcode is not Opcode.CONT:
                parts, text = bytearray(), event.opcode is Opcode.TEXT
            parts += event.data
            if event.fin:
                told.append((bytes(parts), text))
    sent = FrameReader().feed(b"".join(protocol.data_to_send()))
    return told, [(each.opcode, each.payload) for each in sent]


SMALL = st.sampled_from([0, 1, 125, 126, 3000, 65536])


@given(
    st.lists(
        st.tuples(
            st.sampled_from([TEXT, TEXT, BINARY, CONT, PING]), SMALL, st.booleans(), st.booleans()
        ),
        max_size=8,
    ),
    CUTS,
    st.booleans(),
)
def test_frame_by_frame_the_same_as_websockets_makes_of_it(
    parts: list[tuple[int, int, bool, bool]], cuts: list[int], deflate: bool
) -> None:
    encoder = PerMessageDeflate(False, False, 15, 15) if deflate else None
    stream = stream_of(parts, encoder) + frame(TEXT, b"last")
    (*told, _), sent = asyncio.run(outcome(stream, cuts, True, deflate))
    want, answers = reference(stream, deflate)
    if sum(size for opcode, size, *_ in parts if opcode < PING) <= LIMIT:
        assert (told, sent) == (want, answers)


# What waits for the next turn


async def test_a_flood_gives_other_callbacks_their_turn_and_loses_nothing(looks: Looks) -> None:
    bench = Bench()
    stream, texts = numbered(3000)
    async with looks.counted():
        await asyncio.sleep(0)
        bench.feed(stream)
        assert len(bench.notes.told) == FRAMES_A_TURN
        assert not bench.pipe.reading
        await bench.rest()
        await asyncio.sleep(0)
    assert bench.notes.frames == texts
    assert bench.pipe.reading
    assert looks.longest <= LOOKS_A_TURN
    await bench.end()


async def test_what_comes_while_frames_wait_comes_behind_them(looks: Looks) -> None:
    bench = Bench()
    stream, texts = numbered(500)
    bench.feed(stream[:-3])
    bench.wire.data_received(stream[-3:] + frame(TEXT, b"last"))  # some loops read again
    await bench.rest()
    assert bench.notes.frames == [*texts, b"last"]
    await bench.end()


@pytest.mark.parametrize("fin", [True, False], ids=["FIN", "RST"])
@pytest.mark.parametrize("started", [True, False], ids=["started", "before start"])
async def test_the_end_of_the_socket_comes_behind_the_frames_that_wait(
    looks: Looks, fin: bool, started: bool
) -> None:
    bench = Bench(start=started)
    stream, texts = numbered(500)
    bench.feed(stream)
    if fin:
        bench.wire.eof_received()  # TLS brings it with the last bytes, also while we do not read
    bench.pipe.lose(None if fin else ConnectionResetError())
    if not started:
        bench.wire.start(bench.notes)
    async with asyncio.timeout(8):
        await bench.notes.ended.wait()
    reason = LOST.reason if fin else "the connection was reset"
    assert bench.notes.frames == texts
    assert bench.notes.told[-1] == CloseInfo(1006, reason, "network")
    assert bench.wire.connection_lost_waiter.done()


async def test_a_close_frame_behind_a_flood_ends_it_with_its_code(looks: Looks) -> None:
    bench = Bench()
    stream, texts = numbered(500)
    bench.feed(stream + build_close(4001, "enough") + frame(TEXT, b"never"))
    bench.wire.eof_received()
    async with asyncio.timeout(8):
        await bench.notes.ended.wait()
    assert bench.notes.frames == texts
    assert bench.notes.told[-1] == CloseInfo(4001, "enough", "server")
    assert [each.opcode for each in bench.sent] == [CLOSE]
    await bench.wire.wait_closed()


async def test_a_wire_that_is_killed_pushes_no_frame_that_waits(looks: Looks) -> None:
    bench = Bench()
    bench.feed(numbered(500)[0])
    before = len(bench.notes.told)
    await bench.end()
    await asyncio.sleep(0)
    assert len(bench.notes.told) == before
    assert not bench.wire._goes_on


class Acting(Notes):
    """Calls the wire at its tenth frame."""

    def __init__(self) -> None:
        super().__init__()
        self.act: Any = None

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        super().on_frame(data, text)
        if len(self.told) == 10:
            self.act()


async def test_a_hold_in_a_flood_lasts_until_it_ends_and_loses_nothing(looks: Looks) -> None:
    notes = Acting()
    bench = Bench(notes)
    notes.act = lambda: bench.wire.hold(True)
    stream, texts = numbered(500)
    bench.feed(stream)
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(notes.told) == FRAMES_A_TURN  # at most the rest of the turn
    assert not bench.pipe.reading
    bench.wire.hold(False)
    await bench.rest()
    assert notes.frames == texts
    assert bench.pipe.reading
    await bench.end()


async def test_a_hold_that_ends_in_its_own_turn_changes_nothing(looks: Looks) -> None:
    notes = Acting()
    bench = Bench(notes)

    def blink() -> None:
        bench.wire.hold(True)
        bench.wire.hold(False)

    notes.act = blink
    stream, texts = numbered(500)
    bench.feed(stream)
    assert not bench.pipe.reading
    await bench.rest()
    assert notes.frames == texts
    await bench.end()


async def test_a_socket_that_ends_in_a_hold_has_all_its_frames_first(looks: Looks) -> None:
    notes = Acting()
    bench = Bench(notes)
    notes.act = lambda: bench.wire.hold(True)
    stream, texts = numbered(500)
    bench.feed(stream)
    bench.pipe.lose()
    async with asyncio.timeout(8):
        await notes.ended.wait()
    assert notes.told == [*((text, True) for text in texts), LOST]


async def test_a_failure_in_a_flood_ends_it_with_our_code(looks: Looks) -> None:
    notes = Acting()
    bench = Bench(notes)
    notes.act = lambda: bench.wire.fail(1008, "no more")
    bench.feed(numbered(500)[0])
    await bench.rest()
    bench.wire.eof_received()
    bench.pipe.lose()
    assert notes.told[10:] == [CloseInfo(1008, "no more", "client")]
    assert bench.sent[0].payload == (1008).to_bytes(2, "big") + b"no more"


async def test_an_interruption_in_a_large_message_loses_none_of_what_follows() -> None:
    class Interrupted(Notes):
        def on_frame(self, data: bytes | bytearray, text: bool) -> None:
            super().on_frame(data, text)
            if len(self.told) == 1:
                raise KeyboardInterrupt

    bench = Bench(Interrupted())
    large = frame(BINARY, b"x" * 70_000)
    bench.wire.data_received(large[:100])
    with pytest.raises(KeyboardInterrupt):
        bench.wire.data_received(large[100:] + frame(TEXT, b"1") + frame(TEXT, b"2")[:1])
    bench.wire.data_received(frame(TEXT, b"2")[1:])
    assert bench.notes.frames[1:] == [b"1", b"2"]
    await bench.end()


async def test_a_compressed_frame_without_compression_is_a_violation_also_an_empty_one() -> None:
    for payload in (b"", b"x"):
        bench = Bench()
        bench.feed(build_frame(TEXT, payload, rsv=4))
        bench.pipe.lose()
        (end,) = bench.notes.told
        assert (end.code, end.who) == (1002, "client")


# Pings of the peer


def pongs(bench: Bench) -> list[bytes]:
    return [each.payload for each in bench.sent if each.opcode == PONG]


@pytest.mark.parametrize("opened", [False, True], ids=["between messages", "between fragments"])
async def test_pings_of_one_segment_are_answered_each_and_in_order(opened: bool) -> None:
    bench = Bench()
    names = [b"%d" % n for n in range(MAX_PONGS)]
    opening = frame(TEXT, b"a", fin=False) if opened else frame(TEXT, b"a")
    ending = frame(CONT, b"b") if opened else frame(TEXT, b"b")
    bench.feed(opening + b"".join(frame(PING, name) for name in names) + ending)
    assert pongs(bench) == names
    assert bench.notes.frames == ([b"ab"] if opened else [b"a", b"b"])
    await bench.end()


async def test_of_more_pings_the_newest_are_answered(looks: Looks) -> None:
    bench = Bench()
    names = [b"%d" % n for n in range(MAX_PONGS * 10)]
    bench.feed(b"".join(frame(PING, name) for name in names))
    await bench.rest()
    answered = pongs(bench)
    assert answered == sorted(answered, key=names.index)
    assert answered[-MAX_PONGS:] == names[-MAX_PONGS:]
    await bench.end()


async def test_pings_before_a_close_frame_are_answered_before_it() -> None:
    bench = Bench()
    bench.feed(frame(PING, b"1") + frame(PING, b"2") + build_close(1000))
    assert [each.opcode for each in bench.sent] == [PONG, PONG, CLOSE]


@pytest.mark.parametrize("opened", [False, True], ids=["between messages", "between fragments"])
async def test_of_pings_that_a_full_socket_does_not_take_the_newest_waits(opened: bool) -> None:
    bench = Bench()
    if opened:
        bench.feed(frame(TEXT, b"a", fin=False))
    bench.wire.pause_writing()
    for n in range(200):
        bench.feed(b"".join(frame(PING, b"%d" % (10 * n + m)) for m in range(10)))
        assert not bench.wire.protocol.writes
    assert bench.sent == []
    bench.wire.resume_writing()
    assert pongs(bench) == [b"1999"]
    await bench.end()


async def test_nothing_is_written_behind_our_close_frame() -> None:
    bench = Bench()
    bench.wire.pause_writing()
    bench.feed(frame(PING, b"1"))
    bench.wire.end(1000)
    bench.wire.resume_writing()
    assert [each.opcode for each in bench.sent] == [CLOSE]
    await bench.end()


# The end by a close frame


class Order(Notes):
    """Notes pings, too, and wakes who waits for a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.pinged: list[int] = []
        self.came = asyncio.get_running_loop().create_future()

    def on_ping(self) -> None:
        self.pinged.append(len(self.told))

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        super().on_frame(data, text)
        self.came.set_result(None)


async def test_who_waits_for_a_frame_goes_before_the_close_frame_of_the_same_segment() -> None:
    notes = Order()
    bench = Bench(notes)

    async def login() -> list[Any]:
        await notes.came
        return list(notes.told)

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(login())
        await asyncio.sleep(0)
        bench.feed(frame(TEXT, b"refused") + build_close(1008))
    assert waiting.result() == [(b"refused", True)]
    await notes.ended.wait()
    assert notes.told[1:] == [CloseInfo(1008, "", "server")]
    await bench.wire.wait_closed()


async def test_nothing_is_told_behind_the_end_also_where_the_close_frame_came_before_start() -> (
    None
):
    notes = Order()
    bench = Bench(notes, start=False)
    bench.feed(build_close(1012))
    bench.wire.ping_interval, bench.wire.ping_timeout = 0.001, 0.001
    bench.wire.start(notes)
    await notes.ended.wait()
    await bench.wire.wait_closed()
    assert notes.told == [CloseInfo(1012, "", "server")]
    assert notes.pinged in ([], [0])


# The same with a store, over sockets


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest.mark.leaky
async def test_a_server_that_sends_a_burst_and_goes_has_all_of_it_delivered_first(
    looks: Looks, secure: bool, certificate: Path
) -> None:
    stream, texts = numbered(4000)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)  # it is connected
        writer.write(stream)
        writer.close()
        await writer.wait_closed()

    tls: dict[str, Any] = {}
    options: dict[str, Any] = {"message_type": str, "auto_reconnect": False}
    if secure:
        tls["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls["ssl"].load_cert_chain(certificate)
        options["ssl"] = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    async with raw_peer(handler, **tls) as url:
        if secure:
            url = url.replace("ws://127.0.0.1", "wss://localhost")
        async with quick(url, immediate=False, **options) as store:
            seen: list[Any] = []
            store.messages.subscribe(seen.append)
            store.is_connected.skip(2).subscribe(seen.append)
            store.connect()
            store.send("go")
            state = await store.wait_for(lambda s: s.close is not None, 15)
            assert state.close == LOST
            assert seen == [*(text.decode() for text in texts), False]
    assert looks.count > len(texts) // FRAMES_A_TURN


async def test_a_stream_that_blocks_in_a_burst_gets_all_of_it_in_order(looks: Looks) -> None:
    stream, texts = numbered(4000)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(stream)
        await reader.read()

    async with raw_peer(handler) as url, quick(url, message_type=str, immediate=False) as store:
        got: list[str] = []
        async with store.stream(maxsize=50, overflow="block") as messages:
            store.connect()
            async for message in messages:
                got.append(message)
                if len(got) == len(texts):
                    break
        assert got == [text.decode() for text in texts]


@pytest.mark.parametrize("how", ["disconnect", "close"])
async def test_an_observer_that_ends_the_store_in_a_burst_ends_it_in_order(
    looks: Looks, how: str
) -> None:
    stream, texts = numbered(4000)
    gone = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(stream)
        try:
            while await reader.read(4096):
                pass
        finally:
            gone.set()

    async with raw_peer(handler) as url:
        store = quick(url, message_type=str, immediate=False)
        seen: list[Any] = []
        errors = record(store.errors)

        def leave(message: str) -> None:
            seen.append(message)
            if len(seen) == 20:
                getattr(store, how)()

        store.messages.subscribe(leave, on_completed=lambda: seen.append("over"))
        store.connect()
        async with asyncio.timeout(8):
            await gone.wait()
        await store.aclose()
        *messages, last = seen
        # The peer had sent them before it could know: until its close frame, or our timeout.
        assert messages == [text.decode() for text in texts][: len(messages)]
        assert (last, errors) == ("over", [])
