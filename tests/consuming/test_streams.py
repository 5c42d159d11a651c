from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import ConfigurationError, StreamOverflow, use_websocket
from heimdall_reactive.devserver import serve_in_thread
from heimdall_reactive.testing import ScriptedPeer
from tests.peers import peer, quick
from tests.support import record, run, until

URL = "ws://localhost/v1/ws"


async def test_a_stream_goes_on_over_a_reconnection_and_ends_with_the_store() -> None:
    sessions: list[ServerConnection] = []

    async def handler(ws: ServerConnection) -> None:
        sessions.append(ws)
        await ws.send(f'"{len(sessions)}a"')
        await ws.send(f'"{len(sessions)}b"')
        if len(sessions) < 3:
            ws.transport.abort()
        await ws.wait_closed()

    async with peer(handler) as url, quick(url) as store:
        hot = record(store.messages)
        stream = store.stream()
        await until(store, lambda: "3b" in hot)
        await store.aclose()
        assert [message async for message in stream] == hot
        assert hot == ["1a", "1b", "2a", "2b", "3a", "3b"]
        assert [message async for message in stream] == []
        assert stream.stats.dropped == 0
        assert store.stats.consumers == ()


def test_slow_consumers_of_each_policy_next_to_a_fast_one() -> None:
    """The fast one misses nothing, the counters add up, and the connection lives."""
    count = 5000

    async def main() -> None:
        async def handler(ws: ServerConnection) -> None:
            for half in range(2):
                for n in range(count // 2):
                    await ws.send(str(half * count // 2 + n))
                await ws.recv()

        async with (
            peer(handler) as url,
            quick(url, ping_interval=0.02, ping_timeout=5) as store,
        ):
            slow = {
                "latest": store.stream(9, "latest", name="latest"),
                "drop_oldest": store.stream(9, name="drop_oldest"),
                "drop_newest": store.stream(9, "drop_newest", name="drop_newest"),
                "error": store.stream(9, "error", name="error"),
            }
            fast = store.stream(count)
            seen = [await anext(fast) for _ in range(count // 2)]
            assert await anext(slow["drop_newest"]) == 0  # room for one more
            await store.wait_for(lambda state: state.is_connected)
            store.send("on")
            seen += [await anext(fast) for _ in range(count // 2)]
            assert seen == list(range(count))
            counters = {stats.name: stats for stats in store.stats.consumers}
            for name, stats in counters.items():
                assert stats.waiting + stats.delivered + stats.dropped == count, name
            assert counters["latest"].high_water == 1
            assert counters["drop_oldest"].high_water == 9
            assert await anext(slow["latest"]) == count - 1
            assert [await anext(slow["drop_oldest"]) for _ in range(9)] == seen[-9:]
            newest = [await anext(slow["drop_newest"]) for _ in range(9)]
            assert newest == [*range(1, 9), count // 2]
            assert [await anext(slow["error"]) for _ in range(9)] == list(range(9))
            with pytest.raises(StreamOverflow, match="'error' was too slow") as caught:
                await anext(slow["error"])
            assert caught.value.dropped == count - 9
            with pytest.raises(StopAsyncIteration):
                await anext(slow["error"])
            assert store.state.value.session == 1
            assert store.connected

    run(main)


def test_a_stream_is_iterated_on_another_loop_than_the_stores() -> None:
    with serve_in_thread(echo=True) as server:
        store = use_websocket(f"{server.url}/v1/ws/status", loop="thread", message_type=int)

        async def main() -> list[int]:
            async with store.stream() as stream:
                for n in range(100):
                    store.send(n)
                return [await anext(stream) for _ in range(100)]

        with store:
            store.wait_connected(8).result()
            assert asyncio.run(main()) == list(range(100))
            assert store.stats.consumers == ()


def test_a_stream_that_waits_on_another_loop_ends_when_the_store_closes() -> None:
    with serve_in_thread(echo=True) as server:
        store = use_websocket(f"{server.url}/v1/ws/status", loop="thread", message_type=int)
        waiting = threading.Event()
        seen: list[list[int]] = []

        async def main() -> None:
            stream = store.stream()
            asyncio.get_running_loop().call_soon(waiting.set)
            seen.append([message async for message in stream])

        reader = threading.Thread(target=lambda: asyncio.run(main()))
        with store:
            store.wait_connected(8).result()
            reader.start()
            assert waiting.wait(8)
        reader.join(8)
        assert seen == [[]]


def test_a_stream_whose_loop_was_closed_hurts_nobody() -> None:
    with serve_in_thread(echo=True) as server:
        store = use_websocket(f"{server.url}/v1/ws/status", loop="thread", message_type=int)
        loop = asyncio.new_event_loop()
        got = threading.Event()
        with store:
            store.wait_connected(8).result()
            stream = store.stream()
            task = loop.create_task(stream.__anext__())
            loop.call_soon(lambda: loop.call_soon(loop.stop))
            loop.run_forever()
            assert not task.done()
            store.messages.subscribe(lambda _: got.set())
            waiter: Any = task
            waiter._log_destroy_pending = False  # it is left on purpose
            loop.close()
            store.send(1)
            assert got.wait(8)
            assert store.stats.observer_errors == 0


@pytest.mark.heimdall_virtual_time
async def test_several_tasks_share_a_stream() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        stream = store.stream()
        seen: list[list[Any]] = [[], []]

        async def take(mine: list[Any]) -> None:
            async for message in stream:
                mine.append(message)
                await asyncio.sleep(1)

        tasks = [asyncio.create_task(take(mine)) for mine in seen]
        link = await peer.accepted()
        for n in range(6):
            link.send(n)
        await asyncio.sleep(10)
        assert sorted(seen[0] + seen[1]) == list(range(6))
        assert seen == [[0, 2, 4], [1, 3, 5]]
    await asyncio.gather(*tasks)


@pytest.mark.heimdall_virtual_time
async def test_a_task_that_is_cancelled_while_it_is_woken_leaves_the_message_to_another() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        stream = store.stream()
        first, second = (asyncio.create_task(stream.__anext__()) for _ in range(2))
        link = await peer.accepted()
        await asyncio.sleep(1)

        def cancel(_: Any) -> None:
            first.cancel()

        store.messages.subscribe(cancel)
        link.send(7)
        assert await second == 7
        assert first.cancelled()


@pytest.mark.heimdall_virtual_time
async def test_a_stream_that_nobody_holds_is_detached() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        link = await peer.accepted()
        stream = store.stream()
        link.send(1)
        async for message in stream:
            assert message == 1
            break
        assert [stats.name for stats in store.stats.consumers] == ["stream 1"]
        del stream
        gc.collect()
        assert not store.stats.consumers
        waiting = store.stream()
        task = asyncio.create_task(waiting.__anext__())
        await asyncio.sleep(1)
        await waiting.aclose()
        await waiting.aclose()
        with pytest.raises(StopAsyncIteration):
            await task


@pytest.mark.heimdall_virtual_time
async def test_a_stream_of_a_closed_store_is_empty() -> None:
    async with use_websocket(URL, transport=ScriptedPeer()) as store:
        await store.wait_connected()
    assert [message async for message in store.stream()] == []
    with pytest.raises(ConfigurationError):
        store.stream(0)
