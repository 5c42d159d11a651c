"""One open socket: what a session remembers, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from heimdall_reactive import ConnectionLost, SessionEnded, SessionRevoked, Status
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
