"""AWS AppSync's subscriptions: credentials in a subprotocol, and a timeout that the server gives.

Source: https://docs.aws.amazon.com/appsync/latest/devguide/real-time-websocket-client.html
Run: python -m examples.protocols.appsync ID.appsync-api.REGION.amazonaws.com KEY "subscription ..."
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from typing import Any

import heimdall_reactive as heimdall


class AppSync(heimdall.SessionProtocol, overlaps=False):
    """`store.channel("subscription { ... }")` has the results of a subscription, by its text.

    Args:
        authorize: returns the credentials of an attempt, such as
            `{"host": ..., "x-api-key": ...}` or `{"host": ..., "Authorization": ...}`.
    """

    def __init__(self, authorize: Callable[[], dict[str, str]]) -> None:
        self._authorize = authorize
        self._names: dict[str, str] = {}  # of the subscriptions of this session, by their ids
        self.channels = heimdall.ChannelProtocol(
            subscribe=lambda name: ("start", name),
            unsubscribe=lambda name: ("stop", name),
            match=self._match,
            json_text=False,
        )

    async def endpoint(self, attempt: int) -> str | None:
        """Offer the credentials as a subprotocol, where no log of URLs has them."""
        text = base64.urlsafe_b64encode(json.dumps(self._authorize()).encode()).decode()
        self.subprotocols = ("graphql-ws", "header-" + text.rstrip("="))
        return None

    async def handshake(self, session: heimdall.ProtocolSession) -> None:
        """Wait for the acknowledgement; it says how long the server may be silent."""
        self._names.clear()
        session.send({"type": "connection_init"})
        answer = await session.recv(lambda message: message["type"].startswith("connection_"))
        if answer["type"] == "connection_error":
            session.refuse(f"AppSync refused: {answer['payload']['errors'][0]['errorType']}")
        session.expect(answer["payload"]["connectionTimeoutMs"] / 1000)

    def receive(self, envelope: Any, session: heimdall.ProtocolSession) -> Any:
        """Show the results."""
        return envelope if envelope["type"] == "data" else None

    def prepare(self, value: Any, session: heimdall.ProtocolSession) -> Any:
        """Start a subscription of this session with its own credentials, or stop it."""
        word, name = value
        if word == "stop":
            number = next(number for number, known in self._names.items() if known == name)
            del self._names[number]
            return {"id": number, "type": "stop"}
        self._names[number := str(session.next_id())] = name
        data = json.dumps({"query": name, "variables": {}})
        payload = {"data": data, "extensions": {"authorization": self._authorize()}}
        return {"id": number, "type": "start", "payload": payload}

    def _match(self, message: Any) -> tuple[str, Any] | None:
        number = message.get("id")
        if number not in self._names or message["type"] == "start_ack":
            return None
        if message["type"] == "data":
            return self._names[number], message["payload"]
        errors = message.get("payload", {}).get("errors", ())
        error = heimdall.StoreError("; ".join(f"{each['errorType']}" for each in errors))
        return self._names.pop(number), heimdall.Failed(error) if errors else heimdall.Ended()


if __name__ == "__main__":
    host, key, text = sys.argv[1:]
    url = f"wss://{host.replace('appsync-api', 'appsync-realtime-api')}/graphql"
    protocol = AppSync(lambda: {"host": host, "x-api-key": key})
    with heimdall.use_websocket(url, protocol=protocol) as store:
        store.channel(text).subscribe(print, print)
        for _ in store.iterate():
            pass
