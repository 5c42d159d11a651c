"""How a send gets to the wire: at once, at the end of a turn, or when there is room."""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection

from tests.peers import peer, quick
from tests.support import SENT, fate, record, until


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


async def test_the_first_send_of_a_turn_is_written_before_the_next_line_runs() -> None:
    async with peer(echo) as url, quick(url) as store:
        await store.wait_connected(8)
        first, second = store.send(1), store.send(2)
        assert (fate(first), fate(second)) == ("written", "queued")
        await second
        assert fate(second) == "written"


async def test_each_turn_has_a_first_send() -> None:
    async with peer(echo) as url, quick(url) as store:
        await store.wait_connected(8)
        for _ in range(3):
            assert store.send(1).state in SENT
            await asyncio.sleep(0)  # the next turn


async def test_what_an_observer_of_send_sends_comes_after_it() -> None:
    def answer(value: object) -> None:
        if value == '"a"':
            store.send('"b"')

    async with peer(echo) as url, quick(url) as store:
        await store.wait_connected(8)
        hot = record(store.messages)
        store.send.subscribe(answer)
        store.send('"a"')
        await until(store, lambda: len(hot) == 2)
        assert hot == ["a", "b"]


async def test_a_send_that_is_too_large_is_rejected_also_where_nothing_waits() -> None:
    async with peer(echo) as url, quick(url, outbox_bytes=100) as store:
        await store.wait_connected(8)
        told = record(store.send)
        receipt = store.send("x" * 101)
        assert fate(receipt) == "rejected"
        assert told == [None]  # the value before the first


async def test_a_send_behind_one_that_the_socket_has_not_taken_waits() -> None:
    async def read_late(socket: ServerConnection) -> None:
        await released.wait()
        async for _ in socket:
            continue

    released = asyncio.Event()
    large = "x" * (8 << 20)
    async with peer(read_late, max_size=None) as url, quick(url, outbox_bytes=1 << 26) as store:
        await store.wait_connected(8)
        first = store.send(large)
        assert first.state == "queued"  # in flight: the operating system has a part of it
        await asyncio.sleep(0)  # the next turn
        second = store.send("y")
        assert second.state == "queued"
        released.set()
        await second
        assert fate(first) == "written"


async def test_who_awaits_each_send_waits_for_no_end_of_a_turn() -> None:
    async with peer(echo) as url, quick(url) as store:
        await store.wait_connected(8)
        await store.send(1)
        assert store.send(2).state in SENT  # it is the same turn: nothing was waited for
