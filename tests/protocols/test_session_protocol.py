"""A protocol of one's own: a login, ids, envelopes, requests and channels, over drops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Hashable, Iterable
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from heimdall_reactive import (
    Again,
    Backoff,
    ChannelProtocol,
    ConfigurationError,
    ConnectionLost,
    ConnectTimeout,
    Ended,
    Failed,
    InvalidMessage,
    ProtocolSession,
    Refused,
    RequestLost,
    SendError,
    SessionProtocol,
    Status,
    StoreError,
    WaitTimeout,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.testing import Link, Refuse, ScriptedPeer, Unreachable
from tests.support import fate, record
from tests.virtual import URL, loop

pytestmark = pytest.mark.heimdall_virtual_time

TOKEN = "s3cret"


class Home(SessionProtocol):
    """A service that asks for a token, and whose commands have ids that rise on the wire."""

    def __init__(self) -> None:
        self.hello: list[Any] = []
        self.channels = ChannelProtocol(
            subscribe=lambda name: {"type": "subscribe", "topic": name},
            unsubscribe=lambda name: {"type": "unsubscribe", "topic": name},
            match=self.match,
            json_text=False,
        )

    @staticmethod
    def match(envelope: Any) -> tuple[str, Any] | None:
        match envelope:
            case {"topic": name, "end": True}:
                return name, Ended()
            case {"topic": name, "error": text}:
                return name, Failed(StoreError(text))
            case {"topic": name, "again": True}:
                return name, Again()
            case {"topic": name, "data": data}:
                return name, data
        return None

    async def handshake(self, session: ProtocolSession) -> None:
        self.hello.append(await session.recv(lambda envelope: envelope["type"] == "hello"))
        session.send({"type": "auth", "token": await session.token()})
        answer = await session.recv(lambda envelope: envelope["type"].startswith("auth"))
        if answer["type"] == "auth_invalid":
            session.refuse("the service refused the token", "refresh")

    def decode(self, data: str | bytes, session: ProtocolSession) -> Iterable[Any]:
        assert isinstance(data, str)
        return [json.loads(part) for part in data.split("\x1e") if part]

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        return None if envelope["type"] in ("pong", "channel") else envelope

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        return {"id": session.next_id(), **value}

    def correlate(self, value: Any) -> Hashable | None:
        key: Hashable = value.get("id")
        return key


def store_of(peer: ScriptedPeer, protocol: SessionProtocol, **options: Any) -> WebSocketStore[Any]:
    options = {"reconnect_delay": 1.0, "access_token": TOKEN, **options}
    return use_websocket(URL, transport=peer, protocol=protocol, message_type=Any, **options)


async def admit(link: Link) -> None:
    """Answer the login of a socket."""
    link.send({"type": "hello"})
    await loop().idle()
    assert link.received[-1] == {"type": "auth", "token": TOKEN}
    link.send({"type": "auth_ok"})
    await loop().idle()


async def test_nothing_goes_out_before_the_login_and_ids_rise_in_wire_order() -> None:
    peer, home = ScriptedPeer(), Home()
    async with store_of(peer, home) as store:
        states = record(store.state)
        first = store.send({"type": "first"})
        store.channel("lamp").subscribe()
        link = await peer.accepted()
        await asyncio.sleep(5)
        assert (link.received, store.state.value.status) == ([], Status.CONNECTING)
        await admit(link)
        assert store.connected
        assert link.received[1:] == [
            {"id": 1, "type": "subscribe", "topic": "lamp"},
            {"id": 2, "type": "first"},
        ]
        assert fate(first) == "written"
        link.drop()
        await store.wait_for(lambda state: state.status is Status.WAITING)
        second = store.send({"type": "second"})
        link = await peer.accepted()
        await admit(link)
        await loop().idle()
        assert [message["id"] for message in link.received[1:]] == [1, 2]
        assert fate(second) == "written"
        assert TOKEN not in repr((states, store.send.value, store.journal))
        assert store.send.value == {"type": "second"}


async def test_a_socket_that_takes_more_during_the_login_gets_nothing_before_its_end() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Home()) as store:
        waits = store.send({"type": "first"})
        link = await peer.accepted()
        link.stall()
        link.resume()
        await loop().idle()
        assert (link.received, waits.state) == ([], "queued")
        await admit(link)
        assert link.received[1:] == [{"id": 1, "type": "first"}]


async def test_a_login_that_never_succeeds_ends_failed_with_the_servers_code() -> None:
    peer = ScriptedPeer()
    options: Any = {"max_reconnect_attempts": 2, "stable_after": 1.0}
    async with store_of(peer, Home(), **options) as store:
        for _ in range(3):
            link = await peer.accepted()
            link.send({"type": "hello"})
            await asyncio.sleep(6)  # longer than `stable_after`
            link.close(4409, "not you")
            await loop().idle()
        state = store.state.value
        assert (state.status, state.session) == (Status.FAILED, 0)
        assert state.close is not None
        assert (state.close.code, state.close.reason) == (4409, "not you")
        assert isinstance(state.error, ConnectionLost)
        assert len(peer.links) == 3


async def test_a_refused_login_asks_the_provider_once_more_and_then_fails() -> None:
    asked = iter(["old", "new"])
    peer = ScriptedPeer()
    async with store_of(peer, Home(), access_token=lambda: next(asked)) as store:
        for token in ("old", "new"):
            link = await peer.accepted()
            link.send({"type": "hello"})
            await loop().idle()
            assert link.received == [{"type": "auth", "token": token}]
            link.send({"type": "auth_invalid"})
            await loop().idle()
        assert store.state.value.status is Status.FAILED
        assert isinstance(store.state.value.error, Refused)
        assert not peer.live


async def test_a_handshake_that_hangs_is_a_failed_attempt() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Home(), open_timeout=3.0) as store:
        await peer.accepted()
        await store.wait_for(lambda state: state.status is Status.WAITING)
        assert isinstance(store.state.value.error, ConnectTimeout)
        assert "handshake" in str(store.state.value.error)
        assert not peer.live


async def test_what_a_handshake_raises_is_named_without_its_text() -> None:
    class Broken(SessionProtocol):
        async def handshake(self, session: ProtocolSession) -> None:
            raise KeyError(await session.token())

    peer = ScriptedPeer()
    async with store_of(peer, Broken(), auto_reconnect=False) as store:
        await store.wait_for(lambda state: state.status is Status.FAILED)
        assert "handshake() raised KeyError" in str(store.state.value.error)
        assert TOKEN not in repr(store.state.value)


async def test_disconnect_in_the_handshake_wins() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Home()) as store:
        await peer.accepted()
        store.disconnect()
        await loop().idle()
        assert (store.state.value.status, peer.live) == (Status.DISCONNECTED, [])


async def test_what_the_handshake_left_is_delivered_in_order_before_what_follows() -> None:
    class Late(Home):
        async def handshake(self, session: ProtocolSession) -> None:
            await session.recv(lambda envelope: envelope["type"] == "go")

    peer = ScriptedPeer()
    async with store_of(peer, Late()) as store:
        seen = record(store.messages)
        link = await peer.accepted()
        link.send('{"type": "a"}\x1e{"type": "go"}\x1e{"type": "b"}')
        await store.wait_connected()
        link.send({"type": "c"})
        await loop().idle()
        assert [message["type"] for message in seen] == ["a", "b", "c"]


async def test_the_token_of_a_login_is_in_no_header() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Home()):
        await peer.accepted()
        assert "authorization" not in {name.lower() for name, _ in peer.dials[0].headers}


async def test_a_frame_holds_several_messages_and_hidden_ones_are_seen_by_nobody() -> None:
    class Price(BaseModel):
        type: str
        price: float

    peer = ScriptedPeer()
    async with use_websocket(
        URL, transport=peer, protocol=Home(), access_token=TOKEN, message_type=Price
    ) as store:
        seen, errors = record(store.messages), record(store.errors)
        link = await peer.accepted()
        await admit(link)
        link.send('{"type": "p", "price": 1}\x1e{"type": "pong"}\x1e{"type": "p"}\x1e')
        link.send('{"type": "p", "price": 2}\x1e')
        link.send("no JSON")
        await loop().idle()
        assert [message.price for message in seen] == [1.0, 2.0]
        assert [type(error) for error in errors] == [InvalidMessage, InvalidMessage]
        assert "decode raised JSONDecodeError" in str(errors[1])
        assert (store.connected, store.stats.invalid) == (True, 2)


class Fill(BaseModel):
    topic: str
    data: Decimal


@pytest.mark.parametrize("own_decode", [False, True])
async def test_decimals_come_with_the_digits_of_the_frame(own_decode: bool) -> None:
    class Plain(SessionProtocol):
        channels = ChannelProtocol(match=Home.match, json_text=False)

    class Own(Plain):
        def decode(self, data: str | bytes, session: ProtocolSession) -> Iterable[Any]:
            return [json.loads(data, parse_float=Decimal)]

    peer = ScriptedPeer()
    own = Own() if own_decode else Plain()
    async with use_websocket(URL, transport=peer, protocol=own, message_type=Fill) as store:
        seen, link = record(store.messages), await peer.accepted()
        link.send('{"topic": "x", "data": 0.1000000000000000055}')
        await loop().idle()
        assert seen == [Fill(topic="x", data=Decimal("0.1000000000000000055"))]


async def test_decimals_of_a_typed_channel_come_with_the_digits_of_the_frame() -> None:
    class Plain(SessionProtocol):
        channels = ChannelProtocol(match=Home.match, json_text=False)

    peer = ScriptedPeer()
    async with store_of(peer, Plain()) as store:
        prices = record(store.channel("price", Decimal))
        messages, link = record(store.messages), await peer.accepted()
        link.send('{"topic": "price", "data": 1.10}')
        await loop().idle()
        assert [str(price) for price in prices] == ["1.10"]
        assert repr(messages) == "[{'topic': 'price', 'data': 1.1}]"
        assert isinstance(messages[0]["data"], float)


async def test_requests_find_their_answers_by_key_however_many_are_in_flight() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Home()) as store:
        link = await peer.accepted()
        await admit(link)
        requests = [store.request({"type": "ask", "n": n}) for n in range(1000)]
        await loop().idle()
        sent = link.received[1:]
        for message in reversed(sent):
            link.send({"type": "pong", "id": message["id"], "n": message["n"]})
        answers = [await request for request in requests]
        assert [answer["n"] for answer in answers] == list(range(1000))
        lost = store.request({"type": "ask"})
        await loop().idle()
        link.drop()
        with pytest.raises(RequestLost):
            await lost
        assert store._core._pending == {}


async def test_requests_with_one_key_get_their_answers_in_order() -> None:
    class ByMethod(SessionProtocol):
        def correlate(self, value: Any) -> Hashable | None:
            key: Hashable = value.get("method")
            return key

    peer = ScriptedPeer()
    async with store_of(peer, ByMethod()) as store:
        link = await peer.accepted()
        given_up = store.request({"method": "time", "n": 0}, timeout=1.0)
        requests = [store.request({"method": "time", "n": n}) for n in (1, 2)]
        with pytest.raises(WaitTimeout):
            await given_up
        for n in (1, 2):
            link.send({"method": "time", "answer": n})
        assert [(await request)["answer"] for request in requests] == [1, 2]
        assert store._core._pending == {}


async def test_a_request_without_match_needs_a_protocol_that_correlates() -> None:
    async with use_websocket(URL, transport=ScriptedPeer()) as store:
        with pytest.raises(ConfigurationError, match="match="):
            store.request({"type": "ask"})


async def test_a_prepare_that_raises_rejects_that_send_and_no_other() -> None:
    class Picky(SessionProtocol):
        def prepare(self, value: Any, session: ProtocolSession) -> Any:
            return {"n": value["n"]}

    peer = ScriptedPeer()
    async with store_of(peer, Picky()) as store:
        errors = record(store.errors)
        bad, good = store.send({"x": 1}), store.send({"n": 2})
        link = await peer.accepted()
        await loop().idle()
        assert (fate(bad), fate(good)) == ("rejected", "written")
        assert link.received == [{"n": 2}]
        assert [type(error) for error in errors] == [SendError]


async def test_a_unit_of_several_frames_goes_out_whole() -> None:
    class Framed(SessionProtocol):
        def encode(self, value: Any) -> tuple[str | bytes, ...]:
            return (json.dumps({"bytes": len(value)}), value)

    peer = ScriptedPeer()
    async with store_of(peer, Framed()) as store:
        link = await peer.accepted()
        await store.wait_connected()
        link.stall()
        big = b"x" * 1_000_000
        receipts = [store.send(big) for _ in range(3)]
        await loop().idle()
        assert [fate(receipt) for receipt in receipts].count("written") < 3
        link.resume()
        await loop().idle()
        assert link.received == [{"bytes": 1_000_000}, big] * 3


async def test_a_unit_goes_out_whole_where_its_first_frame_fills_the_socket() -> None:
    class Framed(SessionProtocol):
        def encode(self, value: Any) -> list[str]:
            return [f"{value} {part}" for part in range(3)]

    peer = ScriptedPeer()
    async with store_of(peer, Framed()) as store:
        link = await peer.accepted()
        await store.wait_connected()
        link.stall(after=1)
        first, second = store.send("first"), store.send("second")
        await loop().idle()
        assert (link.received, first.state, second.state) == (["first 0"], "queued", "queued")
        link.resume()
        await loop().idle()
        assert link.received == [
            f"{name} {part}" for name in ("first", "second") for part in range(3)
        ]
        assert (first.state, second.state) == ("written", "written")


async def test_what_is_behind_a_break_of_the_socket_never_arrives() -> None:
    class Framed(SessionProtocol):
        def encode(self, value: Any) -> list[str]:
            return [f"{value} {part}" for part in range(3)]

    peer = ScriptedPeer()
    async with store_of(peer, Framed()) as store:
        link = await peer.accepted()
        await store.wait_connected()
        link.stall(after=1)
        receipt = store.send("first")
        link.cut_after_frames(0)
        link.resume()
        await store.wait_for(lambda state: state.session == 2)
        assert (link.received, peer.links[1].received) == (["first 0"], [])
        assert receipt.state == "in_doubt"


async def test_channels_end_fail_and_are_asked_for_again_by_the_servers_word() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Home()) as store:
        events: list[Any] = []
        for name in ("one", "two", "three"):
            store.channel(name).subscribe(
                events.append,
                lambda error, name=name: events.append((name, str(error))),  # type: ignore[misc]
                lambda name=name: events.append((name, "completed")),  # type: ignore[misc]
            )
        link = await peer.accepted()
        await admit(link)
        del link.received[:]
        for word in ({"data": 1}, {"end": True}):
            link.send({"type": "channel", "topic": "one", **word})
        link.send({"type": "channel", "topic": "two", "error": "no such topic"})
        link.send({"type": "channel", "topic": "three", "again": True})
        await loop().idle()
        assert events == [1, ("one", "completed"), ("two", "no such topic")]
        assert [m["topic"] for m in link.received] == ["three"]
        store.channel("one").subscribe()
        await loop().idle()
        assert [m["topic"] for m in link.received] == ["three", "one"]
        link.drop()
        link = await peer.accepted()
        await admit(link)
        assert sorted(m["topic"] for m in link.received[1:]) == ["one", "three"]


async def test_a_match_that_raises_is_reported_and_the_connection_stays_open() -> None:
    class Strict(SessionProtocol):
        channels = ChannelProtocol(
            match=lambda message: (message["topic"], message), json_text=False
        )

    peer = ScriptedPeer()
    async with store_of(peer, Strict()) as store:
        errors, lamp = record(store.errors), record(store.channel("lamp"))
        link = await peer.accepted()
        await store.wait_connected()
        link.send({"secret": TOKEN})
        link.send({"topic": ["no", "name"]})
        link.send({"topic": "lamp"})
        await loop().idle()
        assert lamp == [{"topic": "lamp"}]
        assert [type(error) for error in errors] == [StoreError, StoreError]
        assert "match raised KeyError" in str(errors[0])
        assert store.connected


async def test_a_channel_that_nobody_observes_is_not_asked_for_again() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Home()) as store:
        observing = store.channel("one").subscribe()
        link = await peer.accepted()
        await admit(link)
        observing.dispose()
        await loop().idle()
        link.send({"type": "channel", "topic": "one", "again": True})  # it crossed the leaving
        await loop().idle()
        assert [m["type"] for m in link.received[1:]] == ["subscribe", "unsubscribe"]


async def test_a_channel_is_asked_for_again_once_however_often_the_server_says_so() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Home(), send_rate=(1, 1.0)) as store:
        store.channel("one").subscribe()
        link = await peer.accepted()
        await admit(link)
        for _ in range(2):
            link.send({"type": "channel", "topic": "one", "again": True})
        await asyncio.sleep(5)
        assert [m["type"] for m in link.received[1:]] == ["subscribe", "subscribe"]


async def test_a_channel_is_asked_for_before_what_is_sent_after_it() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, Home()) as store:
        link = await peer.accepted()
        await admit(link)
        store.channel("one").subscribe()
        store.send({"type": "push"})
        await loop().idle()
        assert [m["type"] for m in link.received[1:]] == ["subscribe", "push"]


async def test_many_channels_are_asked_for_in_one_message() -> None:
    class Batched(SessionProtocol):
        channels = ChannelProtocol(
            subscribe=lambda name: {"sub": [name]},
            subscribe_many=lambda names: {"sub": sorted(names)},
            match=lambda message: None,
        )

    peer = ScriptedPeer()
    async with store_of(peer, Batched()) as store:
        for name in "abc":
            store.channel(name).subscribe()
        link = await peer.accepted()
        await store.wait_connected()
        await loop().idle()
        assert link.received == [{"sub": ["a", "b", "c"]}]


async def test_a_rate_paces_subscriptions_and_sends_together() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer, send_rate=(2, 1.0)) as store:
        for name in "abc":
            store.channel(name).subscribe()
        receipts = [store.send({"n": n}) for n in range(3)]
        link = await peer.accepted()
        counts = []
        for _ in range(4):
            await asyncio.sleep(0.5)
            counts.append(len(link.received))
            await asyncio.sleep(0.5)
        assert counts == [2, 4, 6, 6]
        assert {fate(receipt) for receipt in receipts} == {"written"}


async def test_a_session_has_timers_and_expects_signs_of_life() -> None:
    class Beating(SessionProtocol):
        async def handshake(self, session: ProtocolSession) -> None:
            session.every(1.0, lambda: session.send({"beat": session.next_id()}), first=0.5)
            session.expect(2.5)

    peer = ScriptedPeer()
    async with store_of(peer, Beating()) as store:
        link = await peer.accepted()
        await store.wait_connected()
        await asyncio.sleep(2)
        link.send({"alive": True})
        await asyncio.sleep(2)
        assert store.connected
        assert link.received == [{"beat": 1}, {"beat": 2}, {"beat": 3}, {"beat": 4}]
        await store.wait_for(lambda state: state.status is Status.WAITING)
        assert "expected an envelope" in str(store.state.value.error)
    assert loop().timers == []


async def test_a_protocol_may_have_another_url_for_each_attempt() -> None:
    class Ticketed(SessionProtocol):
        async def endpoint(self, attempt: int) -> str | None:
            return None if attempt == 0 else f"ws://localhost/{attempt}?ticket=t{attempt}"

    peer = ScriptedPeer(Unreachable(), Refuse(503))
    async with store_of(peer, Ticketed()) as store:
        waits = store.send("waits")
        await store.wait_connected()
        await loop().idle()
        assert peer.dials[-1].url == "ws://localhost/2?ticket=t2"
        assert fate(waits) == "written"
        assert "t2" not in repr(store)


async def test_a_session_that_recovered_has_no_gap() -> None:
    class Resuming(SessionProtocol):
        recovers = True

        async def handshake(self, session: ProtocolSession) -> None:
            if session.number > 1 and self.recovers:
                session.recovered()

    peer, protocol = ScriptedPeer(), Resuming()
    async with store_of(peer, protocol) as store:
        order: list[Any] = []
        store.gaps.subscribe(lambda gap: order.append(gap.session))
        store.messages.subscribe(order.append)
        for session, recovers in ((1, True), (2, True), (3, False)):
            protocol.recovers = recovers
            link = await peer.accepted()
            await store.wait_for(lambda state, n=session: state.session == n)  # type: ignore[misc]
            await asyncio.sleep(0.1)
            link.send(f'"of {session}"')
            await loop().idle()
            link.drop()
        assert order == ["of 1", "of 2", 3, "of 3"]


async def test_a_planned_reconnection_has_the_callers_code_and_keeps_what_waits() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer, reconnect_delay=Backoff()) as store:
        link = await peer.accepted()
        await store.wait_connected()
        store.channel("gps").subscribe()
        await loop().idle()
        states = record(store.state)
        store.reconnect(4000, "resume")
        receipt = store.send("kept")
        await store.wait_connected()
        await loop().idle()
        assert [state.status for state in states[1:]] == ["connecting", "connected"]
        assert states[-1].session == 2
        assert (link.close_code, link.close_reason) == (4000, "resume")
        assert fate(receipt) == "written"
        assert peer.links[1].received == [{"type": "Subscribe", "channel": "gps"}, "kept"]
        for wrong in (1001, 1006, 2999, 5000):
            with pytest.raises(ConfigurationError, match="3000 to 4999"):
                store.reconnect(wrong)
        for no_text in (5, None, b"resume"):
            with pytest.raises(ConfigurationError, match="a reason that is a str"):
                store.reconnect(4000, no_text)  # type: ignore[arg-type]
        store.reconnect(4000, "\ud800 is not UTF-8")
        await store.wait_for(lambda state: state.session == 3)
        assert peer.links[1].close_reason == "? is not UTF-8"
        store.reconnect(4000, "long" * 100)
        await store.wait_for(lambda state: state.session == 4)
        assert peer.links[2].close_reason == ("long" * 31)[:123]


async def test_a_refusal_may_have_many_words() -> None:
    class Wordy(SessionProtocol):
        def receive(self, envelope: Any, session: ProtocolSession) -> Any:
            session.refuse("long" * 100)

    peer = ScriptedPeer()
    async with store_of(peer, Wordy()) as store:
        link = await peer.accepted()
        link.send({"n": 1})
        await store.wait_for(lambda state: state.status is Status.WAITING)
        assert link.close_reason == ("long" * 31)[:123]


@pytest.mark.parametrize("wrong", [{"code": 1005}, {"reason": 5}])
async def test_a_protocol_that_cannot_reconnect_so_is_reported_and_keeps_its_session(
    wrong: Any,
) -> None:
    class Restless(SessionProtocol):
        def receive(self, envelope: Any, session: ProtocolSession) -> Any:
            session.reconnect(**wrong)

    peer = ScriptedPeer()
    async with store_of(peer, Restless()) as store:
        errors, link = record(store.errors), await peer.accepted()
        link.send({"n": 1})
        await loop().idle()
        assert "receive raised ConfigurationError" in str(errors[0])
        assert (store.connected, link.live) == (True, True)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("turns", range(4))
async def test_a_reconnection_in_the_moment_of_the_peers_end_opens_the_next_session(
    overlap: bool, turns: int
) -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer, reconnect_delay=lambda _: 1.0) as store:
        link = await peer.accepted()
        await store.wait_connected()
        link.drop()
        for _ in range(turns):
            await asyncio.sleep(0)
        store.reconnect(4000, "resume", overlap=overlap)
        await store.wait_for(lambda state: state.session == 2)
        assert store.connected
