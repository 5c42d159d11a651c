"""The example for GraphQL against a strict peer, and against the npm server `graphql-ws`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from examples.protocols.graphql_ws import GraphQL
from heimdall_reactive import Status, StoreError, WebSocketStore, use_websocket
from heimdall_reactive.testing import FaultProxy, Reset
from tests.peers import peer
from tests.support import beyond_doubt, record

from .programs import node

TOKEN = "long-lived"
TICKS = "subscription { ticks }"
ONCE = "subscription { once }"
WRONG = "subscription { nothing }"


class Service:
    """Closes with the code of the text whatever comes before its time, twice, or unknown."""

    subprotocol = Subprotocol("graphql-transport-ws")

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.running: dict[str, str] = {}  # operations of the newest socket, by their ids
        self.seen: list[list[str]] = []  # ids of each session, in the order of the wire
        self.left: list[str] = []
        self.pongs = 0
        self.codes: list[int] = []
        self.acknowledged = False

    async def __call__(self, socket: ServerConnection) -> None:
        self.running, self.acknowledged = {}, False
        self.sockets.append(socket)
        self.seen.append([])
        async with asyncio.TaskGroup() as group:
            with suppress(ConnectionClosed):
                await self.hear(socket, group)

    async def hear(self, socket: ServerConnection, group: asyncio.TaskGroup) -> None:
        begun = False
        async for text in socket:
            match json.loads(text):
                case {"type": "connection_init"} if begun:
                    await self.refuse(socket, 4429, "too many")
                case {"type": "connection_init", "payload": payload}:
                    if payload != {"Authorization": f"Bearer {TOKEN}"}:
                        await self.refuse(socket, 4403, "Forbidden")
                    begun = True
                    group.create_task(self.admit(socket))
                case {"type": "subscribe"} if not self.acknowledged:
                    await self.refuse(socket, 4401, "Unauthorized")
                case {"type": "subscribe", "id": str(number)} if number in self.running:
                    await self.refuse(socket, 4409, "already exists")
                case {"type": "subscribe", "id": str(number), "payload": {"query": query}}:
                    self.seen[-1].append(number)
                    await self.operate(number, query)
                case {"type": "complete", "id": str(number)}:
                    self.left.append(number)
                    self.running.pop(number, None)
                case {"type": "pong"}:
                    self.pongs += 1
                case _:
                    await self.refuse(socket, 4400, "unknown")

    async def refuse(self, socket: ServerConnection, code: int, reason: str) -> None:
        self.codes.append(code)
        await socket.close(code, reason)

    async def admit(self, socket: ServerConnection) -> None:
        await (await socket.ping())  # behind its answer nothing is under way
        self.acknowledged = True
        await socket.send('{"type": "connection_ack"}')
        await socket.send('{"type": "ping"}')

    async def operate(self, number: str, query: str) -> None:
        self.running[number] = query
        if query == WRONG:
            del self.running[number]
            await self.say(number, "error", [{"message": "no such field"}])
        elif not query.startswith("subscription"):
            await self.say(number, "next", {"data": query})
            await self.say(number, "complete")
            del self.running[number]

    async def say(self, number: str, word: str, payload: Any = None) -> None:
        message = {"id": number, "type": word}
        if payload is not None:
            message["payload"] = payload
        await self.sockets[-1].send(json.dumps(message))

    async def publish(self, query: str, data: Any) -> None:
        for number, running in self.running.items():
            if running == query:
                await self.say(number, "next", {"data": data})

    async def end(self, query: str) -> None:
        for number in [number for number, running in self.running.items() if running == query]:
            del self.running[number]
            await self.say(number, "complete")


def store_of(url: str, token: str = TOKEN) -> WebSocketStore[Any]:
    options: Any = {"access_token": token, "message_type": Any, "reconnect_delay": 0.01}
    return use_websocket(url, protocol=GraphQL(), **options)


async def test_subscriptions_and_queries_go_on_after_a_drop() -> None:
    service = Service()
    async with (
        peer(service, subprotocols=[service.subprotocol]) as url,
        store_of(url) as store,
    ):
        errors, ended = record(store.errors), asyncio.Event()
        ticks: list[Any] = []
        subscription = store.channel(TICKS).subscribe(ticks.append)
        once: list[Any] = []
        store.channel(ONCE).subscribe(once.append, on_completed=ended.set)
        answers = [store.request({"query": f"{{ q{n} }}"}, timeout=5) for n in range(3)]
        assert [(await answer)["payload"]["data"] for answer in answers] == [
            f"{{ q{n} }}" for n in range(3)
        ]
        await service.publish(TICKS, 1)
        await service.publish(ONCE, "only")
        await service.end(ONCE)
        await asyncio.wait_for(ended.wait(), 5)

        service.sockets[-1].transport.abort()
        await store.wait_for(lambda state: not state.is_connected, 5)
        queued = store.request({"query": "{ queued }"}, timeout=5)
        assert (await queued)["payload"] == {"data": "{ queued }"}
        assert list(service.running.values()) == [TICKS]  # what has ended is not asked for
        await service.publish(TICKS, 2)
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        store.channel(WRONG).subscribe(on_error=failed.set_result)
        error = await asyncio.wait_for(failed, 5)
        assert isinstance(error, StoreError)
        assert "no such field" in str(error)
        subscription.dispose()
        for _ in range(2):  # the second goes out behind what tells that a channel is left
            await store.request({"query": "{ last }"}, timeout=5)
        assert service.running == {}
        assert ticks == [{"data": 1}, {"data": 2}]
        assert once == [{"data": "only"}]
        assert {getattr(error, "state", error) for error in errors} <= {"in_doubt"}
    assert service.seen == [
        ["1", "2", "3", "4", "5"],
        ["1", "2", "3", "4", "5"],
    ]
    assert (service.left, service.pongs, service.codes) == (["1"], 2, [])


async def test_a_forbidden_connection_fails_with_the_servers_code() -> None:
    service = Service()
    async with (
        peer(service, subprotocols=[service.subprotocol]) as url,
        store_of(url, "wrong") as store,
    ):
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert state.close is not None
        assert state.close.code == 4403
    assert service.codes == [4403]


@pytest.fixture
def graphql_ws() -> Iterator[str]:
    with node("graphql.cjs", "graphql-ws", "graphql", "ws") as url:
        yield url


async def test_subscriptions_of_graphql_ws_go_on_after_a_drop(graphql_ws: str) -> None:
    async with FaultProxy(graphql_ws) as proxy, store_of(proxy.url) as store:

        async def ask(query: str) -> Any:
            return (await store.request({"query": query}, timeout=5))["payload"]["data"]

        errors, ended = record(store.errors), asyncio.Event()
        ticks: list[Any] = []
        subscription = store.channel(TICKS).subscribe(ticks.append)
        once: list[Any] = []
        store.channel(ONCE).subscribe(once.append, on_completed=ended.set)
        assert await ask('{ echo(text: "é") }') == {"echo": "é"}
        assert await ask("mutation { tick(value: 1) }") == {"tick": 1}
        await asyncio.wait_for(ended.wait(), 5)
        await ask('{ echo(text: "behind the tick") }')

        proxy.now(Reset())
        await store.wait_for(lambda state: not state.is_connected, 5)
        queued = store.request(
            {
                "query": "query Q($text: String!) { echo(text: $text) }",
                "variables": {"text": "q"},
            },
            timeout=5,
        )
        assert (await queued)["payload"] == {"data": {"echo": "q"}}
        assert await ask("mutation { tick(value: 2) }") == {"tick": 1}

        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        store.channel("subscription { nothing }").subscribe(on_error=failed.set_result)
        assert "Cannot query field" in str(await asyncio.wait_for(failed, 5))
        ended.clear()  # what fails in a resolver is a result, and the end
        failing: list[Any] = []
        store.channel("subscription { failing }").subscribe(failing.append, on_completed=ended.set)
        await asyncio.wait_for(ended.wait(), 5)
        assert [result["errors"][0]["message"] for result in failing] == ["not for you"]
        subscription.dispose()
        await ask('{ echo(text: "behind what leaves it") }')
        assert await ask("mutation { tick(value: 3) }") == {"tick": 0}
        assert (ticks, once) == (
            [{"data": {"ticks": 1}}, {"data": {"ticks": 2}}],
            [{"data": {"once": 1}}],
        )
        assert (beyond_doubt(errors), store.stats.invalid, store.state.value.session) == (
            [],
            0,
            2,
        )


async def test_graphql_ws_forbids_a_wrong_token(graphql_ws: str) -> None:
    async with store_of(graphql_ws, "wrong") as store:
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert (state.close and state.close.code) == 4403
