"""Home Assistant: a login before anything, ids that rise, and events by subscription.

Source: https://developers.home-assistant.io/docs/api/websocket
Run: python -m examples.protocols.home_assistant wss://HOST/api/websocket TOKEN
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import Any

from heimdall_reactive import (
    ChannelProtocol,
    Failed,
    ProtocolSession,
    SessionProtocol,
    StoreError,
    use_websocket,
)


class HomeAssistant(SessionProtocol, overlaps=False):
    """One object for each store; `store.channel("state_changed")` has the events of a type."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}  # of the subscriptions of this session, by their ids
        self.channels = ChannelProtocol(
            subscribe=lambda name: {"type": "subscribe_events", "event_type": name},
            unsubscribe=lambda name: {"type": "unsubscribe_events", "subscription": name},
            match=self._match,
            json_text=False,
        )

    async def handshake(self, session: ProtocolSession) -> None:
        """Log in; a refused token is asked for again."""
        self._names.clear()
        await session.recv(lambda message: message["type"] == "auth_required")
        session.send({"type": "auth", "access_token": await session.token()})
        answer = await session.recv(lambda message: message["type"].startswith("auth_"))
        if answer["type"] == "auth_invalid":
            session.refuse("Home Assistant refused the access token", "refresh")

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Number a command of this session, and note what its events belong to."""
        number = session.next_id()
        if value["type"] == "subscribe_events":
            self._names[number] = value["event_type"]
        elif value["type"] == "unsubscribe_events":  # of the newest subscription of that name
            ids = [known for known, name in self._names.items() if name == value["subscription"]]
            value = {**value, "subscription": ids[-1]}
            del self._names[ids[-1]]
        return {"id": number, **value}

    def correlate(self, value: Any) -> Hashable | None:
        """Return the id; events have the id of their subscription, and answer nothing."""
        number: Hashable = value.get("id") if value["type"] != "event" else None
        return number

    def _match(self, message: Any) -> tuple[str, Any] | None:
        name = self._names.get(message.get("id", 0))
        if name is not None and message["type"] == "event":
            return name, message["event"]
        if name is not None and not message.get("success", True):
            return name, Failed(StoreError(f"Home Assistant refused {name!r}"))
        return None


if __name__ == "__main__":
    url, token = sys.argv[1:3]
    options: Any = {"access_token": token, "max_reconnect_attempts": None}
    with use_websocket(url, protocol=HomeAssistant(), message_type=Any, **options) as store:
        store.channel("state_changed").subscribe(print)
        print(store.request({"type": "get_config"}).result())
        for _ in store.iterate():
            pass
