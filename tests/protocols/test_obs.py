"""The example for OBS Studio against a strict peer, written to the public text of the protocol."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from examples.protocols.obs import RULES, Obs
from heimdall_reactive import RequestLost, Status, WebSocketStore, use_websocket
from tests.peers import peer
from tests.support import record

PASSWORD = "supersecretpassword"
SUBPROTOCOLS = [Subprotocol("obswebsocket.json")]
SCENES = 1 << 2
STATUS = {"result": True, "code": 100}
FIELDS = {"requestType", "requestId", "requestData"}


class Studio:
    """Closes with the code of the text on whatever is out of order; each challenge is its own."""

    def __init__(self, password: str | None = PASSWORD) -> None:
        self.password = password
        self.sockets: list[ServerConnection] = []
        self.identified: set[ServerConnection] = set()
        self.events: Any = 0  # what the newest session subscribed to
        self.ids: list[list[Any]] = []
        self.codes: list[int] = []

    async def __call__(self, socket: ServerConnection) -> None:
        number = len(self.sockets)
        self.sockets.append(socket)
        self.ids.append([])
        hello: Any = {"obsWebSocketVersion": "5.5.2", "rpcVersion": 1}
        salt, challenge = f"salt{number}", f"challenge{number}"
        if self.password is not None:
            hello["authentication"] = {"salt": salt, "challenge": challenge}
        await self.say(0, hello)
        with suppress(ConnectionClosed):
            async for text in socket:
                await self.handle(socket, text, salt, challenge)

    async def handle(
        self, socket: ServerConnection, text: str | bytes, salt: str, challenge: str
    ) -> None:
        match json.loads(text):
            case {"op": 1} if socket in self.identified:
                await self.refuse(4008)
            case {"op": 1, "d": {"rpcVersion": 1, **login}}:
                if login.get("authentication") != self.expected(salt, challenge):
                    await self.refuse(4009)
                    return
                self.identified.add(socket)
                self.events = login.get("eventSubscriptions", 2047)
                await self.say(2, {"negotiatedRpcVersion": 1})
            case {"op": 6 | 8} if socket not in self.identified:
                await self.refuse(4007)
            case {"op": 6, "d": {"requestId": number, "requestType": str()} as asked}:
                if number in self.ids[-1] or asked.keys() - FIELDS:
                    await self.refuse(4005)
                self.ids[-1].append(number)
                if asked["requestType"] != "Sleep":
                    await self.say(7, answer(asked))
            case {"op": 8, "d": {"requestId": str(number), "requests": [*requests]}}:
                self.ids[-1].append(number)
                await self.say(9, {"requestId": number, "results": [*map(answer, requests)]})
            case {"op": 1 | 6 | 8}:
                await self.refuse(4003)
            case _:
                await self.refuse(4006)

    def expected(self, salt: str, challenge: str) -> str | None:
        if self.password is None:
            return None
        text = self.password + salt
        for more in (challenge, ""):
            text = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + more
        return text

    async def refuse(self, code: int) -> None:
        self.codes.append(code)
        await self.sockets[-1].close(code)

    async def say(self, op: int, data: Any) -> None:
        await self.sockets[-1].send(json.dumps({"op": op, "d": data}))

    async def fire(self, name: str, intent: int) -> None:
        if self.events & intent:
            event = {"eventType": name, "eventIntent": intent, "eventData": {"sceneName": name}}
            await self.say(5, event)


def answer(asked: Any) -> Any:
    known = {"requestType": asked["requestType"], "requestStatus": STATUS}
    if "requestId" in asked:
        known["requestId"] = asked["requestId"]
    if asked["requestType"] not in ("GetVersion", "SetCurrentProgramScene"):
        return {**known, "requestStatus": {"result": False, "code": 204}}
    return {**known, "responseData": asked.get("requestData", {"platform": "any"})}


def store_of(url: str, protocol: Obs, password: str = PASSWORD) -> WebSocketStore[Any]:
    options: Any = {"access_token": password, "reconnect_delay": 0.01, "reconnect_rules": RULES}
    return use_websocket(url, protocol=protocol, message_type=Any, **options)


async def test_requests_and_events_go_on_after_a_drop() -> None:
    studio = Studio()
    async with (
        peer(studio, subprotocols=SUBPROTOCOLS) as url,
        store_of(url, Obs(SCENES)) as store,
    ):
        created, errors = record(store.channel("SceneCreated")), record(store.errors)
        events = record(store.messages)

        async def ask(**asked: Any) -> Any:
            return (await store.request(asked, timeout=5))["d"]

        version = await ask(requestType="GetVersion")  # queued before the login
        assert (version["requestStatus"], version["responseData"]) == (
            STATUS,
            {"platform": "any"},
        )
        assert (await ask(requestType="None"))["requestStatus"]["code"] == 204
        await studio.fire("SceneCreated", SCENES)
        await studio.fire("InputCreated", 1 << 3)  # not subscribed to
        scene = {"sceneName": "one"}
        both = [
            {"requestType": "GetVersion"},
            {"requestType": "SetCurrentProgramScene", "requestData": scene},
        ]
        results = (await store.request(both, timeout=5))["d"]["results"]
        assert [result["responseData"] for result in results] == [{"platform": "any"}, scene]

        lost = store.request({"requestType": "Sleep"}, timeout=5)
        await (await studio.sockets[-1].ping())
        studio.sockets[-1].transport.abort()
        with pytest.raises(RequestLost):
            await lost
        assert (await ask(requestType="GetVersion"))["requestStatus"] == STATUS
        await studio.fire("SceneCreated", SCENES)
        await ask(requestType="GetVersion")
        assert created == [{"sceneName": "SceneCreated"}] * 2
        assert [event["eventType"] for event in events] == ["SceneCreated"] * 2
        assert {getattr(error, "state", error) for error in errors} <= {"in_doubt"}
        assert store.state.value.session == 2
        assert studio.sockets[-1].subprotocol == SUBPROTOCOLS[0]
    assert studio.ids == [["1", "2", "3", "4"], ["1", "2"]]
    assert studio.codes == []


async def test_a_studio_without_a_password_asks_for_none() -> None:
    studio = Studio(None)
    async with peer(studio, subprotocols=SUBPROTOCOLS) as url, store_of(url, Obs()) as store:
        await store.request({"requestType": "GetVersion"}, timeout=5)
        assert studio.events == 2047
    assert studio.codes == []


async def test_a_wrong_password_ends_it_with_the_servers_code() -> None:
    studio = Studio()
    async with (
        peer(studio, subprotocols=SUBPROTOCOLS) as url,
        store_of(url, Obs(), "wrong") as store,
    ):
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert state.close is not None
        assert state.close.code == 4009
    assert studio.codes == [4009]
