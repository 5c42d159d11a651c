"""The example for Home Assistant against a strict peer, and against Home Assistant itself."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from examples.protocols.home_assistant import HomeAssistant
from heimdall_reactive import Status, StoreError, use_websocket
from heimdall_reactive.testing import FaultProxy, Reset
from tests.peers import peer
from tests.support import beyond_doubt, record

from .programs import free_port, running

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


async def test_events_and_requests_go_on_after_a_drop() -> None:
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


@pytest.mark.parametrize("attempts", [5])
async def test_a_wrong_token_fails(attempts: int) -> None:
    service = Service()
    options: Any = {"access_token": "wrong", "max_reconnect_attempts": attempts}
    async with (
        peer(service) as url,
        use_websocket(url, protocol=HomeAssistant(), **options) as store,
    ):
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert "refused the access token" in str(state.error)
    assert service.wrong == ["auth"]


USER, LOGIN, KEY = "1" * 32, "2" * 32, "3" * 128
ACCOUNTS = {
    "users": [
        {
            "id": USER,
            "name": "test",
            "group_ids": ["system-admin"],
            "is_owner": True,
            "is_active": True,
            "system_generated": False,
            "local_only": False,
        }
    ],
    "groups": [{"id": "system-admin", "name": "Administrators"}],
    "credentials": [],
    "refresh_tokens": [
        {
            "id": LOGIN,
            "user_id": USER,
            "token": "4" * 128,
            "jwt_key": KEY,
            "token_type": "long_lived_access_token",
            "client_name": "test",
            **dict.fromkeys(["client_id", "client_icon", "last_used_at", "last_used_ip"]),
            **dict.fromkeys(["expire_at", "credential_id"]),
            "created_at": "2025-01-01T00:00:00+00:00",
            "access_token_expiration": 1e9,
        }
    ],
}


def long_lived_token() -> str:
    """Return what the profile page of Home Assistant would show for this account."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    now = int(time.time())
    claims = {"iss": LOGIN, "iat": now - 10, "exp": now + 3600}
    text = b".".join(part(json.dumps(each).encode()) for each in ({"alg": "HS256"}, claims))
    return (text + b"." + part(hmac.digest(KEY.encode(), text, "sha256"))).decode()


@pytest.fixture
def itself(tmp_path: Path) -> Iterator[str]:
    program = shutil.which(os.environ.get("HEIMDALL_HASS", "hass"))
    if program is None:
        pytest.skip("Home Assistant is missing: set HEIMDALL_HASS to its program `hass`")
    port = free_port()
    (tmp_path / "configuration.yaml").write_text(f"""
http: {{server_host: 127.0.0.1, server_port: {port}}}
websocket_api:
logger: {{default: warning, logs: {{homeassistant.bootstrap: info}}}}
""")
    (tmp_path / ".storage").mkdir()
    stored = {"version": 1, "minor_version": 1, "key": "auth", "data": ACCOUNTS}
    (tmp_path / ".storage" / "auth").write_text(json.dumps(stored))
    with running([program, "-c", tmp_path, "--skip-pip"], "initialized in"):
        yield f"ws://127.0.0.1:{port}/api/websocket"


async def test_events_of_home_assistant_itself_go_on_after_a_drop(itself: str) -> None:
    options: Any = {"access_token": long_lived_token(), "reconnect_delay": 0.05}
    options |= {"message_type": Any, "max_reconnect_attempts": None}
    async with (
        FaultProxy(itself) as proxy,
        use_websocket(proxy.url, protocol=HomeAssistant(), **options) as store,
    ):

        async def fire(number: int) -> Any:
            event = {"event_type": "made_here", "event_data": {"number": number}}
            return await store.request({"type": "fire_event", **event}, timeout=20)

        errors, events = record(store.errors), record(store.channel("made_here"))
        assert (await fire(1))["success"]
        answer = await store.request({"type": "unknown"}, timeout=5)
        assert answer["error"]["code"] == "unknown_command"
        proxy.now(Reset())
        await store.wait_for(lambda state: not state.is_connected, 5)
        queued = fire(2)
        assert (await queued)["success"]
        store.channel("other").subscribe().dispose()
        other = store.channel("other").subscribe()
        assert (await store.request({"type": "ping"}, timeout=5))["type"] == "pong"
        other.dispose()
        assert (await store.request({"type": "ping"}, timeout=5))["type"] == "pong"
        assert [event["data"]["number"] for event in events] == [1, 2]
        assert (beyond_doubt(errors), store.stats.invalid) == ([], 0)
    options["access_token"] = "wrong"
    async with use_websocket(itself, protocol=HomeAssistant(), **options) as store:
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert "refused the access token" in str(state.error)
