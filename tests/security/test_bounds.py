"""Bounds on what a server may send, say and ask for: T13 to T19, T25 of docs/security.md."""

from __future__ import annotations

import ast
import asyncio
import time
import tracemalloc
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from heimdall_reactive import (
    ConnectionState,
    InvalidMessage,
    RolesUpdated,
    Status,
    WebSocketStore,
)
from heimdall_reactive.connecting.codec import Codec
from heimdall_reactive.testing import Accept, Garbage
from tests.peers import quick, raw_peer
from tests.socket_peer import Handshake, SocketPeer, build_frame
from tests.socket_peer.handshake import upgrade_answer
from tests.support import record, run, until
from tests.transports.looks import FRAMES_A_LOOK, LOOKS_A_TURN, Looks

PACKAGE = Path(__file__).parents[2] / "heimdall_reactive"
TEXT, BINARY, CONT, PING = 1, 2, 0, 9
MIB = 2**20


async def ended(store: WebSocketStore[Any]) -> ConnectionState:
    over = (Status.FAILED, Status.DISCONNECTED, Status.WAITING)
    state: ConnectionState = await store.wait_for(lambda s: s.status in over, 8)
    return state


# T13 to T15: sizes


@pytest.mark.parametrize(
    ("pieces", "fits"),
    [([999], True), ([1000], True), ([1001], False), ([500, 500], True), ([500, 501], False),
     ([0, 1000, 0], True), ([1] * 1001, False)],
)  # fmt: skip
async def test_t13_a_message_is_bounded_also_as_the_sum_of_its_fragments(
    pieces: list[int], fits: bool
) -> None:
    parts = [b"x" * size for size in pieces]
    async with SocketPeer() as peer:
        store = quick(peer.url, max_size=1000, message_type=str, auto_reconnect=False)
        async with store:
            hot = record(store.messages)
            link = await peer.accepted(8)
            link.fragments(*parts)
            link.send("end")
            if fits:
                await until(store, lambda: "end" in hot)
                assert [len(message) for message in hot] == [sum(pieces), 3]
            else:
                close = (await ended(store)).close
                assert close is not None
                assert (close.code, close.who, hot) == (1009, "client", [])


async def test_t13_an_announced_size_is_refused_before_the_message_is_read() -> None:
    step = Garbage(build_frame(TEXT, b"x", length=2**40), hold=True)
    async with SocketPeer(step) as peer, quick(peer.url, auto_reconnect=False) as store:
        close = (await ended(store)).close
        assert close is not None
        assert close.code == 1009


async def test_t14_fragments_are_bounded_and_an_open_one_costs_no_more() -> None:
    async with SocketPeer() as peer, quick(peer.url, auto_reconnect=False) as store:
        link = await peer.accepted(8)
        link.fragments(*[b""] * 4000, finish=False)
        for _ in range(100):
            link.ping()
        link.fragments(*[b""] * 200, finish=False)
        close = (await ended(store)).close
        assert close is not None
        assert close.code in (1002, 1009)
    async with SocketPeer() as peer, quick(peer.url, auto_reconnect=False) as store:
        link = await peer.accepted(8)
        link.frame(TEXT, b"x", fin=False)
        await link.flood(build_frame(CONT, b"", fin=False), 5000)
        close = (await ended(store)).close
        assert close is not None
        assert (close.code, close.reason) == (1009, "too many fragments")


DEFLATE = Handshake(
    headers=[("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover")]
)


