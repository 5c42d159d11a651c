"""The example for Home Assistant against a strict peer, written to the service's public text."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from examples.protocols.home_assistant import HomeAssistant
from heimdall_reactive import Status, StoreError, use_websocket
from tests.peers import peer
from tests.support import record, run

TOKEN = "long-lived"


class Service:
    """Refuses what comes before the login, and ids that do not rise."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.topics: dict[int, str] = {}
        self.commands: list[Any] = []
        self.wrong: list[str] = []

    async def __call__(self, socket: ServerConnection) -> None:
        await socket.send('{"type": "auth_required", "ha_version": "2025.2.5"}')
        first = json.loads(await socket.recv())
        if first != {"type": "auth", "access_token": TOKEN}:
            await socket.send('{"type": "auth_invalid", "message": "Invalid access token"}')
            self.wrong.append(first["type"])
            return
        await socket.send('{"type": "auth_ok", "ha_version": "2025.2.5"}')
        self.sockets.append(socket)
        self.topics, newest = {}, 0
        async for text in socket:
            command = json.loads(text)
            good = command["id"] > newest and command.get("event_type") != "secret"
            newest = max(newest, command["id"])
            self.commands.append(command)
            if command["type"] == "subscribe_events" and good:
                self.topics[command["id"]] = command["event_type"]
            answer = {"id": command["id"], "type": "result", "success": good, "result": "done"}
            await socket.send(json.dumps(answer))

    async def fire(self, topic: str, data: Any) -> None:
        for number, name in self.topics.items():
            if name == topic:
                event = {"id": number, "type": "event", "event": {"data": data}}
                await self.sockets[-1].send(json.dumps(event))


def test_events_and_requests_go_on_after_a_drop() -> None:
    async def main() -> None:
        service = Service()
        options: Any = {"access_token": TOKEN, "reconnect_delay": 0.01}
        async with (
            peer(service) as url,
            use_websocket(url, protocol=HomeAssistant(), message_type=Any, **options) as store,
        ):
            events = record(store.channel("state_changed"))
            answer = await store.request({"type": "get_config"}, timeout=5)
            assert (answer["id"], answer["result"]) == (2, "done")
            await service.fire("state_changed", 1)
            service.sockets[-1].transport.abort()
            await store.wait_for(lambda state: state.session == 2, 5)
            queued = await store.request({"type": "get_states"}, timeout=5)
            assert queued["success"]
            await service.fire("state_changed", 2)
            store.channel("other").subscribe().dispose()
            other = store.channel("other").subscribe()
            await store.request({"type": "ping"}, timeout=5)
            other.dispose()
            await store.request({"type": "ping"}, timeout=5)
            assert [event["data"] for event in events] == [1, 2]
            refused: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
            store.channel("secret").subscribe(on_error=refused.set_result)
            assert isinstance(await asyncio.wait_for(refused, 5), StoreError)
        ids = [command["id"] for command in service.commands]
        assert ids == [1, 2, *range(1, len(ids) - 1)]
        left = [c for c in service.commands if c["type"] == "unsubscribe_events"]
        assert [command["subscription"] for command in left] == [3]
        assert service.wrong == []

    run(main)


@pytest.mark.parametrize("attempts", [5])
def test_a_wrong_token_fails(attempts: int) -> None:
    async def main() -> None:
        service = Service()
        options: Any = {"access_token": "wrong", "max_reconnect_attempts": attempts}
        async with (
            peer(service) as url,
            use_websocket(url, protocol=HomeAssistant(), **options) as store,
        ):
            state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
            assert "refused the access token" in str(state.error)
        assert service.wrong == ["auth"]

    run(main)
