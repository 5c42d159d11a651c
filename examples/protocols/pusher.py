"""Pusher Channels: JSON in JSON, a silence to break in time, and channels that somebody authorizes.

Source: https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol
Run: python -m examples.protocols.pusher "wss://ws-CLUSTER.pusher.com/app/KEY?protocol=7" CHANNEL
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from heimdall_reactive import (
    ChannelProtocol,
    Failed,
    ProtocolSession,
    SessionProtocol,
    StoreError,
    use_websocket,
)


class Pusher(SessionProtocol, overlaps=False):
    """`store.channel("news")` has the events of a channel; `store.send()` takes a client's events.

    `authorize` is for private channels. It gets the id of the socket and the name of the channel,
    and returns what their owner signs them with, such as `{"auth": ...}`.
    """

    def __init__(self, authorize: Callable[[str, str], Any] = lambda socket, name: {}) -> None:
        self._authorize, self._socket = authorize, ""
        self.channels = ChannelProtocol(
            subscribe=lambda name: {"event": "pusher:subscribe", "data": {"channel": name}},
            unsubscribe=lambda name: {"event": "pusher:unsubscribe", "data": {"channel": name}},
            match=self._match,
            json_text=False,
        )

    async def handshake(self, session: ProtocolSession) -> None:
        """Get the id of this socket, and how long it may be silent."""
        opened = await session.recv()
        self.receive(opened, session)
        self._socket, silence = opened["data"]["socket_id"], opened["data"]["activity_timeout"]
        session.every(silence, lambda: session.send({"event": "pusher:ping", "data": {}}))
        session.expect(silence + 30)

    def decode(self, data: Any, session: ProtocolSession) -> list[Any]:
        """Read a message, and its data, which the server encodes as JSON text."""
        message = json.loads(data)
        with suppress(KeyError, TypeError, ValueError):  # there are none, or they are as they are
            message["data"] = json.loads(message["data"])
        return [message]

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Answer pings; an error with a code ends the connection, and says whether to come back."""
        event, data = envelope["event"], envelope.get("data")
        if event == "pusher:ping":
            session.send({"event": "pusher:pong", "data": {}})
        if event == "pusher:error" and (code := data["code"]):
            again: Any = "stop" if 4000 <= code < 4100 else "retry"
            session.refuse(f"Pusher answered {code}: {data['message']}", again)
        return None if event.startswith(("pusher:p", "pusher_internal:")) else envelope

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Add the signature for this socket to a subscription."""
        if value["event"] != "pusher:subscribe":
            return value
        name = value["data"]["channel"]
        return {**value, "data": {"channel": name, **self._authorize(self._socket, name)}}

    def _match(self, message: Any) -> tuple[str, Any] | None:
        name, event = message.get("channel"), message["event"]
        if event == "pusher:subscription_error":
            return name, Failed(StoreError(f"Pusher refused {name!r}: {message['data']}"))
        return None if event.startswith("pusher") else (name, message)


if __name__ == "__main__":
    with use_websocket(sys.argv[1], protocol=Pusher(), message_type=Any) as store:
        store.channel(sys.argv[2]).subscribe(print)
        for _ in store.iterate():
            pass
