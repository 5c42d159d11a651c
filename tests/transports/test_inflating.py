"""Compressed messages: `max_size` is that of what they hold."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode

from heimdall_reactive import Status
from heimdall_reactive.transports.inflating import Inflater, TooBig, packed_limit
from tests.peers import peer, quick
from tests.support import record, until

LIMIT = 2**20


def noise(size: int) -> bytes:
    """Return bytes that cannot be compressed."""
    return random.Random(1).randbytes(size)


def pack(deflate: Any, data: bytes) -> bytes:
    return bytes(deflate.encode(Frame(Opcode.BINARY, data)).data)


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 65_536, LIMIT])
@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize(("memory", "window"), [(1, 9), (1, 15), (8, 15), (9, 12)])
def test_the_bound_of_a_compressed_message_is_that_of_any_setting_of_zlib(
    size: int, level: int, memory: int, window: int
) -> None:
    made = zlib.compressobj(level, zlib.DEFLATED, -window, memory)
    data = made.compress(noise(size)) + made.flush(zlib.Z_SYNC_FLUSH)
    assert len(data) - 4 <= packed_limit(size)


@pytest.mark.parametrize("takeover", [True, False])
def test_a_message_is_inflated_up_to_its_limit_and_no_further(takeover: bool) -> None:
    ours = PerMessageDeflate(not takeover, False, 15, 15)
    theirs = PerMessageDeflate(False, not takeover, 15, 15)
    inflater = Inflater(ours, 1000)
    for data in (b"a" * 1000, noise(1000), b""):
        assert inflater(pack(theirs, data)) == data
    with pytest.raises(TooBig):
        inflater(pack(theirs, b"a" * 1001))


def test_what_is_not_compressed_is_an_error_of_zlib() -> None:
    with pytest.raises(zlib.error):
        Inflater(PerMessageDeflate(False, False, 15, 15), 1000)(b"\xff\xff\xff")


def test_there_is_none_without_the_extension() -> None:
    assert Inflater.of([], 1) is None
    assert Inflater.of([object(), PerMessageDeflate(False, False, 15, 15)], 1) is not None


@given(
    st.lists(st.binary(max_size=3000), max_size=6), st.booleans(), st.booleans(), st.integers(9, 15)
)
def test_message_by_message_the_same_as_the_extension_of_websockets(
    messages: list[bytes], no_takeover: bool, by_turns: bool, window: int
) -> None:
    theirs = PerMessageDeflate(False, no_takeover, 15, window)
    reference = PerMessageDeflate(no_takeover, False, window, 15)
    ours = PerMessageDeflate(no_takeover, False, window, 15)
    inflater = Inflater(ours, 3000)
    for number, message in enumerate(messages):
        data = pack(theirs, message)
        frame = Frame(Opcode.BINARY, data, rsv1=True)
        assert bytes(reference.decode(frame).data) == message
        if by_turns and number % 2:  # as a fragmented message is
            assert bytes(ours.decode(frame).data) == message
        else:
            assert inflater(data) == message


@pytest.mark.parametrize("no_takeover", [False, True], ids=["takeover", "no takeover"])
@pytest.mark.parametrize("parts", [1, 2, 7], ids=["whole", "two fragments", "seven"])
@pytest.mark.parametrize("more", [0, 1], ids=["max_size", "max_size + 1"])
async def test_the_largest_message_arrives_also_where_compression_makes_it_longer(
    no_takeover: bool, parts: int, more: int
) -> None:
    message = noise(LIMIT + more)
    size = len(message) // parts + 1
    pieces = [message[at : at + size] for at in range(0, len(message), size)]

    async def serve(ws: ServerConnection) -> None:
        for _ in range(2):
            await ws.send(message if parts == 1 else pieces)
        await ws.wait_closed()

    deflate = ServerPerMessageDeflateFactory(server_no_context_takeover=no_takeover)
    async with (
        peer(serve, extensions=[deflate]) as url,
        quick(url, message_type=bytes, auto_reconnect=False) as store,
    ):
        seen = record(store.messages)
        if more:
            state = await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 15)
            assert state.close is not None
            assert (state.close.code, state.close.who, seen) == (1009, "client", [])
        else:
            await until(store, lambda: len(seen) == 2)
            assert seen == [message, message]
