"""The example for SignalR against a strict hub, right for Microsoft's own client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from examples.protocols.signalr import END, SignalR
from heimdall_reactive import Status, StoreError, use_websocket
from tests.peers import peer
from tests.support import record

from .programs import node_client


class Hub:
    """Refuses a wrong handshake, frames that end within a record, and ids used again."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.received: list[Any] = []
        self.wrong: list[str] = []
        self.streams: dict[str, str] = {}
        self.pinged = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, socket: ServerConnection) -> None:
        first = str(await socket.recv())
        if not first.endswith(END) or json.loads(first[:-1]) != {"protocol": "json", "version": 1}:
            self.wrong.append("handshake")
            return
        event = {"type": 1, "target": "Welcome", "arguments": [len(self.sockets)]}
        await socket.send("{}" + END + json.dumps(event) + END)  # in one frame
        self.sockets.append(socket)
        self.streams, used = {}, set[str]()
        async for text in socket:
            assert isinstance(text, str)
            *parts, rest = text.split(END)
            if not parts or rest:
                self.wrong.append(text)
            for part in parts:  # Microsoft's client sends several in one frame
                await self.take(json.loads(part), used)

    async def take(self, message: Any, used: set[str]) -> None:
        if message["type"] == 6:
            self.pinged.set()
            await self.say({"type": 6})
            return
        self.received.append(message)
        number = message["invocationId"]
        if message["type"] == 3:  # the result of what the hub has asked
            return
        if message["type"] == 5:
            del self.streams[number]  # a stale id ends the connection
            self.cancelled.set()
            return
        if number in used:
            self.wrong.append(number)
        used.add(number)
        await self.answer(message, number)

    async def answer(self, message: Any, number: str) -> None:
        match message["type"], message["target"]:
            case 4, "Secret":
                await self.say({"type": 3, "invocationId": number, "error": "not for you"})
            case 4, target:
                self.streams[number] = target
            case 1, "Add":
                total = sum(message["arguments"])
                asked = {"type": 1, "target": "Ask", "arguments": [], "invocationId": "1"}
                await self.say(asked, {"type": 3, "invocationId": number, "result": total})
            case _:
                await self.say({"type": 3, "invocationId": number, "error": "no such method"})

    async def say(self, *messages: Any) -> None:
        await self.sockets[-1].send("".join(json.dumps(message) + END for message in messages))

    async def fire(self, target: str, *items: Any, end: bool = False) -> None:
        number = next(number for number, known in self.streams.items() if known == target)
        stream = [{"type": 2, "invocationId": number, "item": item} for item in items]
        await self.say(*stream, *([{"type": 3, "invocationId": number}] if end else []))


async def test_invocations_streams_and_requests_go_on_after_a_drop() -> None:
    hub = Hub()
    async with (
        peer(hub) as url,
        use_websocket(url, protocol=SignalR(), message_type=Any, reconnect_delay=0.01) as s,
    ):
        seen, items, ended = record(s.messages), list[Any](), asyncio.Event()
        s.channel("Counter").subscribe(items.append, on_completed=ended.set)
        answer = await s.request({"type": 1, "target": "Add", "arguments": [2, 3]}, timeout=5)
        assert answer == {"type": 3, "invocationId": "2 Add", "result": 5}
        await hub.fire("Counter", 1, 2)
        await s.request({"type": 1, "target": "Nothing", "arguments": []}, timeout=5)
        hub.sockets[-1].transport.abort()
        await s.wait_for(lambda state: state.session == 2, 5)
        answer = await s.request({"type": 1, "target": "Add", "arguments": [4]}, timeout=5)
        assert (answer["invocationId"], answer["result"]) == ("2 Add", 4)
        await hub.fire("Counter", 3, end=True)
        await asyncio.wait_for(ended.wait(), 5)
        refused: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        s.channel("Secret").subscribe(on_error=refused.set_result)
        assert isinstance(await asyncio.wait_for(refused, 5), StoreError)
        s.channel("Clock").subscribe().dispose()  # nobody wants it: nothing is asked for
        leaving = s.channel("Clock").subscribe()
        await s.request({"type": 1, "target": "Add", "arguments": []}, timeout=5)
        leaving.dispose()
        await asyncio.wait_for(hub.cancelled.wait(), 5)
        assert items == [1, 2, 3]
        assert [message["target"] for message in seen] == [
            *("Welcome", "Ask"),
            *("Welcome", "Ask", "Ask"),
        ]
        assert s.stats.invalid == 0
    assert [message.get("target") for message in hub.received] == [
        *("Counter", "Add", "Nothing"),
        *("Counter", "Add", "Secret", "Clock", "Add", None),
    ]
    assert hub.wrong == []


@pytest.mark.parametrize("again", [True, False])
async def test_a_close_says_whether_to_come_back(again: bool) -> None:
    hub = Hub()
    async with (
        peer(hub) as url,
        use_websocket(url, protocol=SignalR(), message_type=Any, reconnect_delay=0.01) as store,
    ):
        await store.wait_connected(5)
        await hub.say({"type": 7, "allowReconnect": again})
        state = await store.wait_for(
            lambda state: state.session == 2 or state.status is Status.FAILED, 5
        )
        assert (state.status is Status.FAILED) is not again


async def test_every_session_pings() -> None:
    hub = Hub()
    options: Any = {"protocol": SignalR(0.1), "reconnect_delay": 0.01}
    async with peer(hub) as url, use_websocket(url, message_type=Any, **options):
        for _ in range(2):
            await asyncio.wait_for(hub.pinged.wait(), 5)
            hub.sockets[-1].transport.abort()
            hub.pinged.clear()
    assert hub.wrong == []


async def test_the_official_client_finds_the_hub_right() -> None:
    hub = Hub()
    async with (
        peer(hub) as url,
        node_client("signalr.cjs", url.replace("ws", "http"), "@microsoft/signalr") as client,
    ):
        assert await client.said() == ["welcome", 0]
        assert await client.said() == ["sum", 5]
        name, error = await client.said()
        assert (name, "no such method" in error) == ("refused", True)
        name, error = await client.said()
        assert (name, "not for you" in error) == ("secret", True)
        assert await client.said() == ["ready"]
        await asyncio.wait_for(hub.cancelled.wait(), 5)
        await asyncio.wait_for(hub.pinged.wait(), 5)
        await hub.fire("Counter", 1, 2)
        assert [await client.said() for _ in range(2)] == [["item", 1], ["item", 2]]
        hub.sockets[-1].transport.abort()
        assert await client.said() == ["lost"]
        assert await client.said() == ["welcome", 1]
        assert await client.said() == ["again", 4]
        await hub.fire("Counter", 3, end=True)
        assert [await client.said() for _ in range(2)] == [["item", 3], ["complete"]]
    results = [message["result"] for message in hub.received if message["type"] == 3]
    assert (results, hub.wrong) == (["asked"] * 3, [])
