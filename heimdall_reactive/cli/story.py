"""The demo's story: what the server does, what the store has to do, and what is shown."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from reactivex import operators as ops

from heimdall_reactive import Ping, Subscribe, WebSocketStore, use_websocket
from heimdall_reactive.base.exceptions import SessionEnded, StoreError
from heimdall_reactive.base.state import ConnectionState, Status
from heimdall_reactive.connecting.lines import message_line
from heimdall_reactive.devserver import DEMO_USER, DevServer

from .text import describe, printable

__all__ = ["CHAPTERS", "Chapter", "DemoStage", "Event", "Picture", "Scene"]

States = Sequence[ConnectionState]
Kind = Literal["story", "status", "received", "sent", "error"]
_FEED = 200  # events that are kept: more than any terminal has lines
_PING_FLOOR = 0.25  # seconds; a busy machine must not look like a dead peer
_HTTP_UNAUTHORIZED = 401


class DemoStage:
    """A server and a store beside it, with all times scaled to the story's.

    Args:
        server: the demo's own.
        unit: seconds that stand for one second of the story of 20 seconds.

    Attributes:
        tokens_issued: how often the provider made a new token.
        limit: seconds that the store may take to reconnect.
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
        """Publish on the channel, until cancelled."""
        for tick in itertools.count(1):
            await asyncio.sleep(0.7 * self.unit)
            self.server.publish("stats", {"tick": tick, "online": len(self.server.connections)})


@dataclass(frozen=True)
class Chapter:
    """One chapter.

    Attributes:
        title: one or two words.
        text: what is told at its beginning.
        length: its share of a story of 20 seconds.
        act: lets it happen, and returns when it is over; raises `WaitTimeout` where it is not.
        proof: whether the states that were seen are those that were told.
    """

    title: str
    text: str
    length: float
    act: Callable[[DemoStage], Awaitable[object]]
    proof: Callable[[States], bool]


def _is_connected(state: ConnectionState) -> bool:
    return state.is_connected


async def _connect(stage: DemoStage) -> None:
    stage.store.connect()
    await stage.reach(_is_connected)
    stage.ping()
    stage.note("hello")
    await stage.notes_arrive()
    stage.server.fire("rolesUpdated")


async def _cut(stage: DemoStage) -> None:
    stage.server.drop()
    await stage.reach(_is(Status.WAITING))
    stage.note("sent while disconnected")
    await _recover(stage)
    stage.server.fire("emailLinkVerified")


async def _refuse(stage: DemoStage) -> None:
    stage.server.refuse(503, times=2)
    stage.server.drop(1001)
    await stage.reach(lambda state: state.http_status == 503)
    stage.note("sent between two refusals")
    await _recover(stage)
    stage.server.fire("permissionsUpdated")


async def _restart(stage: DemoStage) -> None:
    stage.server.restart(downtime=1.1 * stage.unit)
    await stage.reach(_is(Status.WAITING))
    await _recover(stage)
    stage.note("welcome back")
    await stage.notes_arrive()


async def _stall(stage: DemoStage) -> None:
    stage.server.stall(stage.limit)
    await stage.reach(_is(Status.WAITING))
    await _recover(stage)
    stage.server.fire("rolePermissionsChanged")


async def _expire(stage: DemoStage) -> None:
    stage.expire_token()
    stage.server.drop()
    await stage.reach(_is(Status.WAITING))
    await _recover(stage)
    stage.note("with a fresh token")
    await stage.notes_arrive()


async def _ban(stage: DemoStage) -> None:
    stage.server.ban(DEMO_USER)
    await stage.reach(_is(Status.FAILED))


async def _forgive(stage: DemoStage) -> None:
    stage.server.forgive(DEMO_USER)
    stage.store.set_access_token(stage.provide_token)
    await stage.reach(_is_connected)
    stage.note("thank you")
    await stage.notes_arrive()
    stage.server.fire("emailChangeVerified")


async def _recover(stage: DemoStage) -> None:
    await stage.reach(_is_connected)
    await stage.notes_arrive()


def _is(status: Status) -> Callable[[ConnectionState], bool]:
    return lambda state: state.status is status


def _refusals(states: States, status: int) -> int:
    """Count the attempts that were refused with a status."""
    return sum(s.http_status == status and s.status is Status.WAITING for s in states)


def _codes(states: States) -> set[int]:
    return {state.close.code for state in states if state.close is not None}


def _connected(states: States) -> bool:
    return bool(states) and states[-1].is_connected


def _session_ended(states: States) -> bool:
    last = states[-1] if states else ConnectionState()
    return last.status is Status.FAILED and isinstance(last.error, SessionEnded)


CHAPTERS = (
    Chapter("connect", "the store asks for a token and connects",
            2.2, _connect, _connected),
    Chapter("cut", "the server drops the connection; a note waits in the outbox",
            2.4, _cut, lambda seen: _connected(seen) and 1006 in _codes(seen)),
    Chapter("refuse", "the server goes away, then refuses twice with HTTP 503",
            4.0, _refuse, lambda seen: _connected(seen) and _refusals(seen, 503) == 2),
    Chapter("restart", "the server restarts (close code 1012) and is down for a while",
            2.8, _restart, lambda seen: _connected(seen) and 1012 in _codes(seen)),
    Chapter("stall", "the server goes silent; an unanswered ping reveals it",
            3.0, _stall, lambda seen: _connected(seen) and 1006 in _codes(seen)),
    Chapter("expire", "the token expires (HTTP 401); the store gets a new one",
            2.4, _expire, lambda seen: _connected(seen) and _refusals(seen, 401) == 1),
    Chapter("ban", "the server bans the user; the store stops trying",
            1.6, _ban, _session_ended),
    Chapter("forgive", "the ban is lifted; set_access_token() reconnects",
            1.6, _forgive, _connected),
)  # fmt: skip
"""The story, 20 seconds in all."""


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
        chapter: what is told.
        outcome: None before its end, then whether it went as planned.
        told: whether it has begun.
    """

    chapter: Chapter
    outcome: bool | None = None
    told: bool = False


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
        self._add("received", message_line(message))

    def _on_sent(self, message: Any) -> None:
        if message is not None:  # the value before the first send
            self.sent += 1
            self._add("sent", message_line(message))

    def _on_error(self, error: StoreError) -> None:
        self._add("error", printable(str(error)))

    def _on_latency(self, seconds: float | None) -> None:
        self.latency = seconds

    def _add(self, kind: Kind, text: str) -> None:
        event = Event(time.time(), kind, text)
        self.feed.append(event)
        self.show(event)
