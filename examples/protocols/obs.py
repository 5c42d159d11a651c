"""OBS Studio's WebSocket, version 5: a challenge before anything, requests, and events by name.

Source: https://github.com/obsproject/obs-websocket/blob/master/docs/generated/protocol.md
Run: python -m examples.protocols.obs ws://HOST:4455 PASSWORD
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from heimdall_reactive import ChannelProtocol, ProtocolSession, SessionProtocol, use_websocket

HELLO, IDENTIFY, IDENTIFIED, EVENT, REQUEST, BATCH = 0, 1, 2, 5, 6, 8
RULES: Any = {"close 4009-4011": "stop"}  # the password, the version, or OBS put this client out


def _hash(secret: str, salt: str) -> str:
    return b64encode(sha256((secret + salt).encode()).digest()).decode()


def _match(envelope: Any) -> tuple[str, Any] | None:
    data = envelope["d"]
    return (data["eventType"], data.get("eventData")) if envelope["op"] == EVENT else None


class Obs(SessionProtocol):
    """`store.channel("SceneCreated")` has the data of an event. The access token is the password.

    `(await store.request({"requestType": "GetVersion"}))["d"]` is the response, which has
    `requestStatus` and `responseData`; a list of requests is a batch.

    Args:
        events: sum of the categories (`EventSubscription`) that are wanted; None for the usual.
    """

    subprotocols = ("obswebsocket.json",)
    acknowledges = True  # a request is delivered when its response comes

    def __init__(self, events: int | None = None) -> None:
        self._wanted = {} if events is None else {"eventSubscriptions": events}
        self.channels = ChannelProtocol(
            subscribe=lambda name: (),  # events come without being asked for
            unsubscribe=lambda name: (),
            match=_match,
            json_text=False,
        )

    async def handshake(self, session: ProtocolSession) -> None:
        """Answer the challenge, where OBS has a password."""
        hello = (await session.recv(lambda message: message["op"] == HELLO))["d"]
        login: dict[str, Any] = {"rpcVersion": 1, **self._wanted}
        if (asked := hello.get("authentication")) is not None:
            secret = _hash(await session.token(), asked["salt"])
            login["authentication"] = _hash(secret, asked["challenge"])
        session.send({"op": IDENTIFY, "d": login})
        await session.recv(lambda message: message["op"] == IDENTIFIED)

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Show the events; responses are for requests."""
        return envelope["d"] if envelope["op"] == EVENT else None

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Number a request of this session, or a batch."""
        if not value:
            return value
        data = {"requests": value} if isinstance(value, list) else value
        op = BATCH if isinstance(value, list) else REQUEST
        return {"op": op, "d": {"requestId": str(session.next_id()), **data}}

    def encode(self, value: Any) -> Sequence[str]:
        """Send nothing for a channel."""
        return [json.dumps(value)] if value else []

    def correlate(self, value: Any) -> Any:
        """Return the id that a response repeats."""
        return value["d"].get("requestId") if value else None


if __name__ == "__main__":
    url, password = sys.argv[1:]
    options: Any = {"access_token": password, "reconnect_rules": RULES}
    with use_websocket(url, protocol=Obs(), **options) as store:
        print(store.request({"requestType": "GetVersion"}).result())
        for event in store.iterate():
            print(event)
