"""The example for Slack's Socket Mode against a strict peer, written to the public text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from examples.protocols.slack import SlackSocketMode
from heimdall_reactive import Refused, Status, WebSocketStore, use_websocket
from tests.peers import peer, raw_peer
from tests.support import record, until

TOKEN = "xapp-1"


class Slack:
    """Opens a connection for each ticket, once, and wants each envelope acknowledged once."""

    def __init__(self) -> None:
        self.url = ""
        self.tickets: list[str] = []
        self.used: list[str] = []
        self.sockets: list[ServerConnection] = []
        self.envelopes: dict[str, Any] = {}  # what waits for its acknowledgement
        self.acknowledged: list[tuple[str, Any]] = []
        self.wrong: list[Any] = []

    async def open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer `apps.connections.open`."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        answer: Any = {"ok": False, "error": "invalid_auth"}
        if not head.startswith("POST /api/apps.connections.open "):
            answer = {"ok": False, "error": "unknown_method"}
        elif f"Authorization: Bearer {TOKEN}\r\n" in head:
            self.tickets.append(f"t{len(self.tickets)}")
            answer = {"ok": True, "url": f"{self.url}/link/?ticket={self.tickets[-1]}"}
        body = json.dumps(answer)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()

    def check(self, socket: ServerConnection, request: Request) -> Response | None:
        ticket = request.path.partition("=")[2]
        if ticket not in self.tickets or ticket in self.used or "Authorization" in request.headers:
            self.wrong.append(request.path)
            return socket.respond(HTTPStatus.NOT_FOUND, "no such ticket")
        self.used.append(ticket)
        return None

    async def __call__(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        await self.say({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A"}})
        for envelope in tuple(self.envelopes.values()):
            await self.say({**envelope, "retry_attempt": 1, "retry_reason": "timeout"})
        async for text in socket:
            match json.loads(text):
                case {"envelope_id": str(name), **rest} if name in self.envelopes:
                    if rest.keys() - {"payload"}:
                        self.wrong.append(text)
                    del self.envelopes[name]
                    self.acknowledged.append((name, rest.get("payload")))
                case message:
                    self.wrong.append(message)
                    await socket.close(1008, "unknown envelope")

    async def say(self, message: Any) -> None:
        await self.sockets[-1].send(json.dumps(message))

    async def fire(self, name: str, kind: str = "events_api", lost: bool = False) -> None:
        responds = kind != "events_api"
        envelope = {"envelope_id": name, "type": kind, "payload": {"name": name}}
        self.envelopes[name] = {**envelope, "accepts_response_payload": responds}
        if not lost:
            await self.say(self.envelopes[name])


@asynccontextmanager
async def slack_and_store(
    slack: Slack, token: str = TOKEN
) -> AsyncIterator[tuple[str, WebSocketStore[Any]]]:
    def respond(envelope: Any) -> Any:
        return {"text": "done"} if envelope["accepts_response_payload"] else None

    async with (
        peer(slack, process_request=slack.check) as slack.url,
        raw_peer(slack.open, upgrade=False) as http,
    ):
        protocol = SlackSocketMode(token, respond, f"{http.replace('ws:', 'http:')}/api")
        options: Any = {"message_type": Any, "reconnect_delay": 0.01}
        async with use_websocket(slack.url, protocol=protocol, **options) as store:
            yield token, store


async def test_each_envelope_is_acknowledged_over_drops_and_planned_reconnections() -> None:
    slack = Slack()
    async with slack_and_store(slack) as (_, store):
        seen, errors = record(store.messages), record(store.errors)
        gaps = record(store.gaps)

        async def heard(name: str) -> None:
            await until(store, lambda: any(one["envelope_id"] == name for one in seen))
            await (await slack.sockets[-1].ping())  # behind its answer nothing is under way

        await store.wait_connected(5)
        await slack.fire("a")
        await slack.fire("b", "slash_commands")
        await heard("b")
        slack.sockets[-1].transport.abort()
        await slack.fire("c", lost=True)
        await heard("c")
        for reason in ("warning", "refresh_requested"):
            session = store.state.value.session
            await slack.say({"type": "disconnect", "reason": reason, "debug_info": {}})
            await slack.fire(f"behind {reason}")  # on the connection that Slack will end
            await store.wait_for(lambda state, n=session: state.session == n + 1, 5)  # type: ignore[misc]
            await slack.fire(reason)
            await heard(reason)
        names = ["behind warning", "warning", "behind refresh_requested", "refresh_requested"]
        assert [one["envelope_id"] for one in seen] == [*"abc", *names]
        assert {getattr(error, "state", error) for error in errors} <= {"in_doubt"}
        assert gaps[1:] == []  # the first is that of the drop
        assert store.state.value.attempt == 0

        await slack.say({"type": "disconnect", "reason": "link_disabled", "debug_info": {}})
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert isinstance(state.error, Refused)
    assert slack.acknowledged == [
        ("a", None),
        ("b", {"text": "done"}),
        *((name, None) for name in ("c", *names)),
    ]
    assert slack.used == slack.tickets == ["t0", "t1", "t2", "t3"]
    assert slack.wrong == []


async def test_a_token_that_slack_does_not_know_ends_it_without_showing_the_token() -> None:
    slack = Slack()
    async with slack_and_store(slack, "xapp-s3cret") as (token, store):
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert "invalid_auth" in str(state.error)
        assert token not in repr((state, store, store.journal))
    assert (slack.tickets, slack.wrong) == ([], [])
