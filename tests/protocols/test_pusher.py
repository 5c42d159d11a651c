"""The example for Pusher against a strict peer, right for the official client."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Any

from websockets.asyncio.server import ServerConnection

from examples.protocols.pusher import Pusher
from heimdall_reactive import Status, StoreError, WebSocketStore, use_websocket
from tests.peers import peer
from tests.support import beyond_doubt, record

from .programs import node_client

PATH = "/app/key?protocol=7"


def sign(socket: str, name: str) -> dict[str, str]:
    text = f"{socket}:{name}".encode()
    return {"auth": f"key:{hmac.new(b'secret', text, hashlib.sha256).hexdigest()}"}


class Server:
    """Refuses signatures of other sockets, and takes notes of what must not come."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.channels: set[str] = set()
        self.seen: list[tuple[str, str]] = []
        self.wrong: list[Any] = []
        self.pinged = asyncio.Event()
        self.ponged = asyncio.Event()
        self.changed = asyncio.Event()

    async def __call__(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        path = socket.request.path
        if not path.startswith("/app/key?") or "protocol=7" not in path:
            await self.say("pusher:error", {"code": 4001, "message": "no such app"}, to=socket)
            await socket.close(4001)
            return
        self.sockets.append(socket)
        self.channels, number = set(), f"{len(self.sockets)}.77"
        opened = {"socket_id": number, "activity_timeout": 120}
        await self.say("pusher:connection_established", opened)
        await self.say("pusher:ping")
        async for text in socket:
            message = json.loads(text)
            await self.take(number, message["event"], message.get("data"), message.get("channel"))

    async def take(self, number: str, event: str, data: Any, channel: str | None) -> None:
        name = data.get("channel", "")
        match event:
            case "pusher:ping":
                self.pinged.set()
                await self.say("pusher:pong")
            case "pusher:pong":
                self.ponged.set()
            case "pusher:subscribe" if name not in self.channels:
                self.seen.append((event, name))
                private = name.startswith("private-")
                if name == "private-secret" or (
                    private and data["auth"] != sign(number, name)["auth"]
                ):
                    error = {"type": "AuthError", "error": "not for you", "status": 401}
                    await self.say("pusher:subscription_error", error, name)
                else:
                    self.channels.add(name)
                    await self.say("pusher_internal:subscription_succeeded", {}, name)
            case "pusher:unsubscribe" if name in self.channels:
                self.seen.append((event, name))
                self.channels.remove(name)
            case _ if event.startswith("client-") and channel in self.channels:
                self.seen.append((event, channel))
            case _:
                self.wrong.append((event, data, channel))
        self.changed.set()

    async def say(
        self, event: str, data: Any = None, channel: str | None = None, to: Any = None
    ) -> None:
        message = {"event": event, "data": json.dumps(data or {})}
        if channel is not None:
            message["channel"] = channel
        await (to or self.sockets[-1]).send(json.dumps(message))

    async def until(self, seen: tuple[str, str]) -> None:
        while seen not in self.seen:
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 5)


def store_of(url: str, protocol: Pusher) -> WebSocketStore[Any]:
    options: Any = {"message_type": Any, "reconnect_delay": 0.01}
    return use_websocket(url, protocol=protocol, **options)


async def test_channels_are_signed_again_after_a_drop() -> None:
    server = Server()
    async with peer(server) as url, store_of(url + PATH, Pusher(sign)) as store:
        errors, news = record(store.errors), record(store.channel("news"))
        chat = record(store.channel("private-chat"))
        store.send({"event": "client-typing", "channel": "private-chat", "data": {"by": "me"}})
        await server.until(("client-typing", "private-chat"))
        await server.say("new", {"n": 1}, "news")
        await server.say("new", {"n": 2}, "private-chat")
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        store.channel("private-secret").subscribe(on_error=failed.set_result)
        error = await asyncio.wait_for(failed, 5)
        assert isinstance(error, StoreError)
        assert "not for you" in str(error)
        await asyncio.wait_for(server.ponged.wait(), 5)

        server.sockets[-1].transport.abort()
        await store.wait_for(lambda state: not state.is_connected, 5)
        server.seen.clear()
        store.send({"event": "client-queued", "channel": "private-chat", "data": {}})
        await server.until(("client-queued", "private-chat"))
        await server.say("new", {"n": 3}, "private-chat")
        await server.sockets[-1].send('{"event": "new", "channel": "news", "data": "as it is"}')
        left = store.channel("left").subscribe()
        await server.until(("pusher:subscribe", "left"))
        left.dispose()
        await server.until(("pusher:unsubscribe", "left"))
        await (await server.sockets[-1].ping())
        assert [event["data"] for event in news] == [{"n": 1}, "as it is"]
        assert [event["data"]["n"] for event in chat] == [2, 3]
        assert (beyond_doubt(errors), store.stats.invalid) == ([], 0)
    assert server.seen == [
        ("pusher:subscribe", "news"),
        ("pusher:subscribe", "private-chat"),
        ("client-queued", "private-chat"),
        ("pusher:subscribe", "left"),
        ("pusher:unsubscribe", "left"),
    ]
    assert server.wrong == []


async def test_an_unknown_application_fails_at_once() -> None:
    async with peer(Server()) as url, store_of(f"{url}/app/other", Pusher()) as store:
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert "4001: no such app" in str(state.error)
        assert store.stats.attempts == 1


async def test_the_official_client_finds_the_peer_right() -> None:
    server = Server()
    async with peer(server) as url, node_client("pusher.cjs", url, "pusher-js") as client:
        for number in range(2):
            assert await client.said() == ["connected"]
            first = [await client.said() for _ in range(2)]
            assert sorted(first) == [["refused", 401], ["subscribed"]]
            await server.until(("client-typing", "private-chat"))
            await asyncio.wait_for(server.pinged.wait(), 5)
            await asyncio.wait_for(server.ponged.wait(), 5)
            await server.say("new", {"n": number}, "private-chat")
            assert await client.said() == ["new", {"n": number}]
            await server.say("new", {"n": number}, "news")
            assert await client.said() == ["news", {"n": number}]
            server.seen.clear()
            if number == 0:
                server.sockets[-1].transport.abort()
        client.tell("leave")
        await server.until(("pusher:unsubscribe", "news"))
    assert server.wrong == []