def deflated(size: int) -> bytes:
    """Build a frame whose message has so many bytes when it is inflated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflate.compress(b"a" * size) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return build_frame(TEXT, data[:-4], rsv=4)


def test_t15_a_message_that_inflates_beyond_the_bound_is_not_inflated() -> None:
    bomb = deflated(64 * MIB)

    async def main() -> None:
        async with SocketPeer(DEFLATE) as peer, quick(peer.url, auto_reconnect=False) as store:
            link = await peer.accepted(8)
            tracemalloc.start()
            link.raw(bomb)
            close = (await ended(store)).close
            assert close is not None
            assert close.code == 1009
            assert tracemalloc.get_traced_memory()[1] < 8 * MIB

    try:
        run(main)
    finally:
        tracemalloc.stop()


async def bursts(early: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readuntil(b"\r\n\r\n")
    answer, burst = upgrade_answer(request, headers=DEFLATE.headers), deflated(MIB) * 64
    assert len(burst) < 100_000
    if not early:
        writer.write(answer)
        await reader.read(100)  # the client's first message: it is connected
        answer = b""
    writer.write(answer + burst)
    await reader.read()


@pytest.mark.parametrize("early", [False, True], ids=["connected", "behind the handshake"])
def test_t15_a_burst_that_inflates_to_64_mib_is_not_held_at_once(early: bool) -> None:
    async def main() -> None:
        sizes: list[int] = []
        async with (
            raw_peer(partial(bursts, early), upgrade=False) as url,
            quick(url, message_type=str, immediate=False) as store,
        ):
            store.messages.subscribe(lambda message: sizes.append(len(message)))
            store.send("ready")
            tracemalloc.start()
            store.connect()
            await until(store, lambda: len(sizes) == 64)
            assert tracemalloc.get_traced_memory()[1] < 20 * MIB
        assert set(sizes) == {MIB}

    try:
        run(main)
    finally:
        tracemalloc.stop()


# T16 to T19: JSON and types


async def test_t16_json_of_a_hundred_thousand_levels_costs_one_report() -> None:
    deep = ("[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000)
    async with SocketPeer() as peer, quick(peer.url) as store:
        errors = record(store.errors)
        link = await peer.accepted(8)
        for text in (*deep, '"end"'):
            link.send(text)
        await until(store, lambda: store.last_message.value == "end")
        assert len(errors) == len(deep)
        assert all(isinstance(error, InvalidMessage) for error in errors)
        assert store.state.value.session == 1


class Reading(BaseModel):
    celsius: float


STRICT: list[tuple[bytes, Any]] = [
    (b'{"celsius": NaN}', InvalidMessage),
    (b'{"celsius": Infinity}', InvalidMessage),
    (b'{"celsius": -Infinity}', InvalidMessage),
    (b'{"celsius": 1e999}', float("inf")),
    ("\ufeff".encode() + b'{"celsius": 1}', InvalidMessage),
    ('{"celsius": 1}'.encode("utf-16"), InvalidMessage),
    ('{"celsius": 1}'.encode("utf-32-le"), InvalidMessage),
    (b'{"celsius": 1, "x": "\\ud800"}', InvalidMessage),
    (b'{"celsius": 1, "x": "\\ud83d\\ude00"}', 1.0),
    (b'{"celsius": 1, "celsius": 2}', 2.0),
    (b'{"celsius": ' + b"9" * 5000 + b"}", InvalidMessage),
    (b'{"celsius": 01}', InvalidMessage),
    (b'{"celsius": +1}', InvalidMessage),
    (b'{"celsius": .5}', InvalidMessage),
    (b'{"celsius": 0x1}', InvalidMessage),
    (b'{"celsius": 1,}', InvalidMessage),
    (b"{'celsius': 1}", InvalidMessage),
    (b'{"celsius": 1} {}', InvalidMessage),
    (b'{"celsius": 1} // no', InvalidMessage),
    (b'{"celsius": 1, "x": "\t"}', InvalidMessage),
    (b' \r\n\t{"celsius": 1}\n', 1.0),
    (b"", InvalidMessage),
]


@pytest.mark.parametrize(("data", "outcome"), STRICT)
def test_t17_json_is_read_strictly_with_a_type_and_without(data: bytes, outcome: Any) -> None:
    codecs = Codec[Any](None), Codec[Any](Reading), Codec[Any](dict[str, Any])
    for codec in codecs:
        if outcome is InvalidMessage:
            with pytest.raises(InvalidMessage):
                codec.decode(data, True)
        else:
            message = codec.decode(data, True)
            found = message.celsius if isinstance(message, Reading) else message["celsius"]
            assert found == outcome


@pytest.mark.parametrize("kind", [list[int], RolesUpdated])
def test_t18_a_message_with_very_many_errors_is_described_briefly_and_soon(kind: Any) -> None:
    many = b"[" + b",".join([b'"x"'] * 200_000) + b"]"
    if kind is RolesUpdated:
        many = b'{"type":"rolesUpdated","userId":"u","roles":' + many.replace(b'"x"', b"1") + b"}"
    codec = Codec[Any](kind)
    before = time.process_time()
    with pytest.raises(InvalidMessage) as caught:
        codec.decode(many, True)
    assert time.process_time() - before < 1.0
    assert len(str(caught.value)) < 300
    assert caught.value.reason.startswith("200")


@pytest.mark.parametrize("value", ["x" * MIB, ["x" * MIB], {"x" * MIB: 1}])
async def test_t18_a_large_bad_value_is_not_quoted(value: Any) -> None:
    async with SocketPeer(Accept(first_messages=[{"celsius": value}])) as peer:
        store = quick(peer.url, message_type=Reading, max_size=2 * MIB)
        async with store:
            errors = record(store.errors)
            await until(store, lambda: bool(errors))
            assert len(str(errors[0])) < 300


def test_t19_an_unknown_tag_is_plain_json_and_no_name_of_the_wire_becomes_code() -> None:
    codec = Codec[Any](None)
    unknown = codec.decode(b'{"type": "__import__", "__class__": "os.system"}', True)
    assert unknown == {"type": "__import__", "__class__": "os.system"}
    text = b"""{"type": "rolesUpdated", "userId": "u", "roles": [],
        "timestamp": "2026-01-01T00:00Z",
        "__class__": "x", "__init__": 1, "model_dump": 2, "__pydantic_extra__": 3}"""
    message = codec.decode(text, True)
    assert type(message) is RolesUpdated
    assert callable(message.model_dump)
    assert isinstance(message.model_extra, dict)


def test_t19_nothing_of_the_library_evaluates_or_unpickles() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile", "__import__"), path
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                assert not names & {"pickle", "marshal", "shelve", "yaml", "dill"}, path


# T25: bursts


def packed(text: bytes) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    return build_frame(
        TEXT, (deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv=4
    )


FRAGMENTED = build_frame(TEXT, b"7", fin=False) + build_frame(CONT, b"", fin=False) * 99
BURSTS = {
    "texts that are not JSON": ([build_frame(TEXT, b"x")] * 10_000, 0, 10_000),
    "empty texts": ([build_frame(TEXT, b"")] * 10_000, 0, 10_000),
    "pings": ([build_frame(PING, b"")] * 50_000, 0, 0),
    "tiny messages": ([build_frame(TEXT, b"%d" % n) for n in range(20_000)], 20_000, 0),
    "compressed messages": ([packed(b"%d" % n) for n in range(20_000)], 20_000, 0),
    "empty fragments": ([FRAGMENTED + build_frame(CONT, b"")] * 200, 200, 0),
}


@pytest.mark.parametrize("name", list(BURSTS))
async def test_t25_a_burst_shares_the_loop_and_arrives_whole_and_in_order(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, messages, errors = BURSTS[name]
    looks = Looks(monkeypatch)
    async with (
        SocketPeer(DEFLATE) as peer,
        quick(peer.url, message_type=Any) as store,
        looks.counted(),
    ):
        hot, reported = record(store.messages), record(store.errors)
        link = await peer.accepted(8)
        link.raw(b"".join(parts) + build_frame(TEXT, b'"end"'))
        await until(store, lambda: hot[-1:] == ["end"], 40)
        assert (len(hot) - 1, len(reported)) == (messages, errors)
        if messages > 200:
            assert hot[:-1] == list(range(messages))
        assert store.state.value.session == 1
    frames = 101 * len(parts) if name == "empty fragments" else len(parts)
    assert looks.longest <= LOOKS_A_TURN
    assert looks.count >= frames // FRAMES_A_LOOK // 2
