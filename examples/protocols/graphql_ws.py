"""GraphQL over WebSocket (`graphql-transport-ws`): subscriptions with ids, which the server ends.

Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
Run: python -m examples.protocols.graphql_ws wss://HOST/graphql "subscription { ... }"
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import Any

from heimdall_reactive import (
    ChannelProtocol,
    Ended,
    Failed,
    ProtocolSession,
    SessionProtocol,
    StoreError,
    use_websocket,
)


class GraphQL(SessionProtocol, overlaps=False):
    """`store.channel("subscription { ... }")` has the results of a subscription, by its text.

    `await store.request({"query": ..., "variables": ...})` runs a query or a mutation.
    """

    subprotocols = ("graphql-transport-ws",)

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # of the subscriptions of this session, by their ids
        self.channels = ChannelProtocol(
            subscribe=lambda name: ("subscribe", name),
            unsubscribe=lambda name: ("complete", name),
            match=self._match,
            json_text=False,
        )

    async def handshake(self, session: ProtocolSession) -> None:
        """Begin with the token, where there is one, and wait for the acknowledgement."""
        self._names.clear()
        token = {"Authorization": f"Bearer {await session.token()}"} if session.has_token else {}
        session.send({"type": "connection_init", "payload": token})
        await session.recv(lambda message: message["type"] == "connection_ack")

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Answer pings, and return the results."""
        if envelope["type"] == "ping":
            session.send({"type": "pong"})
        return None if envelope["type"] in ("ping", "pong") else envelope

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Number an operation of this session, and note the channel that its results belong to."""
        word, name = value if isinstance(value, tuple) else ("subscribe", None)
        if word == "complete":
            number = next(number for number, known in self._names.items() if known == name)
            del self._names[number]
            return {"id": number, "type": "complete"}
        number = str(session.next_id())
        if name is not None:
            self._names[number], value = name, {"query": name}
        return {"id": number, "type": "subscribe", "payload": value}

    def correlate(self, value: Any) -> Hashable | None:
        """Return the id of an operation that is not a channel's; its first result answers it."""
        number: Hashable = value.get("id")
        return None if number in self._names or value["type"] == "complete" else number

    def _match(self, message: Any) -> tuple[str, Any] | None:
        number = message.get("id")
        if number not in self._names:
            return None
        if message["type"] == "next":
            return self._names[number], message["payload"]
        text = "; ".join(each["message"] for each in message.get("payload", ()))
        ended = message["type"] == "complete"
        return self._names.pop(number), Ended() if ended else Failed(StoreError(text))


if __name__ == "__main__":
    with use_websocket(sys.argv[1], protocol=GraphQL(), message_type=Any) as store:
        store.channel(sys.argv[2]).subscribe(print)
        for _ in store.iterate():
            pass
