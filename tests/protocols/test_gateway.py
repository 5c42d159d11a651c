"""The example for a gateway in Discord's manner against a strict peer of its public text."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.server import ServerConnection

from examples.protocols.gateway import Gateway
from heimdall_reactive import use_websocket
from tests.peers import peer
from tests.support import fate, record, until

TOKEN = "bot-token"
QUERY = "v=10&encoding=json"


class Service:
    """Refuses what comes before the login, wrong sequences, and resuming in the wrong place."""

    def __init__(self, interval: int = 40_000) -> None:
        self.interval = interval
        self.url = ""
        self.sockets: list[ServerConnection] = []
        self.logins: list[tuple[int, str]] = []
        self.closes: list[int | None] = []
        self.wrong: list[Any] = []
        self.beaten = asyncio.Event()
        self.closed = asyncio.Event()
        self.session = 0  # its id; 0 where the service knows none
        self.sequence = 0
        self.log: list[Any] = []  # the events of this session

    async def __call__(self, socket: ServerConnection) -> None:
        try:
            await self.serve(socket)
        finally:
            self.closes.append(socket.close_code)
            if socket.close_code in (1000, 1001):
                self.session = 0
            self.closed.set()

    async def serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        path, _, query = socket.request.path.partition("?")
        if query != QUERY or "Authorization" in socket.request.headers:
            self.wrong.append(socket.request.path)
        await say(socket, 10, {"heartbeat_interval": self.interval})
        admitted, newest = False, 0
        async for text in socket:
            message = json.loads(text)
            match message:
                case {"op": 1, "d": sequence}:
                    if (sequence or 0) < newest or (sequence or 0) > self.sequence:
                        self.wrong.append(message)
                    newest = sequence or 0
                    await say(socket, 11, None)
                    if self.log and sequence == self.log[-1]["s"]:
                        self.beaten.set()
                case {"op": 2 | 6 as op, "d": {"token": token} as login} if not admitted:
                    if token != TOKEN:
                        await socket.close(4004)
                        return
                    self.logins.append((op, path))
                    admitted = await (self.identify if op == 2 else self.resume)(socket, login)
                case {"op": 3, "d": _} if admitted:
                    await self.fire(message)
                case _:
                    self.wrong.append(message)
                    await socket.close(4005 if admitted else 4003)

    async def identify(self, socket: ServerConnection, login: Any) -> bool:
        if not {"intents", "properties"} <= login.keys():
            self.wrong.append(login)
        self.session, self.sequence, self.log = len(self.logins), 0, []
        self.sockets.append(socket)
        ready = {"session_id": str(self.session), "resume_gateway_url": f"{self.url}/resume"}
        await self.dispatch("READY", ready)
        return True

    async def resume(self, socket: ServerConnection, login: Any) -> bool:
        assert socket.request is not None
        known = login["session_id"] == str(self.session)
        if not known or not socket.request.path.startswith("/resume"):
            await say(socket, 9, False)
            return False
        if login["seq"] > self.sequence:
            await socket.close(4007)
            return False
        self.sockets.append(socket)
        for event in self.log:
            if event["s"] > login["seq"]:
                await socket.send(json.dumps(event))
        await self.dispatch("RESUMED", {})
        return True

    async def fire(self, data: Any, lost: bool = False) -> None:
        """Report an event, or keep it for a client that is away."""
        await self.dispatch("EVENT", data, lost)

    async def dispatch(self, name: str, data: Any, lost: bool = False) -> None:
        self.sequence += 1
        event = {"op": 0, "t": name, "s": self.sequence, "d": data}
        if name == "EVENT":
            self.log.append(event)
        if not lost:
            await self.sockets[-1].send(json.dumps(event))


async def say(socket: ServerConnection, op: int, data: Any) -> None:
    await socket.send(json.dumps({"op": op, "d": data, "s": None, "t": None}))


async def test_a_session_resumes_without_a_gap_and_begins_again_where_it_cannot() -> None:
    service = Service()
    async with peer(service) as service.url:
        url = f"{service.url}/?{QUERY}"
        options: Any = {"access_token": TOKEN, "reconnect_delay": 0.01, "message_type": Any}
        async with use_websocket(url, protocol=Gateway(513), **options) as store:
            events, gaps = record(store.messages), record(store.gaps)

            async def heard(data: Any) -> None:
                def came() -> bool:
                    return any(event["d"] == data for event in events)

                if not came():
                    await until(store, came)

            waits = store.send({"op": 3, "d": "queued"})  # before the login: it waits
            await heard({"op": 3, "d": "queued"})
            assert fate(waits) == "written"
            await service.fire(1)
            await heard(1)
            service.sockets[-1].transport.abort()
            for number in (2, 3):
                await service.fire(number, lost=True)
            await heard(3)
            await store.wait_for(lambda state: state.session == 2, 5)
            await service.fire(4)
            await heard(4)

            service.closed.clear()
            await say(service.sockets[-1], 7, None)  # it asks for a reconnection
            await asyncio.wait_for(service.closed.wait(), 5)
            await store.wait_for(lambda state: state.session == 3, 5)
            await service.fire(5)
            await heard(5)
            assert gaps == []
            told = [event["d"] for event in events if event["t"] == "EVENT"]
            assert told[1:] == [1, 2, 3, 4, 5]

            service.session = 0  # it forgets the session
            service.sockets[-1].transport.abort()
            await store.wait_for(lambda state: state.session == 4, 5)
            await service.fire(6)
            await heard(6)
            assert [gap.session for gap in gaps] == [4]
    assert service.logins == [
        (2, "/"),
        (6, "/resume/"),
        (6, "/resume/"),
        (6, "/resume/"),
        (2, "/"),
    ]
    assert service.closes[1] == 4000
    assert service.wrong == []


async def test_more_is_missed_than_a_handshake_keeps() -> None:
    service = Service()
    async with peer(service) as service.url:
        url = f"{service.url}/?{QUERY}"
        options: Any = {"access_token": TOKEN, "reconnect_delay": 0.01, "message_type": Any}
        async with use_websocket(url, protocol=Gateway(513), **options) as store:
            events, gaps = record(store.messages), record(store.gaps)
            await store.wait_connected(5)
            service.sockets[-1].transport.abort()
            for number in range(2500):
                await service.fire(number, lost=True)
            await store.wait_for(lambda state: state.session == 2, 10)
            await service.fire("last")
            await until(store, lambda: events[-1]["d"] == "last")
            told = [event["d"] for event in events if event["t"] == "EVENT"]
            assert told == [*range(2500), "last"]
            assert gaps == []
    assert service.wrong == []


async def test_the_heart_beats_as_often_as_the_gateway_says_with_the_last_sequence() -> None:
    service = Service(200)
    async with peer(service) as service.url:
        url = f"{service.url}/?{QUERY}"
        options: Any = {"access_token": TOKEN, "reconnect_delay": 0.01, "message_type": Any}
        async with use_websocket(url, protocol=Gateway(513), **options) as store:
            await store.wait_connected(5)
            await service.fire(1)
            for _ in range(2):
                await asyncio.wait_for(service.beaten.wait(), 5)
                service.sockets[-1].transport.abort()
                service.beaten.clear()
    assert service.wrong == []
