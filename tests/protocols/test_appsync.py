"""The example for AppSync against a strict peer, written to the public text."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.typing import Subprotocol

from examples.protocols.appsync import AppSync
from heimdall_reactive import Status, StoreError, use_websocket
from heimdall_reactive.testing import ScriptedPeer
from tests.peers import peer
from tests.support import record
from tests.virtual import URL, loop

HOST = "example.appsync-api.eu-west-1.amazonaws.com"
TICKS, ONCE = "subscription { ticks }", "subscription { once }"
TOO_MANY = "subscription { tooMany }"


class Service:
    """Names what is out of order in an error of the text, and closes."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.credentials: list[Any] = []
        self.running: dict[str, str] = {}  # subscriptions of the newest socket, by their ids
        self.seen: list[list[str]] = []
        self.wrong: list[str] = []

    @staticmethod
    def choose(socket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return Subprotocol("graphql-ws") if "graphql-ws" in offered else None

    async def __call__(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        self.seen.append([])
        self.running, begun = {}, False
        assert socket.request is not None
        offered = socket.request.headers["Sec-WebSocket-Protocol"].split(", ")
        header = next(name for name in offered if name.startswith("header-"))[7:]
        given = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
        self.credentials.append(given)
        async for text in socket:
            match json.loads(text):
                case {"type": "connection_init"} if begun:
                    await self.refuse("UnsupportedOperation")
                case {"type": "connection_init"} if not is_right(given):
                    await self.refuse("UnauthorizedException")
                case {"type": "connection_init"}:
                    begun = True
                    await self.say(
                        {"type": "connection_ack", "payload": {"connectionTimeoutMs": 300000}}
                    )
                    await self.say({"type": "ka"})
                case {"type": "start", "id": str(number), "payload": payload} if begun:
                    await self.start(number, payload)
                case {"type": "stop", "id": str(number)} if number in self.running:
                    await self.end(self.running[number])
                case _:
                    await self.refuse("UnsupportedOperation")

    async def refuse(self, kind: str) -> None:
        self.wrong.append(kind)
        errors = [{"errorType": kind, "errorCode": 400}]
        await self.say({"type": "connection_error", "payload": {"errors": errors}})
        await self.sockets[-1].close()

    async def start(self, number: str, payload: Any) -> None:
        allowed = is_right(payload["extensions"]["authorization"])
        if number in self.running or not allowed or payload.keys() != {"data", "extensions"}:
            await self.refuse("BadRequestException")
        query = json.loads(payload["data"])["query"]
        self.seen[-1].append(query)
        if query == TOO_MANY:
            errors = [{"errorType": "MaxSubscriptionsReachedError", "message": "too many"}]
            await self.say({"type": "error", "id": number, "payload": {"errors": errors}})
            return
        self.running[number] = query
        await self.say({"type": "start_ack", "id": number})

    async def say(self, message: Any) -> None:
        await self.sockets[-1].send(json.dumps(message))

    async def publish(self, query: str, data: Any) -> None:
        for number, running in self.running.items():
            if running == query:
                await self.say({"type": "data", "id": number, "payload": {"data": data}})

    async def end(self, query: str) -> None:
        for number in [number for number, running in self.running.items() if running == query]:
            del self.running[number]
            await self.say({"type": "complete", "id": number})

    async def behind(self) -> None:
        """Return when nothing is under way."""
        for _ in range(2):
            await (await self.sockets[-1].ping())


def is_right(given: Any) -> bool:
    return bool(given["host"] == HOST and given["Authorization"].startswith("jwt-"))


async def test_subscriptions_go_on_after_a_drop_with_new_credentials() -> None:
    service, made = Service(), list[str]()

    def authorize() -> dict[str, str]:
        made.append(f"jwt-{len(service.sockets)}")
        return {"host": HOST, "Authorization": made[-1]}

    async with peer(service, select_subprotocol=service.choose) as url:
        options: Any = {"message_type": Any, "reconnect_delay": 0.01}
        async with use_websocket(f"{url}/graphql", protocol=AppSync(authorize), **options) as store:
            errors, ended = record(store.errors), asyncio.Event()
            ticks = list[Any]()
            subscription = store.channel(TICKS).subscribe(ticks.append)
            store.channel(ONCE).subscribe(on_completed=ended.set)
            await store.wait_connected(5)
            await service.behind()
            await service.publish(TICKS, 1)
            await service.end(ONCE)
            await asyncio.wait_for(ended.wait(), 5)
            service.sockets[-1].transport.abort()
            await store.wait_for(lambda state: state.session == 2, 5)
            await service.behind()
            await service.publish(TICKS, 2)
            failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
            store.channel(TOO_MANY).subscribe(on_error=failed.set_result)
            error = await asyncio.wait_for(failed, 5)
            assert isinstance(error, StoreError)
            assert "MaxSubscriptionsReachedError" in str(error)
            subscription.dispose()
            await service.behind()
            assert service.running == {}
            assert ticks == [{"data": 1}, {"data": 2}]
            assert {getattr(error, "state", error) for error in errors} <= {"in_doubt"}
    assert service.seen == [[TICKS, ONCE], [TICKS, TOO_MANY]]
    assert [each["Authorization"] for each in service.credentials] == ["jwt-0", "jwt-1"]
    assert service.wrong == []


async def test_credentials_that_are_refused_end_it_after_the_attempts_and_are_shown_nowhere() -> (
    None
):
    service, secret = Service(), "s3cret"
    async with peer(service, select_subprotocol=service.choose) as url:
        protocol = AppSync(lambda: {"host": HOST, "Authorization": secret})
        options: Any = {"max_reconnect_attempts": 1, "reconnect_delay": 0.01}
        async with use_websocket(f"{url}/graphql", protocol=protocol, **options) as store:
            state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
            assert "UnauthorizedException" in str(state.error)
            shown = repr((state, store, store.journal))
            assert secret not in shown
            assert "header-" not in shown
    assert service.wrong == ["UnauthorizedException"] * 2


@pytest.mark.heimdall_virtual_time
async def test_a_server_that_is_silent_for_longer_than_it_said_is_left() -> None:
    peer = ScriptedPeer()
    protocol = AppSync(lambda: {"host": HOST})
    async with use_websocket(URL, transport=peer, protocol=protocol, ping_interval=None) as store:
        link = await peer.accepted()
        await loop().idle()
        link.send({"type": "connection_ack", "payload": {"connectionTimeoutMs": 300_000}})
        await store.wait_connected()
        for _ in range(10):
            await asyncio.sleep(60)
            link.send({"type": "ka"})
        await asyncio.sleep(299)
        assert store.connected
        await asyncio.sleep(2)
        assert not store.connected
