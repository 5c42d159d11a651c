"""What the state machine of `test_machine.py` has found: each test failed before it was fixed."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from reactivex.operators import skip

from heimdall_reactive import Heartbeat, Status, use_websocket
from heimdall_reactive.testing import (
    Accept,
    Link,
    ScriptedPeer,
    Unreachable,
    run,
)
from tests.support import record
from tests.virtual import loop, store_of

END = Status.DISCONNECTED


@pytest.mark.heimdall_virtual_time
async def test_disconnect_in_an_observer_of_connect_wins() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, immediate=False) as store:
        store.connect.pipe(skip(1)).subscribe(store.disconnect)
        store.connect()
        await loop().idle()
        assert store.state.value.status is END
        assert peer.dials == []


@pytest.mark.heimdall_virtual_time
async def test_connect_in_an_observer_of_disconnect_dials_again() -> None:
    async with store_of(ScriptedPeer()) as store:
        await store.wait_connected()
        store.disconnect.pipe(skip(1)).subscribe(store.connect)
        store.disconnect()
        await store.wait_for(lambda s: s.session == 2, 5)


@pytest.mark.heimdall_virtual_time
async def test_the_gap_of_a_session_that_ended_at_its_announcement_is_told() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, reconnect_delay=1) as store:
        gaps, messages = record(store.gaps), record(store.messages)
        seconds = store.select(lambda s: s.is_connected and s.session == 2)
        seconds.subscribe(lambda second: store.disconnect() if second else None)
        await store.wait_connected()
        since = loop().wall()
        peer.script(Accept([1]))  # it comes during the closing handshake
        (await peer.accepted()).drop()
        await store.wait_for(lambda s: s.status is END, 5)
        assert [(gap.session, gap.since) for gap in gaps] == [(2, since)]
        assert messages == [1]
        await asyncio.sleep(60)
        store.connect()
        await store.wait_for(lambda s: s.session == 3, 5)
        assert [(gap.session, gap.since) for gap in gaps[1:]] == [(3, gaps[0].until)]


@pytest.mark.parametrize("noticed", [0.0, 30.0])
@pytest.mark.heimdall_virtual_time
async def test_a_gap_begins_before_a_sleep_of_the_machine(noticed: float) -> None:
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


@pytest.mark.heimdall_virtual_time
async def test_a_retry_after_a_sleep_comes_when_the_state_says() -> None:
    peer = ScriptedPeer(Unreachable())
    async with store_of(peer, reconnect_delay=600) as store:
        state = await store.wait_for(lambda s: s.status is Status.WAITING)
        assert state.retry_at is not None
        loop().suspend(300)
        await store.wait_connected()
        assert abs(loop().wall() - state.retry_at) < 1


@pytest.mark.heimdall_virtual_time
async def test_disconnect_of_a_closed_store_changes_nothing() -> None:
    store = store_of(ScriptedPeer())
    await store.aclose()
    store.disconnect()
    assert store.disconnect.value is None


async def sent_as(peer: ScriptedPeer) -> list[tuple[str | None, list[Any]]]:
    """Return what each link received, with the token of its upgrade."""
    await loop().idle()
    return [(dial.token, link.received) for dial, link in zip(peer.dials, peer.links, strict=True)]


@pytest.mark.heimdall_virtual_time
async def test_what_is_sent_before_the_first_dial_is_its_users_only() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, immediate=False, access_token="ada") as store:
        before = store.send("ada's")
        store.set_access_token("bob")
        store.send("bob's")
        store.connect()
        assert await sent_as(peer) == [("bob", ["bob's"])]
        assert before.state == "dropped"


@pytest.mark.heimdall_virtual_time
async def test_what_is_sent_before_the_first_dial_survives_a_new_token_of_its_user() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, immediate=False, access_token="1", principal="ada") as store:
        store.send("ada's")
        store.set_access_token("2", principal="ada")
        store.connect()
        assert await sent_as(peer) == [("2", ["ada's"])]


@pytest.mark.heimdall_virtual_time
async def test_what_is_sent_as_a_user_who_never_dials_reaches_nobody() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, access_token="ada") as store:
        await store.wait_connected()
        store.disconnect()
        await store.wait_for(lambda s: s.status is END)
        store.set_access_token("bob")
        receipt = store.send("bob's")
        store.set_access_token("ada")
        store.send("ada's")
        store.connect()
        assert await sent_as(peer) == [("ada", []), ("ada", ["ada's"])]
        assert receipt.state == "dropped"


@pytest.mark.heimdall_virtual_time
async def test_a_token_that_is_set_during_an_attempt_is_for_the_next() -> None:
    peer = ScriptedPeer(Unreachable())

    async def slow() -> str:
        await asyncio.sleep(1)
        return "ada"

    async with store_of(peer, access_token=slow) as store:
        await loop().idle()
        before = store.send("ada's")
        store.set_access_token("bob")
        store.send("bob's")
        await store.wait_connected()
        await loop().idle()
        assert [dial.token for dial in peer.dials] == ["ada", "bob"]
        assert peer.links[0].received == ["bob's"]
        assert before.state == "dropped"


@pytest.mark.heimdall_virtual_time
async def test_disconnect_in_an_observer_of_a_users_change_prevents_the_dial() -> None:
    peer = ScriptedPeer()
    dial, dials = peer.__call__, []

    async def transport(*args: Any) -> Any:
        dials.append(args)
        return await dial(*args)

    async with use_websocket("ws://localhost/x", transport=transport) as store:
        (await peer.accepted()).send(1)
        await store.wait_for(lambda s: s.is_connected)
        await loop().idle()
        store.disconnect()
        await store.wait_for(lambda s: s.status is END)
        store.last_message.subscribe(lambda m: store.disconnect() if m is None else None)
        store.set_access_token("bob")
        store.connect()
        await loop().idle()
        assert store.state.value.status is END
        assert len(dials) == 1


@pytest.mark.heimdall_virtual_time
async def test_a_pong_during_the_closing_handshake_leaves_no_latency() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        link = await peer.accepted()
        link.latency = 0.5
        await asyncio.sleep(0.1)
        store.disconnect()
        await store.wait_for(lambda s: s.status is END)
        assert store.latency.value is None


@pytest.mark.heimdall_virtual_time
async def test_a_heartbeats_reply_during_the_closing_handshake_is_hidden() -> None:
    peer = ScriptedPeer(on_message=lambda link, _: link.send({"type": "Pong"}))
    async with store_of(peer, heartbeat=Heartbeat(interval=2, timeout=1)) as store:
        link, seen = await peer.accepted(), record(store.messages)
        link.latency = 1
        await asyncio.sleep(2)
        store.disconnect()
        await store.wait_for(lambda s: s.status is END)
        assert link.received == [{"type": "Ping"}]
        assert seen == []


@pytest.mark.parametrize("turns", range(8))
def test_a_provider_that_is_given_up_at_any_turn_warns_of_nothing(turns: int) -> None:
    async def main() -> None:
        async def provider() -> str:
            return "ada"

        async with store_of(ScriptedPeer(), access_token=provider) as store:
            for _ in range(turns):
                await asyncio.sleep(0)
            store.disconnect()
            await store.wait_for(lambda s: s.status is END)

    run(main)
    gc.collect()


@pytest.mark.heimdall_virtual_time
async def test_a_session_that_ends_at_its_announcement_has_no_heartbeat() -> None:
    peer = ScriptedPeer(Accept(then=Link.silence))
    heartbeat = Heartbeat(interval=1, timeout=1)
    async with store_of(peer, heartbeat=heartbeat, immediate=False) as store:
        store.is_connected.subscribe(lambda up: store.disconnect() if up else None)
        store.connect()
        await store.wait_for(lambda s: s.status is END)
        assert loop().time() == 10  # the close timeout, not the heartbeat's


def test_an_event_loop_that_ends_is_forgotten_with_its_stores() -> None:
    async def main() -> list[weakref.ref[Any]]:
        async with store_of(ScriptedPeer()) as store:
            await store.wait_connected()
            return [weakref.ref(loop()), weakref.ref(store)]

    kept = run(main)
    gc.collect()
    assert [ref() for ref in kept] == [None, None]


@pytest.mark.heimdall_virtual_time
async def test_disconnect_in_an_observer_of_the_end_takes_back_a_connect_before_it() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        store.disconnect()
        store.connect()  # as soon as the closing handshake has ended
        ends = store.select(lambda s: s.status is END)
        ends.subscribe(lambda ended: store.disconnect() if ended else None)
        await loop().idle()
        assert store.state.value.status is END
        assert len(peer.dials) == 1


@pytest.mark.heimdall_virtual_time
async def test_replies_that_come_together_are_all_hidden() -> None:
    peer = ScriptedPeer(on_message=lambda link, _: link.send({"type": "Pong"}))
    heartbeat = Heartbeat(interval=2, timeout=5)
    async with store_of(peer, heartbeat=heartbeat, ping_interval=None) as store:
        link, seen = await peer.accepted(), record(store.messages)
        await asyncio.sleep(1)
        link.silence()
        await asyncio.sleep(4)
        link.resume()
        await loop().idle()
        assert len(link.received) == 2
        assert seen == []
