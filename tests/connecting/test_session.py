"""One open socket: what a session remembers, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from heimdall_reactive import (
    ConnectionLost,
    Heartbeat,
    SendError,
    SessionEnded,
    SessionRevoked,
    Status,
    StoreError,
)
from heimdall_reactive.testing import ScriptedPeer
from tests.support import record
from tests.virtual import loop, steady_store_of

REVOKED = {"type": "sessionRevoked", "userId": "u1", "timestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.heimdall_virtual_time
async def test_a_loss_soon_after_the_end_of_the_users_session_is_not_retried() -> None:
    peer = ScriptedPeer()
    async with steady_store_of(peer) as store:
        await store.wait_connected()
        peer.links[0].send(REVOKED)
        await asyncio.sleep(9.9)
        peer.links[0].drop()
        state = await store.wait_for(lambda s: not s.is_connected)
        assert state.status is Status.FAILED
        assert isinstance(state.error, SessionEnded)
        await asyncio.sleep(60)
        assert len(peer.dials) == 1


@pytest.mark.heimdall_virtual_time
async def test_an_old_end_of_the_users_session_stops_no_reconnection() -> None:
    peer = ScriptedPeer()
    async with steady_store_of(peer) as store:
        await store.wait_connected()
        seen = record(store.messages)
        peer.links[0].send(REVOKED)
        await asyncio.sleep(10.1)
        assert [type(message) for message in seen] == [SessionRevoked]
        peer.links[0].drop()
        state = await store.wait_for(lambda s: not s.is_connected)
        assert state.status is Status.WAITING
        assert isinstance(state.error, ConnectionLost)
        await store.wait_for(lambda s: s.session == 2)
        peer.links[1].drop()  # nor that of a session before this one
        await loop().idle()
        assert store.state.value.status is Status.WAITING


@pytest.mark.heimdall_virtual_time
async def test_frames_and_their_bytes_are_counted() -> None:
    peer = ScriptedPeer()
    async with steady_store_of(peer) as store:
        await store.wait_connected()
        store.send("four")
        store.send({"n": 1})
        peer.links[0].send("[1]", text=True)
        peer.links[0].send("{", text=True)
        await loop().idle()
        stats = store.stats
        assert (stats.sent, stats.sent_bytes) == (2, len("four") + len('{"n":1}'))
        assert (stats.received, stats.received_bytes, stats.invalid) == (2, 4, 1)


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize("planned", [False, True])
async def test_a_send_in_flight_at_the_end_of_its_socket_is_in_doubt_and_reported_once(
    planned: bool,
) -> None:
    peer = ScriptedPeer()
    async with steady_store_of(peer) as store:
        await store.wait_connected()
        errors = record(store.errors)
        peer.links[0].stall(after=1)
        receipt = store.send("in flight")
        await loop().idle()
        if planned:
            store.reconnect(4000, "resume")
        else:
            peer.links[0].drop()
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert receipt.state == "in_doubt"
        assert [(type(error), str(error), error.state) for error in errors] == [(
            SendError,
            "1 message may not have arrived: the connection ended before the peer had answered",
            "in_doubt",
        )]  # fmt: skip
        store.reconnect(4000, "nothing in flight")
        await store.wait_for(lambda state: state.session == 3)
        await loop().idle()
        assert len(errors) == 1


@pytest.mark.heimdall_virtual_time
async def test_a_session_that_gave_way_to_the_next_has_no_timer_left() -> None:
    peer = ScriptedPeer()
    heartbeat = Heartbeat(interval=7, timeout=3)
    async with steady_store_of(peer, heartbeat=heartbeat, send_rate=(1, 20.0)) as store:
        await store.wait_connected()
        for n in range(3):
            store.send(n)
        await loop().idle()
        peer.links[0].mute_close()
        store.reconnect(4000, "resume")
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert peer.links[0].received == [0]
        peer.links[1].mute_close()
        store.disconnect()
        await loop().idle()
        assert peer.links[1].received == [1]
        await asyncio.sleep(100)
        assert peer.links[0].received == [0]
        assert loop().timers == []


@pytest.mark.heimdall_virtual_time
async def test_a_heartbeats_predicate_that_raises_is_reported_and_the_message_delivered() -> None:
    def broken(_: object) -> bool:
        raise KeyError("secret")

    peer = ScriptedPeer()
    heartbeat = Heartbeat(interval=1, timeout=10, reply=broken)
    async with steady_store_of(peer, heartbeat=heartbeat) as store:
        await store.wait_connected()
        errors, seen = record(store.errors), record(store.messages)
        await asyncio.sleep(1.5)
        peer.links[0].send([1])
        await loop().idle()
        assert seen == [[1]]
        assert [(type(error), str(error)) for error in errors] == [
            (StoreError, "Heartbeat.reply raised KeyError; fix it")
        ]


@pytest.mark.heimdall_virtual_time
async def test_a_sleep_of_the_machine_counts_into_the_silence_before_a_loss() -> None:
    peer = ScriptedPeer()
    async with steady_store_of(peer, ping_interval=None) as store:
        await store.wait_connected()
        peer.links[0].send([1])
        await loop().idle()
        heard = loop().wall()
        peer.links[0].silence()
        for seconds in (60, 30):
            loop().suspend(seconds)
            await asyncio.sleep(1.5)
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        (since,) = [entry.details["since"] for entry in store.journal if entry.event == "gap"]
        assert since == pytest.approx(heard, abs=0.01)


@pytest.mark.heimdall_virtual_time
async def test_the_round_trip_of_a_ping_is_told() -> None:
    peer = ScriptedPeer()
    async with steady_store_of(peer, ping_interval=5.0) as store:
        seen = record(store.latency)
        await store.wait_connected()
        await asyncio.sleep(1)
        assert len(seen) == 2
        assert seen[0] is None
        assert seen[1] >= 0


@pytest.mark.heimdall_virtual_time
async def test_a_peers_close_reason_is_one_line_without_the_token() -> None:
    peer = ScriptedPeer()
    async with steady_store_of(peer, access_token="s3cret-canary") as store:
        await store.wait_connected()
        peer.links[0].close(4000, "not for\ns3cret-canary")
        state = await store.wait_for(lambda s: not s.is_connected)
        assert state.close is not None
        assert state.close.reason == "not for?***"
