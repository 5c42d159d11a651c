"""A stream that may lose nothing holds the server back, and costs the connection nothing."""

from __future__ import annotations

import asyncio
import gc

import pytest

from heimdall_reactive import ConfigurationError, Status, use_websocket
from heimdall_reactive.consuming.holding import HOLD_LIMIT
from heimdall_reactive.testing import ScriptedPeer
from tests import support
from tests.peers import quick
from tests.socket_peer import SocketPeer
from tests.virtual import URL, loop
from tests.virtual import steady_store_of as store_of


@pytest.mark.heimdall_virtual_time
async def test_a_full_stream_holds_the_server_back_until_half_is_free() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        slow = store.stream(maxsize=4, overflow="block")
        fast = support.record(store.messages)
        link = await peer.accepted()
        for n in range(20):
            link.send(n)
        await loop().idle()
        assert fast == [0, 1, 2, 3, 4]  # the fifth came when it was full
        assert [await anext(slow) for _ in range(3)] == [0, 1, 2]
        await loop().idle()
        assert len(fast) > 5
        assert [await anext(slow) for _ in range(17)] == list(range(3, 20))
        assert fast == list(range(20))
        assert (slow.stats.dropped, store.state.value.session) == (0, 1)


@pytest.mark.heimdall_virtual_time
async def test_it_is_held_back_for_some_seconds_at_most_and_then_the_oldest_goes_counted() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, ping_interval=1, ping_timeout=1) as store:
        slow = store.stream(maxsize=2, overflow="block", name="slow")
        fast = support.record(store.messages)
        link = await peer.accepted()
        for n in range(10):
            link.send(n)
        await asyncio.sleep(HOLD_LIMIT - 0.5)
        assert len(fast) == 3
        await asyncio.sleep(1)
        assert fast == list(range(10))  # nobody else waits for it forever
        assert slow.stats.dropped == 7
        assert store.state.value.session == 1  # its pings had no answer in that time
        rest = [await anext(slow) for _ in range(3)]
        assert rest == [7, 8, 9]
        link.send(10)  # it has room again
        assert await anext(slow) == 10
        await asyncio.sleep(60)
        assert store.connected


@pytest.mark.heimdall_virtual_time(timeout=600)
async def test_a_lost_connection_and_the_end_of_a_stream_or_store_let_go() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, ping_interval=None) as store:
        slow = store.stream(maxsize=1, overflow="block")
        fast = support.record(store.messages)
        first = await peer.accepted()
        for n in range(5):
            first.send(n)
        await loop().idle()
        assert first.wire.held
        first.wire.lose("gone")
        await store.wait_for(lambda s: s.session == 2)
        second = peer.links[1]
        second.send(99)
        await loop().idle()
        assert (second.wire.held, fast[-1]) == (True, 99)
        await slow.aclose()
        await loop().idle()
        assert not second.wire.held
        again = store.stream(maxsize=1, overflow="block")
        second.send(1)
        second.send(2)
        await loop().idle()
        assert second.wire.held
        store.disconnect()
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED)
        assert await anext(again) == 1
    assert loop().timers == []


def test_only_a_stream_can_hold_the_server_back() -> None:
    store = use_websocket(URL, transport=ScriptedPeer(), immediate=False, loop="thread")
    with pytest.raises(ConfigurationError, match="only a stream"):
        store.on_message(lambda _: asyncio.sleep(0), overflow="block")  # type: ignore[arg-type]
    store.close()


def test_nothing_is_lost_over_a_real_socket_with_a_reconnection_in_the_middle() -> None:
    async def main() -> None:
        async with SocketPeer() as peer, quick(peer.url, ping_interval=0.05) as store:
            slow = store.stream(maxsize=8, overflow="block")
            seen: list[int] = []
            for session in (1, 2):
                link = await peer.accepted(8)
                await store.wait_for(lambda s, n=session: s.session == n, 8)  # type: ignore[misc]
                for n in range(2000):
                    link.send(n)
                link.send({"end": session})
                while (message := await anext(slow)) != {"end": session}:
                    seen.append(message)
                link.drop()
            assert seen == [*range(2000), *range(2000)]
            assert slow.stats.dropped == 0

    support.run(main)


@pytest.mark.heimdall_virtual_time
async def test_a_stream_that_nobody_holds_any_more_lets_go() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, ping_interval=None) as store:
        slow = store.stream(maxsize=1, overflow="block")
        link = await peer.accepted()
        link.send(1)
        link.send(2)
        await loop().idle()
        assert link.wire.held
        del slow
        gc.collect()
        await loop().idle()
        assert not link.wire.held
