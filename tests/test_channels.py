"""Channels: one subscription on the socket, whatever observers, drops and reconnections do."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from reactivex import operators as ops
from reactivex.abc import DisposableBase

from heimdall_reactive import (
    ChannelMessage,
    ChannelProtocol,
    ConfigurationError,
    ConnectionState,
    Ended,
    Failed,
    InvalidMessage,
    ObserverError,
    ServerError,
    Status,
    StoreError,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.connecting.codec import InvalidUtf8
from heimdall_reactive.devserver import DevServer
from heimdall_reactive.testing import Link, ScriptedPeer, run

from . import support
from .support import record
from .virtual import URL, loop
from .virtual import steady_store_of as store_of


def on(channel: str, data: str) -> dict[str, str]:
    return {"type": "Message", "channel": channel, "data": data}


def said(link: Link) -> list[Any]:
    return [f"{m['type']} {m['channel']}" if "channel" in m else m for m in link.received]


@pytest.mark.heimdall_virtual_time
async def test_observers_of_a_name_share_one_subscription_and_the_last_to_leave_ends_it() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        gps = store.channel("gps")
        seen: list[list[Any]] = [[], []]
        first = gps.subscribe(seen[0].append)
        await store.wait_connected()
        second = store.channel("gps").subscribe(seen[1].append)
        link = peer.links[0]
        link.send(on("gps", '{"x": 1}'))
        link.send(on("stats", '{"x": 2}'))
        await loop().idle()
        first.dispose()
        await loop().idle()
        assert said(link) == ["Subscribe gps"]
        link.send(on("gps", "[3]"))
        await loop().idle()
        second.dispose()
        await loop().idle()
        assert said(link) == ["Subscribe gps", "Unsubscribe gps"]
        assert seen == [[{"x": 1}], [{"x": 1}, [3]]]


@pytest.mark.heimdall_virtual_time
async def test_a_reconnection_subscribes_before_the_queue_and_none_leaves_without_socket() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, access_token="t", token_placement="first_message") as store:
        subscriptions = [store.channel(name).subscribe() for name in ("a", "b", "c")]
        await store.wait_connected()
        await loop().idle()
        peer.links[0].drop()
        await store.wait_for(lambda s: s.status is Status.WAITING)
        store.send({"type": "queued"})
        subscriptions.pop().dispose()  # no socket: nobody is told
        store.channel("d").subscribe()
        await store.wait_for(lambda s: s.session == 2)
        await loop().idle()
        assert said(peer.links[0])[1:] == ["Subscribe a", "Subscribe b", "Subscribe c"]
        auth, *rest = said(peer.links[1])
        assert auth["type"] == "Auth"
        assert rest == ["Subscribe a", "Subscribe b", "Subscribe d", {"type": "queued"}]


@pytest.mark.heimdall_virtual_time
async def test_coming_and_going_at_once_tells_the_server_nothing() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        for _ in range(5):
            store.channel("gps").subscribe().dispose()
        await loop().idle()
        assert peer.links[0].received == []
        kept = store.channel("gps").subscribe()
        await loop().idle()
        assert said(peer.links[0]) == ["Subscribe gps"]
        kept.dispose()


@pytest.mark.heimdall_virtual_time
async def test_leaving_and_joining_in_one_turn_asks_for_a_new_snapshot() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        book = store.channel("book").subscribe()
        await loop().idle()
        book.dispose()
        again = store.channel("book").subscribe()
        await loop().idle()
        store.resubscribe("book")
        store.resubscribe("nobody observes this one")
        await loop().idle()
        asked = ["Unsubscribe book", "Subscribe book"]
        assert said(peer.links[0]) == ["Subscribe book", *asked, *asked]
        again.dispose()


@pytest.mark.heimdall_virtual_time
async def test_a_book_with_a_hole_and_a_late_observer_both_get_a_snapshot() -> None:
    def answer(link: Link, message: Any) -> None:
        if message["type"] == "Subscribe":
            link.send(on(message["channel"], '"snapshot"'))

    peer = ScriptedPeer(on_message=answer)
    async with store_of(peer) as store:
        await store.wait_connected()
        book = store.channel("book")
        first = record(book)
        half_read = book.subscribe()
        await loop().idle()
        peer.links[0].send(on("book", "2"))  # 1 is missing
        await loop().idle()
        half_read.dispose()
        book.subscribe()  # `first` observes it all the time: the server is told nothing
        await loop().idle()
        assert said(peer.links[0]) == ["Subscribe book"]
        late = record(book)
        store.resubscribe("book")
        await loop().idle()
        assert (first, late) == (["snapshot", 2, "snapshot"], ["snapshot"])


@pytest.mark.heimdall_virtual_time
async def test_a_rate_lets_sixty_channels_come_back_after_every_drop() -> None:
    times: list[float] = []

    def in_session(number: int, state: ConnectionState) -> bool:
        return state.session == number

    def limit(link: Link, message: Any) -> None:
        times.append(loop().time())
        if sum(times[-1] - 1 < time for time in times) > 5:
            link.close(1008, "too many requests")

    names = [f"c{n}" for n in range(60)]
    peer = ScriptedPeer(on_message=limit)
    async with use_websocket(URL, transport=peer, send_rate=(5, 1.0), reconnect_delay=3) as store:
        for name in names:
            store.channel(name).subscribe()
        for session in (1, 2, 3):
            await store.wait_for(partial(in_session, session))
            await asyncio.sleep(15)
            assert said(peer.links[-1]) == [f"Subscribe {name}" for name in names]
            assert store.state.value.session == session
            peer.links[-1].drop()


class Place(BaseModel):
    x: int


@pytest.mark.heimdall_virtual_time
async def test_the_payload_is_decoded_and_validated_per_type() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        errors = record(store.errors)
        typed = record(store.channel("gps", Place))
        plain = record(store.channel("gps"))
        await store.wait_connected()
        link = peer.links[0]
        for data in ('{"x": 1}', '{"x": "one"}', "no JSON", '{"x": 2}'):
            link.send(on("gps", data))
        await loop().idle()
        assert typed == [Place(x=1), Place(x=2)]
        assert plain == [{"x": 1}, {"x": "one"}, {"x": 2}]
        assert [type(error) for error in errors] == [InvalidMessage] * 3
        assert said(link) == ["Subscribe gps"]
        assert store.connected


@pytest.mark.heimdall_virtual_time
async def test_a_servers_complaint_is_reported_and_ends_nothing() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        errors, seen = record(store.errors), record(store.channel("secret"))
        await store.wait_connected()
        peer.links[0].send({"type": "Error", "message": "not allowed\r\nx"})
        peer.links[0].send(on("secret", "1"))
        await loop().idle()
        (error,) = errors
        assert isinstance(error, ServerError)
        assert error.complaint == "not allowed??x"
        assert seen == [1]


def test_other_servers_have_other_words() -> None:
    words = ChannelProtocol(
        subscribe=lambda name: {"op": "sub", "args": [name]},
        unsubscribe=lambda name: {"op": "unsub", "args": [name]},
        match=lambda m: (m["topic"], m["body"]) if isinstance(m, dict) and "topic" in m else None,
        json_text=False,
    )

    async def main() -> None:
        peer = ScriptedPeer()
        async with store_of(peer, channel_protocol=words, message_type=Any) as store:
            seen = record(store.channel("t", Place))
            plain = store.channel("t").subscribe(seen.append)
            errors = record(store.errors)
            await store.wait_connected()
            peer.links[0].send({"topic": "t", "body": {"x": 1}})
            peer.links[0].send({"topic": "t", "body": {"x": None}})
            peer.links[0].send({"topic": "u", "body": {"x": 3}})
            await loop().idle()
            assert seen == [Place(x=1), {"x": 1}, {"x": None}]
            (error,) = errors
            assert str(error).endswith("x: Input should be a valid integer")
            with pytest.raises(ConfigurationError, match="message_type must be a type"):
                store.channel("t", "Place")
            plain.dispose()
            assert peer.links[0].received == [{"op": "sub", "args": ["t"]}]

    run(main)


@pytest.mark.heimdall_virtual_time
async def test_a_channel_ends_with_its_store() -> None:
    peer = ScriptedPeer()
    store = store_of(peer)
    ends: list[str] = []
    gps = store.channel("gps")
    gps.subscribe(on_completed=lambda: ends.append("observed"))
    await store.wait_connected()
    await store.aclose()
    gps.subscribe(on_completed=lambda: ends.append("late"))
    store.channel("new").subscribe(on_completed=lambda: ends.append("new"))
    assert ends == ["observed", "late", "new"]
    assert said(peer.links[0]) == ["Subscribe gps"]  # none to leave: the socket is gone


@pytest.mark.heimdall_virtual_time
async def test_ten_thousand_channels_are_told_of_once_and_dispatched_by_name() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        seen: list[Any] = []
        for n in range(10_000):
            store.channel(f"user:{n}").subscribe(seen.append)
        await loop().idle()
        link = peer.links[0]
        assert len(link.received) == len(set(said(link))) == 10_000
        for n in (0, 5000, 9999):
            link.send(on(f"user:{n}", str(n)))
        await loop().idle()
        assert seen == [0, 5000, 9999]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from("abc")),
        st.tuples(st.just("leave"), st.sampled_from("abc")),
        st.tuples(st.sampled_from(["drop", "idle", "wait", "stall", "resume"]), st.just("")),
        st.tuples(st.sampled_from(["disconnect", "connect"]), st.just("")),
    ),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_the_servers_set_is_the_clients_and_no_unsubscribe_is_too_many(
    steps: list[tuple[str, str]],
) -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        async with store_of(peer, max_reconnect_attempts=None) as store:
            joined: dict[str, list[DisposableBase]] = {"a": [], "b": [], "c": []}
            for step, name in steps:
                await take(store, peer, joined, step, name)
            if peer.link is not None:
                peer.link.resume()
            await asyncio.sleep(60)
            store.connect()
            await store.wait_for(lambda s: s.is_connected)
            await loop().idle()
            for link in peer.links:
                assert server_set(link) is not None
            assert server_set(peer.links[-1]) == {name for name, held in joined.items() if held}

    run(main)


async def take(
    store: WebSocketStore[Any],
    peer: ScriptedPeer,
    joined: dict[str, list[DisposableBase]],
    step: str,
    name: str,
) -> None:
    if step == "join":
        joined[name].append(store.channel(name).subscribe())
    elif step == "leave" and joined[name]:
        joined[name].pop().dispose()
    elif step in ("drop", "stall", "resume") and peer.link is not None:
        getattr(peer.link, step)()
    elif step in ("connect", "disconnect"):
        getattr(store, step)()
    elif step == "idle":
        await loop().idle()
    elif step == "wait":
        await asyncio.sleep(60)


def server_set(link: Link) -> set[str]:
    """Replay what the store told the server; each step must change something."""
    there: set[str] = set()
    for message in link.received:
        name = message["channel"]
        if message["type"] == "Subscribe":
            assert name not in there, "subscribed twice"
            there.add(name)
        else:
            assert name in there, "an Unsubscribe too many"
            there.discard(name)
    return there


def test_channels_over_a_real_server_and_a_drop() -> None:
    async def main() -> None:
        async with (
            DevServer(require_token=False) as server,
            use_websocket(server.url + "/v1/ws", reconnect_delay=0.02) as store,
        ):
            seen: asyncio.Queue[Place] = asyncio.Queue()
            store.channel("gps", Place).subscribe(seen.put_nowait)
            raw = record(store.messages.pipe(ops.filter(lambda m: isinstance(m, ChannelMessage))))
            await store.wait_connected(8)
            await server.wait_for_message(lambda m: "Subscribe" in str(m))
            assert server.publish("gps", {"x": 1}) == 1
            assert await asyncio.wait_for(seen.get(), 8) == Place(x=1)
            server.drop()
            # Delivered to one: the store has subscribed again.
            await server.wait_until(lambda: server.publish("gps", {"x": 2}) == 1)
            assert await asyncio.wait_for(seen.get(), 8) == Place(x=2)
            assert len(raw) == 2

    support.run(main)


def test_a_subscription_from_another_thread_reaches_the_socket() -> None:
    async def main() -> None:
        async with (
            DevServer(require_token=False) as server,
            use_websocket(server.url + "/v1/ws") as store,
        ):
            await store.wait_connected(8)
            subscription = await asyncio.to_thread(store.channel("gps").subscribe)
            await server.wait_for_message(lambda m: "Subscribe" in str(m))
            await asyncio.to_thread(subscription.dispose)
            await server.wait_for_message(lambda m: "Unsubscribe" in str(m))

    support.run(main)


def test_a_protocol_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="a ChannelProtocol"):
        use_websocket(URL, channel_protocol="mine")  # type: ignore[call-overload]


@pytest.mark.heimdall_virtual_time
async def test_a_channel_that_comes_and_goes_behind_a_full_socket_waits_as_one_frame() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        peer.links[0].stall(after=1)
        store.send("fills the socket")
        await loop().idle()
        for _ in range(50):
            subscription = store.channel("gps").subscribe()
            await loop().idle()
            subscription.dispose()
            await loop().idle()
        kept = store.channel("gps").subscribe()
        await loop().idle()
        peer.links[0].resume()
        await loop().idle()
        assert said(peer.links[0]) == ["fills the socket", "Subscribe gps"]
        kept.dispose()


def test_an_observer_may_disconnect_while_a_channels_words_fail_on_a_new_socket() -> None:
    def broken(name: str) -> Any:
        raise ValueError(name)

    async def main() -> None:
        peer = ScriptedPeer()
        words = ChannelProtocol(subscribe=broken)
        async with store_of(peer, channel_protocol=words) as store:
            seen = record(store.state)
            store.errors.subscribe(lambda _: store.disconnect())
            store.channel("gps").subscribe()
            await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 8)
            await loop().idle()
            assert [state.status for state in seen] == ["connecting", "disconnected"]
            assert not peer.live

    run(main)


@pytest.mark.heimdall_virtual_time
async def test_a_channel_that_is_left_and_joined_later_is_delivered_again() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        assert store.channel("gps", Place) is store.channel("gps", Place)
        for n in (1, 2):
            assert store.last_message.observers == []
            seen: list[Any] = []
            subscription = store.channel("gps").subscribe(seen.append)
            await loop().idle()
            peer.links[0].send(on("gps", str(n)))
            await loop().idle()
            assert seen == [n]
            subscription.dispose()
            await loop().idle()
        assert said(peer.links[0]) == ["Subscribe gps", "Unsubscribe gps"] * 2


@pytest.mark.heimdall_virtual_time
async def test_without_a_socket_nothing_is_asked_for_again() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        store.channel("gps").subscribe()
        await store.wait_connected()
        await loop().idle()
        peer.links[0].drop()
        await store.wait_for(lambda state: state.status is Status.WAITING)
        store.resubscribe("gps")
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert said(peer.links[1]) == ["Subscribe gps"]


def batched(**options: Any) -> ChannelProtocol:
    return ChannelProtocol(
        subscribe=lambda name: {"sub": name},
        unsubscribe=lambda name: {"unsub": name},
        match=lambda message: None,
        **options,
    )


@pytest.mark.heimdall_virtual_time
async def test_one_message_asks_for_several_channels_and_each_is_left_alone() -> None:
    peer = ScriptedPeer()
    words = batched(subscribe_many=lambda names: {"sub": list(names)})
    async with store_of(peer, channel_protocol=words) as store:
        first, second = (store.channel(name).subscribe() for name in "ab")
        await store.wait_connected()
        await loop().idle()
        first.dispose()
        await loop().idle()
        assert peer.links[0].received == [{"sub": ["a", "b"]}, {"unsub": "a"}]
        peer.links[0].drop()
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert peer.links[1].received == [{"sub": "b"}]  # alone it has its own message
        second.dispose()


@pytest.mark.heimdall_virtual_time
async def test_words_that_fail_are_reported_and_say_nothing() -> None:
    def broken(name: object) -> Any:
        raise KeyError(name)

    peer = ScriptedPeer()
    words = ChannelProtocol(
        subscribe=lambda name: {"sub": name}, unsubscribe=broken, subscribe_many=broken
    )
    async with store_of(peer, channel_protocol=words) as store:
        errors = record(store.errors)
        await store.wait_connected()
        kept = [store.channel(name).subscribe() for name in "ab"]
        await loop().idle()
        store.resubscribe("a")
        await loop().idle()
        assert peer.links[0].received == [{"sub": "a"}, {"sub": "b"}]
        told = "the option channel_protocol raised KeyError; fix it"
        assert [str(error) for error in errors] == [told]
        peer.links[0].drop()
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert peer.links[1].received == []
        assert [str(error) for error in errors] == [told] * 2
        for subscription in kept:
            subscription.dispose()


@pytest.mark.heimdall_virtual_time
async def test_an_observer_that_raises_at_the_end_of_its_channel_is_reported() -> None:
    def broken(error: Exception | None = None) -> None:
        raise LookupError(error)

    peer = ScriptedPeer()
    words = ChannelProtocol(
        match=lambda m: (m["topic"], Failed(StoreError("no")) if m.get("bad") else Ended())
    )
    async with store_of(peer, channel_protocol=words, message_type=Any) as store:
        errors, ends = record(store.errors), list[str]()
        for name in ("one", "two"):
            channel = store.channel(name)
            channel.subscribe(on_completed=broken, on_error=broken)
            channel.subscribe(
                on_completed=lambda: ends.append("completed"),
                on_error=lambda error: ends.append(str(error)),
            )
        await store.wait_connected()
        peer.links[0].send({"topic": "one"})
        peer.links[0].send({"topic": "two", "bad": True})
        await loop().idle()
        assert ends == ["completed", "no"]
        assert [type(error) for error in errors] == [ObserverError] * 2
        assert {getattr(error, "subject", None) for error in errors} == {"one", "two"}


@pytest.mark.heimdall_virtual_time
async def test_a_payload_that_no_frame_could_hold_is_reported() -> None:
    peer = ScriptedPeer()
    words = ChannelProtocol(match=lambda message: ("odd", "\ud800"))
    async with store_of(peer, channel_protocol=words) as store:
        errors, seen = record(store.errors), record(store.channel("odd"))
        await store.wait_connected()
        peer.links[0].send([1])
        await loop().idle()
        assert seen == []
        assert [type(error) for error in errors] == [InvalidUtf8]


@pytest.mark.heimdall_virtual_time
async def test_a_channel_that_was_left_without_a_socket_is_asked_for_when_it_is_joined() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        subscription = store.channel("gps").subscribe()
        await store.wait_connected()
        await loop().idle()
        peer.links[0].drop()
        await store.wait_for(lambda state: state.status is Status.WAITING)
        subscription.dispose()
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert said(peer.links[1]) == []
        store.channel("gps").subscribe()
        await loop().idle()
        assert said(peer.links[1]) == ["Subscribe gps"]


@pytest.mark.heimdall_virtual_time
async def test_a_channel_that_the_server_ended_is_not_asked_for_on_the_next_socket() -> None:
    peer = ScriptedPeer()
    words = ChannelProtocol(match=lambda message: ("gps", Ended()))
    async with store_of(peer, channel_protocol=words) as store:
        store.channel("gps").subscribe()
        await store.wait_connected()
        peer.links[0].send([1])
        await loop().idle()
        peer.links[0].drop()
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert said(peer.links[1]) == []


@pytest.mark.heimdall_virtual_time
async def test_a_type_without_a_hash_has_a_channel_of_its_own_each_time() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        odd: Any = Annotated[int, []]
        channels = [store.channel("n", odd) for _ in range(2)]
        assert channels[0] is not channels[1]
        seen = [record(channel) for channel in channels]
        await store.wait_connected()
        peer.links[0].send(on("n", "1"))
        await loop().idle()
        assert seen == [[1], [1]]
        assert said(peer.links[0]) == ["Subscribe n"]
