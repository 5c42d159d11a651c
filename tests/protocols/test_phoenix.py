"""The example for Phoenix channels against a strict peer, right for the official client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.server import ServerConnection

from examples.protocols.phoenix import Phoenix
from heimdall_reactive import StoreError, use_websocket
from tests.peers import peer
from tests.support import record

from .programs import node_client


class Server:
    """Refuses references that do not rise or are of another join, and what was not joined."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.joins: dict[str, str] = {}
        self.seen: list[tuple[str, str]] = []
        self.wrong: list[Any] = []
        self.beaten = asyncio.Event()
        self.joined = asyncio.Event()

    async def __call__(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        if not socket.request.path.endswith("?vsn=2.0.0"):
            self.wrong.append(socket.request.path)
            return
        self.sockets.append(socket)
        self.joins, newest = {}, 0
        async for text in socket:
            join_ref, ref, topic, event, payload = json.loads(text)
            if int(ref) <= newest:
                self.wrong.append(text)
            newest = int(ref)
            if event == "heartbeat":
                if (join_ref, topic, payload) != (None, "phoenix", {}):
                    self.wrong.append(text)
                self.beaten.set()
                await self.reply(join_ref, ref, topic)
                continue
            self.seen.append((topic, event))
            await self.handle(join_ref, ref, topic, event, payload)

    async def handle(self, join_ref: str, ref: str, topic: str, event: str, payload: Any) -> None:
        if event == "phx_join":
            if join_ref != ref or topic in self.joins:
                self.wrong.append((topic, event, join_ref))
            if topic == "room:secret":
                await self.reply(join_ref, ref, topic, "error", {"reason": "unauthorized"})
                return
            self.joins[topic] = ref
            self.joined.set()
            await self.reply(join_ref, ref, topic)
        elif event == "phx_leave" and topic not in self.joins:
            await self.reply(join_ref, ref, topic)  # as Phoenix does, whose client asks for it
        elif self.joins.get(topic) != join_ref:
            self.wrong.append((topic, event, join_ref))
            await self.reply(join_ref, ref, topic, "error", {"reason": "unmatched topic"})
        elif event == "phx_leave":
            del self.joins[topic]
            await self.reply(join_ref, ref, topic)
            await self.say(join_ref, join_ref, topic, "phx_close", {})
        else:
            await self.reply(join_ref, ref, topic, "ok", payload)

    async def say(self, *fields: Any) -> None:
        await self.sockets[-1].send(json.dumps(fields))

    async def reply(
        self, join_ref: str | None, ref: str, topic: str, status: str = "ok", response: Any = None
    ) -> None:
        payload = {"status": status, "response": response or {}}
        await self.say(join_ref, ref, topic, "phx_reply", payload)

    async def fire(self, topic: str, number: int) -> None:
        """Send as a broadcast does, without references, and again of a join that is over."""
        await self.say("0", None, topic, "stale", {})
        await self.say(None, None, topic, "new", {"number": number})

    async def end(self, topic: str, event: str) -> None:
        join_ref = self.joins.pop(topic)
        self.joined.clear()
        await self.say(join_ref, join_ref, topic, event, {})


async def test_channels_and_replies_go_on_after_a_drop() -> None:
    server, room = Server(), "room:lobby"
    async with (
        peer(server) as url,
        use_websocket(
            f"{url}/socket/websocket?vsn=2.0.0",
            protocol=Phoenix(),
            message_type=Any,
            reconnect_delay=0.01,
        ) as store,
    ):

        async def shout(text: str) -> Any:
            push = {"topic": room, "event": "shout", "payload": {"text": text}}
            return (await store.request(push, timeout=5))["payload"]["response"]

        events, ended = list[Any](), asyncio.Event()
        lobby = store.channel(room).subscribe(events.append, on_completed=ended.set)
        assert await shout("one") == {"text": "one"}
        await server.fire(room, 1)
        await shout("two")
        server.sockets[-1].transport.abort()
        await store.wait_for(lambda state: state.session == 2, 5)
        assert await shout("three") == {"text": "three"}
        await server.fire(room, 2)
        await server.end(room, "phx_error")  # the channel crashed: it is joined again
        await asyncio.wait_for(server.joined.wait(), 5)
        assert await shout("four") == {"text": "four"}
        await server.fire(room, 3)
        refused: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        store.channel("room:secret").subscribe(on_error=refused.set_result)
        assert isinstance(await asyncio.wait_for(refused, 5), StoreError)
        await server.end(room, "phx_close")
        await asyncio.wait_for(ended.wait(), 5)
        lobby.dispose()
        assert [event["payload"]["number"] for event in events] == [1, 2, 3]
        assert store.stats.invalid == 0
    assert [event for _, event in server.seen] == [
        *("phx_join", "shout", "shout"),
        *("phx_join", "shout", "phx_join", "shout", "phx_join"),
    ]
    assert server.wrong == []


async def test_leaving_and_joining_in_one_turn_has_references_of_the_new_join() -> None:
    server, room = Server(), "room:lobby"
    async with (
        peer(server) as url,
        use_websocket(
            f"{url}/socket/websocket?vsn=2.0.0", protocol=Phoenix(), message_type=Any
        ) as store,
    ):
        push = {"topic": room, "event": "shout", "payload": {}}
        completed: list[str] = []
        first = store.channel(room).subscribe(on_completed=lambda: completed.append("first"))
        await store.request(push, timeout=5)
        first.dispose()
        events = record(store.channel(room))
        await store.request(push, timeout=5)
        await server.fire(room, 1)
        await store.request(push, timeout=5)
        assert ([event["event"] for event in events], completed) == (["new"], [])
    assert [event for _, event in server.seen] == [
        *("phx_join", "shout", "phx_leave", "phx_join", "shout", "shout"),
    ]
    assert server.wrong == []


async def test_the_heart_beats_on_every_session() -> None:
    server = Server()
    options: Any = {"protocol": Phoenix(0.1), "reconnect_delay": 0.01}
    async with (
        peer(server) as url,
        use_websocket(f"{url}/socket/websocket?vsn=2.0.0", **options),
    ):
        for _ in range(2):
            await asyncio.wait_for(server.beaten.wait(), 5)
            server.sockets[-1].transport.abort()
            server.beaten.clear()
    assert server.wrong == []


async def test_the_official_client_finds_the_peer_right() -> None:
    server, room = Server(), "room:lobby"
    async with (
        peer(server) as url,
        node_client("phoenix.cjs", f"{url}/socket", "phoenix", "ws") as client,
    ):
        first = [await client.said(), await client.said()]
        assert sorted(first) == [["joined", 1, "after 1"], ["refused", "unauthorized"]]
        await asyncio.wait_for(server.beaten.wait(), 5)
        await server.fire(room, 1)
        assert await client.said() == ["new", 1]
        server.sockets[-1].transport.abort()
        assert await client.said() == ["joined", 2, "after 2"]
        await server.fire(room, 2)
        assert await client.said() == ["new", 2]
        await server.end(room, "phx_error")
        assert await client.said() == ["joined", 3, "after 3"]
        await server.fire(room, 3)
        assert await client.said() == ["new", 3]
        client.tell("leave")
        assert await client.said() == ["closed"]
    assert server.wrong == []
