"""What the demo plays on: its server, its store, the token's provider and the notes it sends."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

from reactivex import operators as ops

from heimdall_reactive import Ping, Subscribe, WebSocketStore, use_websocket
from heimdall_reactive.base.state import ConnectionState
from heimdall_reactive.devserver import DEMO_USER, DevServer

__all__ = ["DemoStage"]

_PING_FLOOR = 0.25  # seconds; a busy machine must not look like a dead peer
_HTTP_UNAUTHORIZED = 401


class DemoStage:
    """A server and a store beside it, with all times scaled to the story's.

    Args:
        server: the demo's own.
        unit: seconds that stand for one second of the story of 20 seconds.

    Attributes:
        tokens_issued: how often the provider made a new token.
        limit: seconds that the store may take to heal.
    """

    def __init__(self, server: DevServer, unit: float) -> None:
        self.server = server
        self.unit = unit
        self.limit = 5.0 + 10 * unit
        self.tokens_issued = 0
        self._token: str | None = None
        self._notes: list[str] = []
        ping = max(_PING_FLOOR, 0.5 * unit)
        self.store: WebSocketStore[Any] = use_websocket(
            f"{server.url}/v1/ws/updates",
            access_token=self.provide_token,
            reconnect_delay=0.8 * unit,
            max_reconnect_attempts=10,
            stable_after=0.2 * unit,
            ping_interval=ping,
            ping_timeout=ping,
            close_timeout=1.0,
            immediate=False,
        )
        # Subscribed again for each session: the server forgets a channel with the connection.
        self.store.is_connected.pipe(
            ops.filter(bool), ops.map(lambda _: Subscribe(channel="stats"))
        ).subscribe(self.store.send)

    async def provide_token(self) -> str:
        """Return the token for an attempt: a new one where the last was refused."""
        if self._token is None or self.store.state.value.http_status == _HTTP_UNAUTHORIZED:
            self._token = self.server.issue(DEMO_USER)
            self.tokens_issued += 1
        return self._token

    def expire_token(self) -> None:
        """End the validity of the present token, on the server."""
        if self._token is not None:
            self.server.expire(self._token)

    def note(self, text: str) -> None:
        """Send a numbered note, which the server sends back."""
        number = len(self._notes) + 1
        value = {"note": number, "text": text}
        self._notes.append(json.dumps(value, separators=(",", ":")))
        self.store.send(value)

    def ping(self) -> None:
        """Send the application's ping."""
        self.store.send(Ping())

    @property
    def lost(self) -> int:
        """How many notes have not reached the server."""
        arrived = {message for _, message in self.server.received}
        return sum(note not in arrived for note in self._notes)

    async def notes_arrive(self) -> None:
        """Wait until the server has every note.

        Raises:
            WaitTimeout: it has not, after the limit.
        """
        await self.server.wait_until(lambda: not self.lost, self.limit)

    async def reach(self, wanted: Callable[[ConnectionState], bool]) -> ConnectionState:
        """Wait for a state.

        Raises:
            WaitTimeout: it did not come within the limit.
        """
        return await self.store.wait_for(wanted, self.limit)

    async def publish(self) -> None:
        """Publish on the channel, on and on."""
        for tick in itertools.count(1):
            await asyncio.sleep(0.7 * self.unit)
            self.server.publish("stats", {"tick": tick, "online": len(self.server.connections)})
