"""What a protocol may do on its socket, and where that has a bound."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heimdall_reactive import (
    ProtocolSession,
    Refused,
    SessionProtocol,
    Status,
    StoreError,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.connecting.conversation import LIMIT
from heimdall_reactive.testing import ScriptedPeer
from tests.support import record
from tests.virtual import URL, loop, stand_still

pytestmark = pytest.mark.heimdall_virtual_time


class Talking(SessionProtocol):
    """Keeps its sessions."""

    def __init__(self) -> None:
        self.sessions: list[ProtocolSession] = []

    async def handshake(self, session: ProtocolSession) -> None:
        self.sessions.append(session)


def store_of(peer: ScriptedPeer, protocol: SessionProtocol, **options: Any) -> WebSocketStore[Any]:
    options = {"reconnect_delay": 1.0, **options}
    return use_websocket(URL, transport=peer, protocol=protocol, message_type=Any, **options)


async def test_a_session_says_what_the_upgrade_brought() -> None:
    peer, talking = ScriptedPeer(), Talking()
    async with store_of(peer, talking, access_token="t") as store:
        await store.wait_connected()
        peer.links[0].drop()
        await store.wait_for(lambda state: state.session == 2)
        first, second = talking.sessions
        assert [(s.number, s.attempt) for s in (first, second)] == [(1, 0), (2, 1)]
        assert [first.next_id(), first.next_id(), second.next_id()] == [1, 2, 1]
        assert second.response_headers["upgrade"] == "websocket"
        assert (second.subprotocol, second.has_token) == (None, True)
        assert await second.token() == "t"


async def test_a_protocol_that_needs_a_token_stops_a_store_that_has_none() -> None:
    class Login(SessionProtocol):
        async def handshake(self, session: ProtocolSession) -> None:
            assert not session.has_token
            await session.token()

    peer = ScriptedPeer()
    async with store_of(peer, Login()) as store:
        state = await store.wait_for(lambda state: state.status is Status.FAILED)
        assert "the protocol needs an access token; pass access_token=" in str(state.error)
        assert len(peer.dials) == 1


async def test_recv_belongs_to_the_handshake() -> None:
    peer, talking = ScriptedPeer(), Talking()
    async with store_of(peer, talking) as store:
        await store.wait_connected()
        with pytest.raises(RuntimeError, match=r"recv\(\) is for handshake\(\) only"):
            await talking.sessions[0].recv()


@pytest.mark.parametrize("others", [LIMIT - 1, LIMIT])
async def test_a_handshake_waits_through_a_thousand_envelopes_and_no_more(others: int) -> None:
    class Patient(SessionProtocol):
        async def handshake(self, session: ProtocolSession) -> None:
            await session.recv(lambda envelope: envelope == "go")

    peer = ScriptedPeer()
    async with store_of(peer, Patient(), auto_reconnect=False) as store:
        seen = record(store.messages)
        link = await peer.accepted()
        for n in range(others):
            link.send(n)
        await loop().idle()
        link.send('"go"')
        await loop().idle()
        if others < LIMIT:
            assert store.connected
            assert seen == list(range(others))
        else:
            assert store.state.value.status is Status.FAILED
            assert "1000 envelopes came" in str(store.state.value.error)


async def test_a_session_keeps_a_thousand_values_for_a_socket_that_takes_nothing() -> None:
    peer, talking = ScriptedPeer(), Talking()
    async with store_of(peer, talking) as store:
        await store.wait_connected()
        peer.links[0].stall(after=1)
        session = talking.sessions[0]
        session.send("fills the socket")
        await loop().idle()
        for n in range(LIMIT):
            session.send(n)
        with pytest.raises(Refused, match="1000 values of the protocol wait"):
            session.send("one too many")
        peer.links[0].resume()
        await loop().idle()
        assert peer.links[0].received == ["fills the socket", *range(LIMIT)]


async def test_what_a_protocol_sends_comes_before_what_waits() -> None:
    peer, talking = ScriptedPeer(), Talking()
    async with store_of(peer, talking) as store:
        await store.wait_connected()
        peer.links[0].stall(after=1)
        store.send("fills the socket")
        await loop().idle()
        receipt = store.send("waits")
        talking.sessions[0].send("ahead")
        peer.links[0].resume()
        await loop().idle()
        assert peer.links[0].received == ["fills the socket", "ahead", "waits"]
        assert receipt.state == "written"


# Timers


async def test_a_timer_comes_first_after_its_own_time_and_then_again_and_again() -> None:
    peer, talking = ScriptedPeer(), Talking()
    async with store_of(peer, talking) as store:
        await store.wait_connected()
        began, calls = loop().time(), list[tuple[str, float]]()
        for name, first in (("a", None), ("b", 0.5), ("c", 0.0)):
            talking.sessions[0].every(
                2.0,
                lambda name=name: calls.append((name, loop().time() - began)),  # type: ignore[misc]
                first=first,
            )
        await asyncio.sleep(4.2)
        calls.sort(key=lambda call: (call[1], call[0]))  # those of one time come in any order
        assert calls == [("c", 0.0), ("b", 0.5), ("a", 2.0), ("c", 2.0), ("b", 2.5), *[
            ("a", 4.0), ("c", 4.0),
        ]]  # fmt: skip
        peer.links[0].drop()
        await store.wait_for(lambda state: state.session == 2)
        await asyncio.sleep(10)
        assert len(calls) == 7


async def test_a_timer_that_raises_is_reported_and_one_that_refuses_ends_the_session() -> None:
    peer, talking = ScriptedPeer(), Talking()
    async with store_of(peer, talking) as store:
        await store.wait_connected()
        errors = record(store.errors)
        raised = iter([KeyError("secret"), KeyError("secret"), Refused("enough", "stop")])

        def call() -> None:
            raise next(raised)

        talking.sessions[0].every(1.0, call)
        await asyncio.sleep(2.5)
        assert [type(error) for error in errors] == [StoreError] * 2
        assert str(errors[0]) == "a timer of the protocol raised KeyError; fix that call"
        assert store.connected
        await asyncio.sleep(1)
        assert store.state.value.status is Status.FAILED
        assert str(store.state.value.error) == "enough"
        assert (peer.links[0].close_code, peer.links[0].close_reason) == (1000, "enough")


async def test_the_first_refusal_of_a_session_counts() -> None:
    peer, talking = ScriptedPeer(), Talking()
    async with store_of(peer, talking) as store:
        await store.wait_connected()
        peer.links[0].mute_close()

        def refuse(reason: str) -> None:
            talking.sessions[0].refuse(reason, "stop")

        talking.sessions[0].every(1.0, lambda: refuse("first"), first=0.0)
        talking.sessions[0].every(1.0, lambda: refuse("second"), first=0.0)
        state = await store.wait_for(lambda state: state.status is Status.FAILED)
        assert str(state.error) == "first"


async def test_only_the_last_expectation_of_a_sign_of_life_counts() -> None:
    peer, talking = ScriptedPeer(), Talking()
    async with store_of(peer, talking) as store:
        await store.wait_connected()
        began = loop().time()
        talking.sessions[0].expect(2.0)
        talking.sessions[0].expect(5.0)
        await asyncio.sleep(4)
        assert store.connected
        peer.links[0].send({"alive": True})
        state = await store.wait_for(lambda state: not state.is_connected)
        assert loop().time() - began == pytest.approx(9.0)
        assert "the protocol expected an envelope by now" in str(state.error)
        assert [timer for timer in loop().timers if timer.when() > began + 100] == []


async def test_an_expectation_is_not_judged_by_a_process_that_was_suspended() -> None:
    peer, talking = ScriptedPeer(), Talking()
    async with store_of(peer, talking) as store:
        await store.wait_connected()
        talking.sessions[0].expect(5.0)
        await asyncio.sleep(1)
        stand_still(600.0)
        await asyncio.sleep(0.5)  # the look is late by now
        peer.links[0].send({"alive": True})
        await asyncio.sleep(4)
        assert store.connected
        state = await store.wait_for(lambda state: not state.is_connected)
        assert "the protocol expected an envelope by now" in str(state.error)
