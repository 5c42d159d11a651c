"""The transport `picows`: what is its own, and what of `picows` it relies upon."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picows import WSAutoPingStrategy, WSFrame, WSListener, WSMsgType
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import ConfigurationError, use_websocket
from heimdall_reactive.testing import Accept
from heimdall_reactive.transports import choose
from heimdall_reactive.transports.picows_splitting import PIECE, PicowsSplitter
from heimdall_reactive.transports.picows_wire import PicowsWire
from tests.peers import peer, quick
from tests.socket_peer import SocketPeer, build_frame
from tests.support import fate, record, until

TEXT, BINARY, CONT, CLOSE, PING = 1, 2, 0, 8, 9
LIMIT = 100_000


class Sides:
    """What was pushed, what the parser got, and what was refused."""

    def __init__(self, plain: bool = True) -> None:
        self.log: list[tuple[str, bytes]] = []
        self.refused: list[int] = []
        self.plain = plain
        self.splitter = PicowsSplitter(
            lambda data: self.log.append(("parsed", data)),
            lambda: self.plain,
            LIMIT,
            lambda code, _: self.refused.append(code),
        )

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.splitter.feed(piece, self.push)

    def push(self, data: bytes, text: bool) -> None:
        self.log.append(("text" if text else "binary", data))


def on_a_loop(test: Callable[[], None]) -> None:
    """Run a test on an event loop; `picows` asks for it."""

    async def main() -> None:
        test()

    asyncio.run(main())


SIZES = st.sampled_from([0, 1, 125, 126, 127, 300, 65535, 65536, LIMIT])
FRAMES = st.lists(
    st.tuples(
        st.sampled_from([TEXT, TEXT, BINARY, CONT, PING]), SIZES, st.booleans(), st.integers(0, 7)
    ),
    max_size=6,
)


@given(FRAMES, st.data())
def test_every_frame_comes_as_it_was_in_its_order_however_the_stream_is_cut(
    frames: list[tuple[int, int, bool, int]], data: st.DataObject
) -> None:
    expected, stream = [], b""
    for number, (opcode, size, fin, rsv) in enumerate(frames):
        control = opcode >= CLOSE
        payload = bytes([number]) * (min(size, 125) if control else size)
        raw = build_frame(opcode, payload, fin or control, 0 if control else rsv)
        whole = fin and not rsv and opcode in (TEXT, BINARY)
        side = {TEXT: "text", BINARY: "binary"}.get(opcode, "") if whole else "parsed"
        expected.append((side, payload if whole else raw))
        stream += raw
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))

    def test() -> None:
        sides = Sides()
        ends = zip([0, *cuts], [*cuts, len(stream)], strict=True)
        sides.feed(*(stream[start:end] for start, end in ends))
        assert sides.log == expected
        assert not sides.refused

    on_a_loop(test)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_with_reserved_bits_are_the_parsers_as_they_came(opcode: int, size: int) -> None:
    def test() -> None:
        sides, payload = Sides(), b"x" * size
        for rsv in range(8):
            sides.feed(build_frame(opcode, payload, rsv=rsv))
        sides.feed(build_frame(opcode, payload, fin=False))
        plain = ("text" if opcode == TEXT else "binary", payload)
        assert sides.log == [
            plain,
            *(("parsed", build_frame(opcode, payload, rsv=rsv)) for rsv in range(1, 8)),
            ("parsed", build_frame(opcode, payload, fin=False)),
        ]

    on_a_loop(test)


def test_no_short_way_while_a_message_is_open() -> None:
    def test() -> None:
        sides = Sides(plain=False)
        sides.feed(build_frame(TEXT, b"t"))
        assert sides.log == [("parsed", build_frame(TEXT, b"t"))]

    on_a_loop(test)


def test_what_is_against_the_protocol_is_refused_once_and_nothing_follows() -> None:
    def test() -> None:
        for wrong, code in (
            (build_frame(3), 1002),
            (build_frame(TEXT, b"x", masked=True), 1002),
            (build_frame(PING, fin=False), 1002),
            (build_frame(TEXT, length=LIMIT + 1), 1009),
        ):
            sides = Sides()
            sides.feed(build_frame(TEXT, b"a") + wrong, build_frame(TEXT, b"b") * 2)
            assert (sides.log, sides.refused) == ([("text", b"a")], [code])

    on_a_loop(test)


def test_a_receiver_that_raises_raises_here_and_takes_nothing_more() -> None:
    def test() -> None:
        sides, taken = Sides(), []

        def push(data: bytes, _: bool) -> None:
            taken.append(data)
            raise ValueError

        with pytest.raises(ValueError):
            sides.splitter.feed(build_frame(TEXT, b"a") + build_frame(TEXT, b"b"), push)
        sides.splitter.feed(build_frame(TEXT, b"c"), push)
        assert (taken, sides.log, sides.refused) == ([b"a"], [], [])

    on_a_loop(test)


def test_what_follows_an_interruption_is_not_lost() -> None:
    def test() -> None:
        sides, taken = Sides(), []

        def push(data: bytes, _: bool) -> None:
            taken.append(data)
            if data == b"a":
                raise KeyboardInterrupt

        stream = build_frame(TEXT, b"a") + build_frame(TEXT, b"b") + build_frame(TEXT, b"c")
        with pytest.raises(KeyboardInterrupt):
            sides.splitter.feed(stream[:-1], push)
        sides.splitter.feed(stream[-1:], push)
        assert taken == [b"a", b"b", b"c"]

    on_a_loop(test)


def test_a_stop_within_a_push_is_the_end() -> None:
    def test() -> None:
        sides = Sides()

        def push(data: bytes, _: bool) -> None:
            sides.log.append(("text", data))
            sides.splitter.stop()

        sides.splitter.feed(build_frame(TEXT, b"a") + build_frame(TEXT, b"b"), push)
        assert sides.log == [("text", b"a")]

    on_a_loop(test)


def test_the_buffer_grows_with_a_message_and_not_with_a_flood() -> None:
    def test() -> None:
        sides = Sides()
        flood = build_frame(TEXT, b"x" * 100) * 10_000
        for _ in range(5):
            sides.feed(flood)
        assert len(sides.splitter.get_buffer(-1)) <= PIECE
        assert sides.splitter._picows.is_close_frame_sent is False
        assert len(sides.splitter._room(-1)) <= 2 * PIECE

    on_a_loop(test)


def test_picows_still_has_what_the_splitter_relies_upon() -> None:
    assert {kind.value for kind in WSMsgType} == {0, 1, 2, 8, 9, 10}
    assert WSAutoPingStrategy.PING_WHEN_IDLE
    seen: list[tuple[Any, ...]] = []

    def test() -> None:
        sides = Sides()
        on_frame = sides.splitter.on_ws_frame

        def spy(transport: Any, frame: WSFrame) -> None:
            seen.append((frame.msg_type, frame.fin, frame.rsv1, frame.rsv2, frame.rsv3))
            on_frame(transport, frame)

        sides.splitter.on_ws_frame = spy  # type: ignore[method-assign]
        sides.feed(build_frame(TEXT, b"a"), build_frame(BINARY, b"b", fin=False, rsv=5))

    on_a_loop(test)
    assert seen == [(WSMsgType.TEXT, 1, 0, 0, 0), (WSMsgType.BINARY, 0, 1, 0, 1)]
    # The members are single: they are compared by identity on the way of a frame.
    assert seen[0][0] is WSMsgType.TEXT
    assert issubclass(PicowsSplitter, WSListener)


def test_without_its_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("dial", "wire", "splitting"):
        name = f"heimdall_reactive.transports.picows_{module}"
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "picows", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'heimdall-reactive\[fast\]'"):
        use_websocket("ws://127.0.0.1:9", transport="picows", immediate=False)


def loops() -> list[Any]:
    """Return the kinds of event loop that are here."""
    kinds: list[Any] = [asyncio.new_event_loop]
    if sys.platform != "win32":
        import uvloop

        kinds.append(uvloop.new_event_loop)
    return kinds


@pytest.mark.parametrize("new_loop", loops(), ids=lambda kind: str(kind.__module__))
@pytest.mark.parametrize("transport", ["websockets", "picows"], indirect=True)
@pytest.mark.parametrize("secure", [False, True])
def test_both_transports_work_on_both_loops_with_and_without_tls(
    new_loop: Any, transport: Any, secure: bool, certificate: Path
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    sizes = (1, 100, 70_000, 900_000)

    async def talk(ws: ServerConnection) -> None:
        for size in sizes:
            await ws.send("x" * size)
        await ws.send(await ws.recv())
        await ws.wait_closed()

    async def main() -> None:
        async with peer(talk, **{"ssl": server} if secure else {}) as url:
            url = url.replace("ws://127.0.0.1", "wss://localhost") if secure else url
            async with quick(url, ssl=trusting, message_type=str) as store:
                got = record(store.messages)
                receipt = store.send("y" * 500_000)
                await until(store, lambda: len(got) == 5)
                assert [len(text) for text in got] == [*sizes, 500_000]
                assert fate(receipt) == "written"
                session = (
                    store._core.connection.sessions.current
                )  # the wire is of the kind that was asked for
                assert session is not None
                assert isinstance(session.wire, PicowsWire) is (transport == "picows")

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


def test_the_name_is_an_option_and_the_other_names_are_not() -> None:
    assert choose("picows") is not choose("websockets")
    with pytest.raises(ConfigurationError, match="'picows'"):
        use_websocket("ws://127.0.0.1:9", transport="pico")  # type: ignore[call-overload] # pyright: ignore


async def test_frames_behind_the_handshake_are_the_first() -> None:
    big = "b" * 200_000
    async with (
        SocketPeer(Accept(first_messages=["a", big, "c"])) as served,
        quick(served.url, transport="picows", message_type=str, immediate=False) as store,
    ):
        got = record(store.messages)
        store.connect()
        await until(store, lambda: len(got) == 3)
        assert got == ["a", big, "c"]


async def test_the_event_loop_reads_into_the_buffer_of_picows() -> None:
    async with SocketPeer() as served, use_websocket(served.url, transport="picows") as store:
        await store.wait_connected(8)
        session: Any = store._core.connection.sessions.current
        wire = session.wire
        assert isinstance(wire, PicowsWire)
        assert isinstance(wire.transport.get_protocol(), asyncio.BufferedProtocol)
