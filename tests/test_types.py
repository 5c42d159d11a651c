"""The types that users see; `mypy --strict` and basedpyright check this file, pytest runs it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Literal, assert_type

from pydantic import BaseModel
from reactivex import Observable
from reactivex.subject import BehaviorSubject

from heimdall_reactive import (
    AccountBanned,
    CloseInfo,
    Command,
    ConnectionState,
    ConsumerStats,
    Delivery,
    MessageIterator,
    Pong,
    Receipt,
    Request,
    RolesUpdated,
    ServerMessage,
    State,
    Stats,
    StoreError,
    Trigger,
    Waiter,
    WebSocketClient,
    WebSocketStore,
    create_websocket,
    use_websocket,
)
from heimdall_reactive.consuming.consumers import AsyncHandler
from heimdall_reactive.consuming.hops import Hop, QueueHop, loop_hop
from heimdall_reactive.consuming.streams import MessageStream
from heimdall_reactive.consuming.views import StoreView
from heimdall_reactive.recording import Recorder, record, replay
from heimdall_reactive.testing import ScriptedPeer
from heimdall_reactive.testing import run as virtually

from .support import run


class A(BaseModel):
    type: Literal["a"] = "a"


class B(BaseModel):
    type: Literal["b"] = "b"


async def test_a_store_is_typed_by_its_messages() -> None:
    union = use_websocket("ws://127.0.0.1:9", message_type=A | B, immediate=False)
    raw = use_websocket("ws://127.0.0.1:9", message_type=str | bytes, immediate=False)
    mapping = use_websocket("ws://127.0.0.1:9", message_type=dict[str, int], immediate=False)
    server = use_websocket("ws://127.0.0.1:9", message_type=ServerMessage, immediate=False)
    shared = use_websocket("/v1/ws", message_type=A, share=True, share_linger=0, immediate=False)
    plain = use_websocket("/v1/ws", immediate=False)
    assert_type(union, WebSocketStore[A | B])
    assert_type(raw, WebSocketStore[str | bytes])
    assert_type(mapping, WebSocketStore[dict[str, int]])
    assert_type(shared, WebSocketStore[A])
    assert_type(union.last_message.value, A | B | None)
    assert_type(union.messages, Observable[A | B])
    assert_type(union.messages_of(A), Observable[A])
    assert_type(union.messages_of(A, B), Observable[A | B])
    assert_type(
        plain.messages_of(AccountBanned, RolesUpdated), Observable[AccountBanned | RolesUpdated]
    )
    assert_type(
        plain.messages_of(AccountBanned, RolesUpdated, Pong),
        Observable[AccountBanned | RolesUpdated | Pong],
    )
    assert_type(union.send(A()), Receipt)
    assert_type(union.channel("c", A | B), Observable[A | B])
    assert_type(union.channel("c"), Observable[Any])
    request = union.request(A(), match=lambda message: True)
    assert_type(request, Request[A | B])
    request.subscribe(on_error=lambda error: None)  # one that nobody looks at warns
    assert_type(union.errors, Observable[StoreError])
    assert_type(union.history(3), Observable[A | B])
    assert_type(union.stats_every(1.0), Observable[Stats])
    assert_type(union.transitions, Observable[tuple[ConnectionState, ConnectionState]])
    assert_type(union.connected, bool)
    assert_type(plain, WebSocketStore[Any])
    assert_type(server, WebSocketStore[ServerMessage])
    prices: list[float] = []
    plain.messages.subscribe(lambda message: prices.append(message["price"]))
    waiter = union.wait_for(lambda state: True)
    assert_type(waiter, Waiter)
    await waiter
    assert_type(union.connect, Trigger)
    assert_type(union.send, Command[Any, Receipt])
    assert_type(union.is_connected.value, bool)
    assert_type(union.latency.value, float | None)
    assert_type(union.select(lambda state: state.session), State[int])
    subject: BehaviorSubject[bool] = union.is_connected
    assert subject.value is False
    for store in (union, raw, mapping, server, plain, shared):
        await store.aclose()


def test_consumers_are_typed_by_the_messages() -> None:
    async def main() -> None:
        peer = ScriptedPeer()
        store = use_websocket("ws://localhost/v1/ws", message_type=A | B, transport=peer)

        async def take(message: A | B) -> None: ...

        async def look(state: ConnectionState) -> None: ...

        handler = store.on_message(take, concurrency=2, overflow="drop_newest")
        assert_type(handler, AsyncHandler[A | B])
        assert_type(store.on_each(store.state, look), AsyncHandler[ConnectionState])
        stream = store.stream(maxsize=10, overflow="latest")
        assert_type(stream, MessageStream[A | B])
        view = store.observe_on(loop_hop())
        assert_type(view, StoreView[A | B])
        assert_type(view.messages, Observable[A | B])
        assert_type(view.last_message.value, A | B | None)
        assert_type(view.select(lambda state: state.session), State[int])
        assert_type(view.send(A()), Receipt)
        assert_type(store.stats.consumers, tuple[ConsumerStats, ...])
        (await peer.accepted()).send({"type": "b"})
        async for message in stream:
            assert_type(message, A | B)
            break
        await store.aclose()
        async for message in store.stream():  # in one line, as users write it
            assert_type(message, A | B)

    def send_soon() -> None: ...

    hop: Hop = QueueHop()
    hop(send_soon)
    virtually(main)


def test_an_iteration_is_typed_by_the_messages() -> None:
    with use_websocket("ws://127.0.0.1:9", message_type=A | B, immediate=False) as store:
        messages = store.iterate(timeout=1.0)
        assert_type(messages, MessageIterator[A | B])
        store.close()
        for message in messages:
            assert_type(message, A | B)


def test_waits_and_receipts_give_what_they_wait_for() -> None:
    async def main(store: WebSocketStore[Any]) -> None:
        assert_type(await store.wait_connected(), ConnectionState)
        assert_type(store.wait_for(lambda s: s.session > 1).result(1.0), ConnectionState)
        assert_type(await store.send("x"), Receipt)
        assert_type(store.send("x").result(1.0), Receipt)
        assert_type(store.send("x").delivered(), Delivery)
        assert_type(await store.send("x").delivered(timeout=1.0), Receipt)
        assert_type(store.send("x").delivered().result(1.0), Receipt)

    assert inspect.iscoroutinefunction(main)


def test_a_replay_is_typed_by_its_messages(tmp_path: Path) -> None:
    path = tmp_path / "recording"

    async def main() -> None:
        async with use_websocket("ws://127.0.0.1:9", immediate=False) as store:
            recorder = record(store, path)
            assert_type(recorder, Recorder)
            recorder.close()
        union = replay(path, message_type=A | B)
        server = replay(str(path), 2.0, message_type=ServerMessage)
        plain = replay(path, speed="instant")
        assert_type(union, WebSocketStore[A | B])
        assert_type(server, WebSocketStore[ServerMessage])
        assert_type(plain, WebSocketStore[Any])
        for replayed in (union, server, plain):
            await replayed.aclose()

    run(main)


async def test_a_client_types_its_handlers() -> None:
    def opened(state: ConnectionState) -> None: ...

    async def got(message: A) -> None: ...

    def closed(close: CloseInfo) -> None: ...

    client = create_websocket(
        "ws://127.0.0.1:9",
        message_type=A,
        on_open=opened,
        on_message=got,
        on_close=closed,
        on_error=lambda: None,
        immediate=False,
    )
    assert_type(client, WebSocketClient[A])
    await client.aclose()
