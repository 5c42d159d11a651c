"""`Board`: the connections and what is known of them, one for all tabs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from pydantic import SecretStr
from reactivex.subject import BehaviorSubject

from heimdall_reactive import ConnectionState, StoreError, WebSocketStore
from heimdall_reactive.base.masking import Mask
from heimdall_reactive.recording.cleaning import Cleaner

from .feed import MessageFeed
from .meter import Meter

__all__ = ["Board", "BoardConnection"]

TICK: Final = 0.25  # seconds: soon for the eye, little for the loop
TICKS_A_POINT: Final = 2


class BoardConnection:
    """A store with its name and its meter.

    Args:
        name: short; tells it from the others.
        about: what is said of it, such as its URL without secrets.
        store: lives on the event loop of the board.
    """

    def __init__(self, name: str, about: str, store: WebSocketStore[Any]) -> None:
        self.name = name
        self.about = about
        self.store = store
        self.meter = Meter()

    def look(self) -> None:
        """Handle a point of the rate and the latency."""
        counters = self.store.stats
        self.meter.look(time.monotonic(), counters.received, self.store.latency.value)


class Board:
    """The connections, their feed, and a tick for who draws them.

    Everything happens on one event loop: that of the stores and of NiceGUI.

    Args:
        connections: with names that differ.
        secrets: what no page may show.

    Attributes:
        feed: what came, went and happened.
        ticks: counts up four times a second while `run` runs.
    """

    def __init__(
        self, connections: Sequence[BoardConnection], secrets: Sequence[SecretStr] = ()
    ) -> None:
        self.connections = tuple(connections)
        self.feed = MessageFeed()
        self.ticks: BehaviorSubject[int] = BehaviorSubject(0)
        self._clean = Cleaner()
        for secret in secrets:
            shown = secret.get_secret_value()
            self._clean.add(Mask([shown, shown.encode().hex(" ")]))  # as lines have bytes
        for connection in self.connections:
            self._follow(connection)

    def masked(self, text: str) -> str:
        """Return a text as a page may have it: secrets are stars.

        Halves of surrogate pairs, which JSON can spell and UTF-8 cannot, are question marks: one
        of them would keep NiceGUI from sending anything.
        """
        return self._clean(text.encode("utf-8", "replace").decode())

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            for connection in self.connections if self.ticks.value % TICKS_A_POINT == 0 else ():
                connection.look()
            self.ticks.on_next(self.ticks.value + 1)
            await asyncio.sleep(TICK)

    def note_sent(self, connection: BoardConnection, text: str) -> None:
        """Put what somebody sent into the feed."""
        self.feed.add(time.time(), connection.name, "sent", text, "out")

    async def aclose(self) -> None:
        """Close every store."""
        for connection in self.connections:
            await connection.store.aclose()

    def _follow(self, connection: BoardConnection) -> None:
        add, name = self.feed.add, connection.name

        def on_message(message: Any) -> None:
            self.feed.add_message(time.time(), name, message)

        def on_move(states: tuple[ConnectionState, ConnectionState]) -> None:
            add(time.time(), name, "state", str(states[1]), "state")

        def on_error(error: StoreError) -> None:
            add(time.time(), name, "error", str(error), "error")

        connection.store.messages.subscribe(on_message)
        connection.store.transitions.subscribe(on_move)
        connection.store.errors.subscribe(on_error)
