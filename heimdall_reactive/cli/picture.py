"""The demo's picture of a store, drawn from its subjects: what a view shows."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

from pydantic import BaseModel

from heimdall_reactive import ChannelMessage, WebSocketStore
from heimdall_reactive.base.exceptions import StoreError
from heimdall_reactive.base.state import ConnectionState, Status

from .text import describe, preview, printable

__all__ = ["Event", "Picture", "Scene", "View"]

Kind = Literal["story", "status", "received", "sent", "error"]

_FEED = 200  # events that are kept: more than any terminal has lines


@dataclass(frozen=True)
class Event:
    """One line of what happens.

    Attributes:
        at: seconds since the epoch.
        kind: where it came from.
        text: what it says, printable.
    """

    at: float
    kind: Kind
    text: str


@dataclass
class Scene:
    """One chapter of the story as the views show it.

    Attributes:
        title: one or two words.
        text: what is told of it.
        outcome: None before its end, then whether it went as told.
        told: whether it has begun.
    """

    title: str
    text: str
    outcome: bool | None = None
    told: bool = False


class View(Protocol):
    """Shows a picture."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(self, *exc_info: object) -> None:
        """Leave the terminal as it was."""
        ...

    def show(self, event: Event) -> None:
        """Handle the next event."""
        ...

    async def draw(self) -> None:
        """Keep what changes without an event up to date, until cancelled."""
        ...


@dataclass
class Picture:
    """What is known about the store and the story; every field follows from subscriptions.

    Attributes:
        show: is given each event.
        seconds: about how long the story takes.
        state: the newest state.
        states: every state since the chapter began.
        feed: the newest events.
        scenes: the chapters.
        began: monotonic time of the beginning.
        waited_from: when the present wait began, in seconds since the epoch.
        latency: of the newest ping.
        received: messages received.
        sent: messages accepted for sending.
        longest: the longest outage in seconds.
    """

    show: Callable[[Event], None]
    seconds: float
    state: ConnectionState = field(default_factory=ConnectionState)
    states: list[ConnectionState] = field(default_factory=list)
    feed: deque[Event] = field(default_factory=lambda: deque(maxlen=_FEED))
    scenes: list[Scene] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    waited_from: float = 0.0
    latency: float | None = None
    received: int = 0
    sent: int = 0
    longest: float = 0.0
    _lost_at: float | None = None

    def observe(self, store: WebSocketStore[Any]) -> None:
        """Subscribe to the store; the subscriptions end with it."""
        store.state.subscribe(self._on_state)
        store.messages.subscribe(self._on_message)
        store.send.subscribe(self._on_sent)
        store.errors.subscribe(self._on_error)
        store.latency.subscribe(self._on_latency)

    def tell(self, text: str) -> None:
        """Go on with the story."""
        self._add("story", text)

    def _on_state(self, state: ConnectionState) -> None:
        now, before = time.monotonic(), self.state
        self.state = state
        self.states.append(state)
        if state.status is Status.WAITING:
            self.waited_from = time.time()
        if before.is_connected and not state.is_connected:
            self._lost_at = now
        elif state.is_connected and self._lost_at is not None:
            self.longest = max(self.longest, now - self._lost_at)
            self._lost_at = None
        self._add("status", describe(state))

    def _on_message(self, message: Any) -> None:
        self.received += 1
        self._add("received", _words(message))

    def _on_sent(self, message: Any) -> None:
        if message is not None:  # the value before the first send
            self.sent += 1
            self._add("sent", _words(message))

    def _on_error(self, error: StoreError) -> None:
        self._add("error", printable(str(error)))

    def _on_latency(self, seconds: float | None) -> None:
        self.latency = seconds

    def _add(self, kind: Kind, text: str) -> None:
        event = Event(time.time(), kind, text)
        self.feed.append(event)
        self.show(event)


def _words(message: Any) -> str:
    """Return a message in few words: the event's own time stands before it anyway."""
    if isinstance(message, (str, bytes)):
        return preview(message)
    if isinstance(message, ChannelMessage):
        return printable(f"{message.channel} {message.data}")
    if isinstance(message, BaseModel):
        fields = message.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude={"timestamp"}
        )
        message = {"type": fields.pop("type", ""), **fields}
    return printable(json.dumps(message, ensure_ascii=False, default=str))
