"""The ledger of one store: takes the events of both sides in a sound order."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import TypeVar

from heimdall_reactive import Status

from .down import DownLedger
from .server import Desk
from .up import UpLedger
from .words import (
    ClientEvent,
    ClientEvents,
    Ended,
    Failed,
    Got,
    Heard,
    Moved,
    Opened,
    Sent,
    Skipped,
    Wrote,
    number_of,
)

__all__ = ["Ledger"]

T = TypeVar("T")
OPEN = (Status.CONNECTED, Status.DISCONNECTING)


class Ledger:
    """Judge one store by the notes of three threads.

    Args:
        client: notes of the store.
        desk: notes of the server.
        blame: returns for a dial who ended its connection, or "".
        slowed: returns for a dial whether a fault has slowed its connection.

    Attributes:
        up: judges the sends.
        down: judges the messages.
        errors: reports of the store's `errors`, by type.
    """

    def __init__(
        self,
        client: ClientEvents,
        desk: Desk,
        blame: Callable[[int, bool], str],
        slowed: Callable[[int], bool],
    ) -> None:
        self.up = UpLedger(blame)
        self.down = DownLedger()
        self.errors: Counter[str] = Counter()
        self._client = client
        self._desk = desk
        self._held: list[Got | Ended] = []
        self._opened = 0
        self._slowed = slowed
        self._session: int | None = None
        self._before = 0

    @property
    def broken(self) -> Counter[str]:
        """The broken promises of both directions."""
        return self.up.broken + self.down.broken

    def take(self) -> None:
        """Return what was noted since the last time.

        A cause is noted before its effect, on another thread. So each kind of notes is taken
        after those whose causes it holds: what the server reads waits for the next time.
        """
        settled = self.up.settled()
        read, self._held = self._held, _drain(self._desk.received)
        events = _drain(self._client)
        for published in _drain(self._desk.published):
            self.down.published(published)
        for event in events:
            self._take(event)
        for note in read:
            if isinstance(note, Got):
                self.up.got(note)
            else:
                self.up.ended(note)
        self.up.judge(settled)

    def finish(self) -> None:
        """Judge what is left."""
        self.up.finish()
        self.down.finish()

    def _take(self, event: ClientEvent) -> None:
        match event:
            case Sent():
                self.up.sent(event)
            case Wrote():
                self.up.wrote(event)
            case Heard():
                self._hear(event)
            case Opened():
                self._opened = event.dial
            case Moved():
                self._move(event)
            case Skipped():
                self.down.skipped(event.gap, self._slowed(self._before))
            case Failed():
                self.errors[event.name] += 1

    def _hear(self, event: Heard) -> None:
        if event.text.startswith("d"):
            self.down.hear(event)
        else:
            self.up.acknowledged(number_of(event.text))

    def _move(self, event: Moved) -> None:
        self.down.moved(event.state)
        is_open = event.state.status in OPEN
        if is_open and self._session is None:
            self._session = self._opened
        elif not is_open and self._session is not None:
            self._before, self._session = self._session, None
            self.up.left(self._before)


def _drain(notes: deque[T]) -> list[T]:
    return [notes.popleft() for _ in range(len(notes))]
