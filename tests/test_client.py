from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import (
    CloseInfo,
    ConnectionLost,
    InvalidMessage,
    ObserverError,
    create_websocket,
)
from heimdall_reactive.devserver import DEMO_TOKEN, DevServer, serve_in_thread
from tests.support import SENT

from .peers import peer
from .support import record, threads, until


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


async def test_the_callbacks_of_a_life() -> None:
    events: list[Any] = []
    async with (
        DevServer() as server,
        create_websocket(
            f"{server.url}/v1/ws/user",
            access_token=DEMO_TOKEN,
            reconnect_delay=0.02,
            on_open=lambda: events.append("open"),
            on_message=lambda m: events.append(m.type),
            on_close=events.append,
            on_error=lambda e: events.append(type(e)),
        ) as client,
    ):
        await client.socket.wait_connected(8)
        assert client.is_open
        await server.wait_for_connections(1)
        server.fire("rolesUpdated")
        server.send_raw("{")
        await until(client.socket, lambda: InvalidMessage in events)
        server.drop(1012)
        await client.socket.wait_for(lambda s: s.session == 2, 8)
        assert (await client.send({"type": "Ping"})).state in SENT
    assert not client.is_open
    lost, end = (e for e in events if isinstance(e, CloseInfo))
    assert (lost.code, lost.who) == (1012, "server")
    assert (end.code, end.who) == (1000, "client")
    flow = [e for e in events if not isinstance(e, CloseInfo)]
    assert flow[:5] == ["open", "rolesUpdated", InvalidMessage, ConnectionLost, "open"]


async def test_a_handler_that_was_disposed_is_not_called() -> None:
    async with peer(echo) as url, create_websocket(url, message_type=int) as client:
        seen: list[Any] = []
        handle = client.on_message(seen.append)
        other = record(client.socket.messages)
        await client.socket.wait_connected(8)
        await client.send(1)
        await until(client.socket, lambda: other == [1])
        handle.dispose()
        await client.send(2)
        await until(client.socket, lambda: other == [1, 2])
        assert seen == [1]


async def test_on_open_is_called_at_once_where_it_is_open() -> None:
    async with peer(echo) as url, create_websocket(url, message_type=int) as client:
        await client.socket.wait_connected(8)
        sessions: list[int] = []
        client.on_open(lambda state: sessions.append(state.session))
        assert sessions == [1]


async def test_async_handlers_are_awaited_in_order_and_their_errors_reported() -> None:
    async with peer(echo) as url, create_websocket(url, message_type=int) as client:
        seen: list[int] = []
        errors = record(client.socket.errors)
        done = asyncio.Event()

        async def slow(message: int) -> None:
            await asyncio.sleep(0.01 if message % 2 else 0)
            if message == 3:
                raise ValueError
            seen.append(message)
            if message == 5:
                done.set()

        client.on_message(slow)
        await client.socket.wait_connected(8)
        for n in range(6):
            client.send(n)
        await asyncio.wait_for(done.wait(), 8)
        assert seen == [0, 1, 2, 4, 5]
        assert [type(e) for e in errors] == [ObserverError]


async def test_an_async_handler_that_is_too_slow_is_bounded_and_counted() -> None:
    async with peer(echo) as url, create_websocket(url, message_type=int) as client:
        gate, first, last = asyncio.Event(), asyncio.Event(), asyncio.Event()
        seen: list[int] = []

        async def stuck(message: int) -> None:
            seen.append(message)
            first.set()
            await gate.wait()
            if message == 1999:
                last.set()

        client.on_message(stuck)
        hot = record(client.socket.messages)
        await client.socket.wait_connected(8)
        client.send(0)
        await asyncio.wait_for(first.wait(), 8)
        for n in range(1, 2000):
            await client.send(n)
        await until(client.socket, lambda: len(hot) == 2000)
        assert client.dropped == 1999 - 1024
        gate.set()
        await asyncio.wait_for(last.wait(), 8)
        assert len(seen) == 1 + 1024


def test_a_synchronous_program_has_callbacks_too() -> None:
    got = threading.Event()

    async def handler(message: Any) -> None:
        got.set()

    with (
        serve_in_thread(echo=True) as server,
        create_websocket(f"{server.url}/v1/ws/status", on_message=handler) as client,
    ):
        client.socket.wait_connected(8).result()
        client.send("1").result(8)
        assert got.wait(8)


@pytest.mark.parametrize("handler", [5, lambda socket, message: None])
def test_what_no_handler_can_be_is_refused_and_leaves_nothing(handler: Any) -> None:
    before = threads()
    with pytest.raises(TypeError, match="on_message takes a function"):
        create_websocket("ws://127.0.0.1:9", on_message=handler)
    assert threads() == before
