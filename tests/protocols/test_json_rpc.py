"""The example for JSON-RPC 2.0 against a strict peer, written to the specification."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from examples.protocols.json_rpc import Call, JsonRpc
from heimdall_reactive import RequestLost, WebSocketStore, use_websocket
from tests.peers import peer
from tests.support import record

FIELDS = {"jsonrpc", "id", "method", "params"}


class Server:
    """Answers with the errors of the text, and notes what a strict reader refuses."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.ids: list[list[Any]] = []  # of the calls of each session, in the order of the wire
        self.told: list[Any] = []  # notifications
        self.answered: list[Any] = []  # our own calls
        self.wrong: list[Any] = []
        self.hung = asyncio.Event()

    async def __call__(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        self.ids.append([])
        async for text in socket:
            try:
                value = json.loads(text, parse_float=Decimal)
            except ValueError:
                self.wrong.append(text)
                await self.say(error(None, -32700))
                continue
            if value == [] or not isinstance(value, (dict, list)):
                self.wrong.append(text)
                await self.say(error(None, -32600))
                continue
            batch = value if isinstance(value, list) else [value]
            answers = [answer for each in batch if (answer := self.handle(each)) is not None]
            if isinstance(value, dict) and answers:
                await self.say(answers[0])
            elif answers:
                await self.say(answers[::-1])  # "in any order"

    def handle(self, value: Any) -> Any:
        match value:
            case {"jsonrpc": "2.0", "id": str() as number, "result": result} if len(value) == 3:
                self.answered.append((number, result))
                return None
            case {"jsonrpc": "2.0", "method": str(method)} if value.keys() <= FIELDS:
                params, number = value.get("params", []), value.get("id")
            case _:
                self.wrong.append(value)
                return error(None, -32600)
        if "id" not in value:
            self.told.append((method, params))
            return None
        known = self.ids[-1]
        if not isinstance(params, (list, dict)) or (known and number <= known[-1]):
            self.wrong.append(value)
            return error(number, -32600)
        known.append(number)
        match method, params:
            case "subtract", [a, b] | {"minuend": a, "subtrahend": b}:
                return {"jsonrpc": "2.0", "id": number, "result": a - b}
            case "subtract", _:
                return error(number, -32602)
            case "hang", []:
                self.hung.set()
                return None
        return error(number, -32601)

    async def say(self, value: Any) -> None:
        await self.sockets[-1].send(json.dumps(value))


def error(number: Any, code: int) -> Any:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": "refused"}}


def store_of(url: str) -> WebSocketStore[Any]:
    options: Any = {"message_type": Any, "reconnect_delay": 0.01}
    return use_websocket(url, protocol=JsonRpc(), **options)


async def test_calls_notifications_and_batches_go_on_after_a_drop() -> None:
    server = Server()
    async with peer(server) as url, store_of(url) as store:
        messages, ticks = record(store.messages), record(store.channel("tick"))
        errors = record(store.errors)

        async def result(call: Call) -> Any:
            answer = await store.request(call, timeout=5)
            assert answer["jsonrpc"] == "2.0"
            return answer.get("result", answer.get("error", {}).get("code"))

        assert await result(Call("subtract", [42, 23])) == 19  # queued before the connection
        assert await result(Call("subtract", {"subtrahend": 23, "minuend": 42})) == 19
        assert await result(Call("subtract", [1])) == -32602
        assert await result(Call("foobar")) == -32601
        told = store.send({"method": "update", "params": [1]})
        called = store.send(Call("subtract", [2, 1]))
        for receipt in (told, called):
            await receipt.delivered(timeout=5)
        log = {"method": "log"}
        batch = [Call("subtract", [3, 1]), log, Call("subtract", [9, 1])]
        answers = await store.request(batch, timeout=5)
        assert [answer["result"] for answer in answers] == [8, 2]

        await server.say({"jsonrpc": "2.0", "method": "tick", "params": [1]})
        calls = [{"jsonrpc": "2.0", "method": "ask", "id": "7"}]
        await server.say([*calls, {"jsonrpc": "2.0", "method": "tick"}])
        lost = store.request(Call("hang"), timeout=5)
        await asyncio.wait_for(server.hung.wait(), 5)
        server.sockets[-1].transport.abort()
        with pytest.raises(RequestLost):
            await lost
        store.send({"id": "7", "result": "yes"})
        late = store.request([Call("subtract", [5, 2]), Call("foobar")], timeout=5)
        assert [each["id"] for each in await late] == [2, 1]
        assert await result(Call("subtract", [7, 7])) == 0
        await server.say({"jsonrpc": "2.0", "method": "tick", "params": {"n": 2}})
        await server.say(error(None, -32700))
        await result(Call("subtract", [1, 1]))
        assert ticks == [[1], None, {"n": 2}]
        methods = [message.get("method") for message in messages]
        assert methods == ["tick", "ask", "tick", "tick", None]
        assert store.stats.invalid == 0
        assert {getattr(error, "state", error) for error in errors} <= {"in_doubt"}
    assert server.ids == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4]]
    assert server.told == [("update", [1]), ("log", [])]
    assert server.answered == [("7", "yes")]
    assert server.wrong == []
