"""Slack's Socket Mode: a URL by HTTP for each connection, and envelopes that are acknowledged.

Source: https://docs.slack.dev/apis/events-api/using-socket-mode
Run: python -m examples.protocols.slack xapp-TOKEN
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

from pydantic import SecretStr

from heimdall_reactive import ProtocolSession, Refused, SessionProtocol, use_websocket

API = "https://slack.com/api"
FINAL = ("invalid_auth", "not_authed", "account_inactive", "token_revoked", "forbidden_team")


class SlackSocketMode(SessionProtocol):
    """One object for each store, whose messages are the envelopes.

    Each is acknowledged when it comes, before it is observed. What is lost before that, Slack sends
    again. A connection that Slack is going to end is read to its end beside the next one.

    Args:
        app_token: with the scope `connections:write`.
        respond: returns the payload of an acknowledgement, None for none.
        api: where the web API is.
    """

    def __init__(
        self, app_token: str, respond: Callable[[Any], Any] = lambda envelope: None, api: str = API
    ) -> None:
        self._token, self._respond, self._api = SecretStr(app_token), respond, api

    async def endpoint(self, attempt: int) -> str | None:
        """Ask for the URL, which is good for one connection."""
        answer = await asyncio.to_thread(self._open)
        if not answer["ok"]:
            action: Any = "stop" if answer["error"] in FINAL else "retry"
            raise Refused(f"Slack refused to open a connection: {answer['error']}", action)
        return str(answer["url"])

    async def handshake(self, session: ProtocolSession) -> None:
        """Wait for the greeting."""
        await session.recv(lambda message: message["type"] == "hello")

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Acknowledge an envelope and show it; connect again before Slack disconnects."""
        if envelope["type"] == "disconnect":
            if envelope["reason"] == "link_disabled":
                session.refuse("Socket Mode was switched off", "stop")
            session.reconnect(overlap=True)
        if "envelope_id" not in envelope:
            return None
        payload = self._respond(envelope)
        answer = {} if payload is None else {"payload": payload}
        session.send({"envelope_id": envelope["envelope_id"], **answer})
        return envelope

    def _open(self) -> Any:
        headers = {"Authorization": f"Bearer {self._token.get_secret_value()}"}
        request = Request(f"{self._api}/apps.connections.open", b"", headers)
        with urlopen(request, timeout=10) as answer:
            return json.load(answer)


if __name__ == "__main__":
    protocol = SlackSocketMode(sys.argv[1])
    with use_websocket("wss://wss-primary.slack.com", protocol=protocol) as store:
        for envelope in store.iterate():
            print(envelope)
