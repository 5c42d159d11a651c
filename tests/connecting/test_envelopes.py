"""A frame's way through a protocol of one's own: what it costs where something is wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Hashable, Iterable
from typing import Any

import pytest

from heimdall_reactive import (
    Heartbeat,
    InvalidMessage,
    ProtocolSession,
    Refused,
    SendError,
    SessionProtocol,
    Status,
    StoreError,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.connecting.codec import InvalidUtf8
from heimdall_reactive.testing import Link, ScriptedPeer
from tests.support import record
from tests.virtual import URL, loop

pytestmark = pytest.mark.heimdall_virtual_time


class Lines(SessionProtocol):
    """Several envelopes a frame; a send is two frames."""

    def decode(self, data: str | bytes, session: ProtocolSession) -> Iterable[Any]:
        return [json.loads(line) for line in data.splitlines()]

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        if envelope == "refuse":
            session.refuse("the service said so", "stop")
        return {}[envelope] if envelope == "raise" else envelope

    def encode(self, value: Any) -> tuple[str, ...]:
        return "head", json.dumps(value)


def store_of(peer: ScriptedPeer, protocol: SessionProtocol, **options: Any) -> WebSocketStore[Any]:
    options = {"reconnect_delay": 1.0, "message_type": Any, **options}
    return use_websocket(URL, transport=peer, protocol=protocol, **options)


async def test_frames_and_their_bytes_are_counted() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Lines()) as store:
        link = await peer.accepted()
        await store.wait_connected()
        store.send("four")
        link.send("1\n2", text=True)
        link.send(b"3")
        await loop().idle()
        stats = store.stats
        assert (stats.received, stats.received_bytes) == (2, 4)
        assert (stats.sent, stats.sent_bytes) == (1, len("head") + len('"four"'))


async def test_text_that_is_not_utf_8_is_reported_and_closes_with_1007() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Lines()) as store:
        errors, seen = record(store.errors), record(store.messages)
        link = await peer.accepted()
        await store.wait_connected()
        link.send(b"\xff1", text=True)
        link.send("2", text=True)
        state = await store.wait_for(lambda state: state.status is Status.WAITING)
        assert [type(error) for error in errors] == [InvalidUtf8]
        assert (errors[0].size, store.stats.invalid, seen) == (2, 1, [])
        assert state.close is not None
        assert (state.close.code, link.close_code) == (1007, 1007)
        assert link.close_reason == "invalid UTF-8"


async def test_a_method_that_raises_costs_its_frame_or_its_envelope() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Lines()) as store:
        errors, seen = record(store.errors), record(store.messages)
        link = await peer.accepted()
        await store.wait_connected()
        link.send("1\n{", text=True)
        link.send('2\n"raise"\n3', text=True)
        await loop().idle()
        assert seen == [2, 3]
        assert [type(error) for error in errors] == [InvalidMessage] * 2
        assert [str(error) for error in errors] == [
            "invalid message of 3 bytes: the protocol's decode raised JSONDecodeError",
            "invalid message of 0 bytes: the protocol's receive raised KeyError",
        ]
        assert store.stats.invalid == 2


async def test_after_a_refusal_nothing_of_that_frame_is_delivered() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Lines()) as store:
        seen = record(store.messages)
        link = await peer.accepted()
        await store.wait_connected()
        link.send('1\n"refuse"\n2', text=True)
        link.send("3", text=True)
        state = await store.wait_for(lambda state: state.status is Status.FAILED)
        assert seen == [1]
        assert isinstance(state.error, Refused)
        assert link.close_reason == "the service said so"


async def test_a_message_that_is_not_of_the_stores_type_is_reported() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Lines(), message_type=int) as store:
        errors, seen = record(store.errors), record(store.messages)
        link = await peer.accepted()
        link.send('1\n"text"\n2', text=True)
        await store.wait_connected()
        await loop().idle()
        assert seen == [1, 2]
        assert [(type(error), error.size, error.kind) for error in errors] == [
            (InvalidMessage, 0, None)
        ]


async def test_a_correlate_that_raises_is_reported_and_the_message_delivered() -> None:
    class Keyed(SessionProtocol):
        def correlate(self, value: Any) -> Hashable | None:
            key: Hashable = value["id"]
            return key

    peer = ScriptedPeer()
    async with store_of(peer, Keyed()) as store:
        errors, seen = record(store.errors), record(store.messages)
        link = await peer.accepted()
        await store.wait_connected()
        link.send({"no": "id"})
        request = store.request({"id": 7})
        await loop().idle()
        link.send({"id": 7, "answer": 1})
        assert await request == {"id": 7, "answer": 1}
        assert seen == [{"no": "id"}, {"id": 7, "answer": 1}]
        assert [type(error) for error in errors] == [StoreError]
        assert str(errors[0]) == "the protocol's correlate raised KeyError; fix that method"


@pytest.mark.parametrize("broken", ["prepare", "encode"])
async def test_a_send_that_cannot_be_made_is_rejected_and_writes_nothing(broken: str) -> None:
    class Broken(Lines):
        def prepare(self, value: Any, session: ProtocolSession) -> Any:
            return {}[value] if broken == "prepare" and value == "bad" else value

        def encode(self, value: Any) -> tuple[str, ...]:
            return ({}[value],) if broken == "encode" and value == "bad" else super().encode(value)

    peer = ScriptedPeer()
    async with store_of(peer, Broken()) as store:
        errors = record(store.errors)
        await store.wait_connected()
        bad, good = store.send("bad"), store.send("good")
        await loop().idle()
        assert (bad.state, good.state) == ("rejected", "written")
        assert peer.links[0].received == ["head", "good"]
        told = "not sent: the protocol's prepare or encode raised KeyError"
        assert [(type(e), str(e), e.state) for e in errors] == [(SendError, told, "rejected")]
        assert str(bad.error) == told
        assert (store.stats.sent, store.stats.rejected) == (1, 1)


async def test_a_gap_waits_for_the_first_message_or_the_end_of_its_session() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Lines()) as store:
        told: list[Any] = []
        store.gaps.subscribe(lambda gap: told.append(("gap", gap.session)))
        store.messages.subscribe(told.append)
        store.state.subscribe(lambda state: told.append(str(state.status)))

        async def next_link(session: int) -> Link:
            await store.wait_for(lambda state: state.session == session)
            return peer.links[-1]

        (await next_link(1)).drop()
        (await next_link(2)).drop()  # without a message
        link = await next_link(3)
        await loop().idle()
        link.send("1\n2", text=True)
        await loop().idle()
    dialled = ["connecting", "connected"]
    assert told == [
        *dialled, "waiting",
        *dialled, ("gap", 2), "waiting",
        *dialled, ("gap", 3), 1, 2, "disconnecting", "disconnected",
    ]  # fmt: skip


async def test_the_answer_to_a_heartbeat_is_no_envelope_and_all_else_is() -> None:
    peer, heartbeat = ScriptedPeer(), Heartbeat(interval=10, timeout=5)
    async with store_of(peer, SessionProtocol(), heartbeat=heartbeat) as store:
        seen = record(store.messages)
        link = await peer.accepted()
        await store.wait_connected()
        link.send({"type": "Pong"})  # nobody has asked
        await asyncio.sleep(11)
        link.send({"n": 1})
        link.send({"type": "Pong"})
        await loop().idle()
        assert link.received == [{"type": "Ping"}]
        assert seen == [{"type": "Pong"}, {"n": 1}]
