"""`Player`: stands in the place of a connection, and lets happen what a recording says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from heimdall_reactive.base.exceptions import (
    InvalidMessage,
    ObserverError,
    RecordingError,
    SourceError,
)
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.masking import Mask
from heimdall_reactive.base.options import CloseInfo, StoreOptions
from heimdall_reactive.base.state import ConnectionState, Status
from heimdall_reactive.connecting.codec import Codec
from heimdall_reactive.connecting.connection import Connection
from heimdall_reactive.connecting.listener import Listener
from heimdall_reactive.connecting.outbox import Outbox
from heimdall_reactive.connecting.runtime import Runtime
from heimdall_reactive.connecting.session import Session
from heimdall_reactive.transports import Receiver

from .file import read
from .lines import RecordingEntry

__all__ = ["Player"]

TURN: Final = 100  # entries in a row of an instant replay before others get their turn
# Made again by the replay where they are due: by its own decoding, observers and sources.
OWN: Final = (InvalidMessage, ObserverError, SourceError)


class Player(Connection):
    """A connection whose fate is a recording; frames and sends go through real sessions.

    Args:
        path: of the recording.
        speed: how many times as fast as it happened; None is as fast as possible.
        ended: is called at the end of the recording.
        endpoint: for the store.
        options: the store's.
        codec: decodes the frames.
        outbox: holds what waits to be written; in a session it counts as written.
        listener: is told.
        runtime: the event loop it runs on.
    """

    def __init__(
        self,
        path: Path,
        speed: float | None,
        ended: Callable[[], None],
        endpoint: str,
        options: StoreOptions,
        codec: Codec[Any],
        outbox: Outbox,
        listener: Listener,
        runtime: Runtime,
    ) -> None:
        super().__init__(endpoint, options, codec, outbox, listener, runtime)
        self._path = path
        self._speed = speed
        self._ended_by_itself = ended
        self._lines: Generator[RecordingEntry, None, None] | None = None
        self._next: RecordingEntry | None = None
        self._at = 0.0
        self._playing: asyncio.Task[None] | None = None
        self._over = False
        self._closed = False
        self._recorded = ConnectionState()

    @property
    def state(self) -> ConnectionState:
        """The newest snapshot; the recording says it, not the table of a connection's life."""
        return self._recorded

    # Commands

    def connect(self) -> None:
        """Play from the start, unless it plays already."""
        if not self._closed and self._lines is None:
            self._lines, self._next, self._at = read(self._path), None, 0.0
            self._play_on()

    def disconnect(self, mark: int | None = None) -> None:
        """End the replay; `connect` begins it again."""
        self._outbox.clear("disconnect() was called", mark)
        self._stop()
        if self.state.status is Status.CONNECTED:
            self._move(self.state.disconnecting())
        if self._lines is None and self.state.status not in (Status.DISCONNECTED, Status.FAILED):
            ours = self.state.status is Status.DISCONNECTING
            self._move(_ended(self.state, CloseInfo(1000, "", "client") if ours else None))

    async def aclose(self) -> None:
        """End the replay, and return when no task is left."""
        self._closed = True
        if not self._over:
            self.disconnect()
        self._expiry.stop()
        await self._tasks.wait()

    def abandon(self) -> None:
        """Play on elsewhere: the event loop is closed."""
        self._tasks.forget()
        self._expiry.stop()
        if self._lines is not None:
            self._play_on()

    # Playing

    def _play_on(self) -> None:
        self._playing = self._tasks.start(self._play(), "heimdall-replay", self._runtime.loop)

    async def _play(self) -> None:
        loop, me, speed = self._runtime.loop, asyncio.current_task(), self._speed
        began = loop.time() - (self._at / speed if speed else 0.0)
        count = 0
        await asyncio.sleep(0)  # who was given the store observes it first
        while self._playing is me and (entry := self._take()) is not None:
            if speed is not None and (wait := began + entry.at / speed - loop.time()) > 0:
                await asyncio.sleep(wait)
            elif (count := count + 1) % TURN == 0:
                await asyncio.sleep(0)
            if self._playing is me:
                self._next, self._at = None, entry.at
                self._perform(entry)
        if self._playing is me:
            self._over = True
            self._stop()
            self._ended_by_itself()

    def _take(self) -> RecordingEntry | None:
        """Return the next entry, which stays the next until it was performed."""
        assert self._lines is not None
        if self._next is None:
            try:
                self._next = next(self._lines, None)
            except RecordingError as error:
                failed = replace(self.state, status=Status.FAILED, error=error, retry_at=None)
                self._next = RecordingEntry(self._at, "state", failed)
        return self._next

    def _perform(self, entry: RecordingEntry) -> None:
        match entry.event:
            case "state":
                self._enter(entry.value)
            case "received":
                self._current().on_frame(*entry.value)
            case "gap":
                self._listener.on_gap(entry.value)
            case "latency":
                self._listener.on_latency(entry.value)
            case "error" if not isinstance(entry.value, OWN):
                self._listener.on_error(entry.value)

    def _enter(self, state: ConnectionState) -> None:
        if state == self.state:
            return  # the first of a recording that began with its store
        self.counters.attempts += state.status is Status.CONNECTING
        if state.is_connected:
            self.sessions.current = None
            session = self._current()
            self.counters.reconnects += state.session > 1
            self._listener.on_session()
            self._move(state)
            if self.sessions.current is session:
                session.start(None)
            return
        if state.status is not Status.DISCONNECTING:
            self.sessions.current = None
        self._move(state)

    def _move(self, state: ConnectionState) -> None:
        self._recorded = state
        self._listener.on_state(state)

    def _current(self) -> Session:
        session = self.sessions.current
        if session is None:
            parts = _Nowhere(self._runtime.loop), self._runtime.loop, self._decode
            session = self.sessions.current = Session(
                *parts, self._outbox, self.counters, self._listener, Mask(), self._on_closed
            )
        return session

    def _stop(self) -> None:
        lines, self._lines, self._playing, self._next = self._lines, None, None, None
        if lines is not None:
            lines.close()
        for task in self._tasks:
            if task is not _current_task():
                task.cancel()
        if not self._over:
            self.sessions.current = None


class _Nowhere:
    """A wire that takes everything, proves it when asked, and leads nowhere."""

    writable = True
    close_received = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.heard_at = loop.time()
        self._loop = loop
        self._receiver: Receiver | None = None

    def start(self, receiver: Receiver) -> None:
        """See `Wire`."""
        self._receiver = receiver

    def prove(self, *, last: bool = False) -> None:
        """See `Wire`; else who waits for the proof of a send would wait forever."""
        self._loop.call_soon(self._prove)

    def _prove(self) -> None:
        if self._receiver is not None:
            self._receiver.on_ping()
            self._receiver.on_pong()

    # Here nothing happens

    def write(self, frame: Frame) -> None:
        """See `Wire`."""

    def end(self, code: int, reason: str = "") -> None:
        """See `Wire`."""

    def fail(self, code: int, reason: str) -> None:
        """See `Wire`."""

    def lose(self, reason: str) -> None:
        """See `Wire`."""

    def probe(self, timeout: float) -> None:
        """See `Wire`."""

    def hold(self, on: bool) -> None:
        """See `Wire`."""

    def kill(self) -> None:
        """See `Wire`."""


def _ended(state: ConnectionState, close: CloseInfo | None) -> ConnectionState:
    """Return the end of a state, whatever the recording said before."""
    return ConnectionState(status=Status.DISCONNECTED, session=state.session, close=close)


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs here
        return None
