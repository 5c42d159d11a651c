"""A gateway in Discord's manner: it says how often to beat, and resumes a session by its sequence.

Source: https://discord.com/developers/docs/events/gateway
Run: python -m examples.protocols.gateway wss://gateway.discord.gg TOKEN
"""

from __future__ import annotations

import random
import sys
from contextlib import suppress
from typing import Any

from heimdall_reactive import ProtocolSession, Refused, SessionProtocol, use_websocket

QUERY = "/?v=10&encoding=json"
DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID, HELLO = 0, 1, 2, 6, 7, 9, 10


class Gateway(SessionProtocol, overlaps=False):
    """One object for each store; its attributes are what the next connection resumes from."""

    def __init__(self, intents: int) -> None:
        self._known: dict[str, Any] = {}  # the session and its last sequence, where there is one
        self._resume_url, self._intents = "", intents

    async def endpoint(self, attempt: int) -> str | None:
        """Resume where the server said; after three failures at the store's URL."""
        return self._resume_url + QUERY if self._known and attempt <= 3 else None

    async def handshake(self, session: ProtocolSession) -> None:
        """Begin to beat, and resume the session or identify for a new one."""
        hello = await session.recv(lambda message: message["op"] == HELLO)
        interval = hello["d"]["heartbeat_interval"] / 1000
        session.every(interval, lambda: self._beat(session), first=interval * random.random())
        session.expect(2 * interval)
        if self._known:
            session.send({"op": RESUME, "d": {"token": await session.token(), **self._known}})
            await self._answer(session, "RESUMED")  # the missed events come before it
            session.recovered()
            return
        mine = {"os": sys.platform, "browser": "example", "device": "example"}
        login = {"token": await session.token(), "intents": self._intents, "properties": mine}
        session.send({"op": IDENTIFY, "d": login})
        ready = await self._answer(session, "READY")
        self._resume_url = ready["d"]["resume_gateway_url"]
        self._known = {"session_id": ready["d"]["session_id"], "seq": ready["s"]}

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Show the events, and do what the gateway asks for."""
        if envelope["op"] == DISPATCH:
            self._known["seq"] = envelope["s"]
            return envelope
        if envelope["op"] == HEARTBEAT:
            self._beat(session)
        elif envelope["op"] in (RECONNECT, INVALID):
            self._forget_invalid(envelope)
            session.reconnect(code=4000)  # 1000 would end the session on the server
        return None

    async def _answer(self, session: ProtocolSession, name: str) -> Any:
        answer: Any = {"op": DISPATCH}
        with suppress(Refused):  # `recv` keeps a thousand missed events: then it does resume
            answer = await session.recv(lambda one: one["op"] == INVALID or one["t"] == name)
        if answer["op"] == INVALID:
            self._forget_invalid(answer)
            session.refuse("the gateway does not know this session")
        return answer

    def _forget_invalid(self, answer: Any) -> None:
        if answer["op"] == INVALID and not answer["d"]:
            self._known = {}

    def _beat(self, session: ProtocolSession) -> None:
        session.send({"op": HEARTBEAT, "d": self._known.get("seq")})


if __name__ == "__main__":
    url, token = sys.argv[1:3]
    rules = {"close 4004": "stop", "close 4010-4014": "stop"}
    options: Any = {"access_token": token, "reconnect_rules": rules, "send_rate": (110, 60.0)}
    with use_websocket(url + QUERY, protocol=Gateway(513), message_type=Any, **options) as store:
        for event in store.iterate():
            print(event)
