"""What the state machine of `test_machine.py` has found: each test failed before it was mended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from reactivex.operators import skip

from heimdall_reactive import Status, WebSocketStore, use_websocket
from heimdall_reactive.testing import ScriptedPeer, Unreachable, VirtualTimeLoop, run

from .support import record

END = Status.DISCONNECTED


def loop() -> VirtualTimeLoop:
    found = asyncio.get_running_loop()
    assert isinstance(found, VirtualTimeLoop)
    return found


def store_of(peer: ScriptedPeer, **options: Any) -> WebSocketStore[Any]:
    return use_websocket("ws://localhost/x", transport=peer, **options)


def test_disconnect_in_an_observer_of_connect_wins() -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        async with store_of(peer, immediate=False) as store:
            store.connect.pipe(skip(1)).subscribe(store.disconnect)
            store.connect()
            await loop().idle()
            assert store.state.value.status is END
            assert peer.dials == []

    run(main)


def test_connect_in_an_observer_of_disconnect_dials_again() -> None:
    async def main() -> None:
        async with store_of(ScriptedPeer()) as store:
            await store.wait_connected()
            store.disconnect.pipe(skip(1)).subscribe(store.connect)
            store.disconnect()
            await store.wait_for(lambda s: s.session == 2, 5)

    run(main)


def test_the_gap_of_a_session_that_ended_at_its_announcement_is_told_by_the_next() -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        async with store_of(peer, reconnect_delay=1) as store:
            gaps = record(store.gaps)
            seconds = store.select(lambda s: s.is_connected and s.session == 2)
            seconds.subscribe(lambda second: store.disconnect() if second else None)
            await store.wait_connected()
            since = loop().wall()
            (await peer.accepted()).drop()
            await store.wait_for(lambda s: s.status is END, 5)
            await asyncio.sleep(60)
            store.connect()
            await store.wait_for(lambda s: s.session == 3, 5)
            assert [(gap.session, gap.since) for gap in gaps] == [(3, since)]

    run(main)


@pytest.mark.parametrize("noticed", [0.0, 30.0])
def test_a_gap_begins_before_a_sleep_of_the_machine(noticed: float) -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        async with store_of(peer, ping_interval=None) as store:
            gaps = record(store.gaps)
            await store.wait_connected()
            since, link = loop().wall(), await peer.accepted()
            link.silence()
            loop().suspend(3600)
            await asyncio.sleep(noticed)
            link.drop()
            await store.wait_for(lambda s: s.session == 2, 60)
            assert [gap.since for gap in gaps] == [since]

    run(main)


def test_a_retry_after_a_sleep_comes_when_the_state_says() -> None:
    async def main() -> None:
        peer = ScriptedPeer(Unreachable())
        async with store_of(peer, reconnect_delay=600) as store:
            state = await store.wait_for(lambda s: s.status is Status.WAITING)
            assert state.retry_at is not None
            loop().suspend(300)
            await store.wait_connected()
            assert abs(loop().wall() - state.retry_at) < 1

    run(main)
