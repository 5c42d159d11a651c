"""`Status`, `ConnectionState` and the moves that are allowed between them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from .exceptions import ConnectionLost
from .glance import glance, glance_html, told_shortly
from .options import CloseInfo
from .printable import clock

__all__ = [
    "LOOP_CLOSED",
    "MOVES",
    "NO_ANSWER",
    "TONES",
    "CloseInfo",
    "ConnectionState",
    "Gap",
    "Status",
    "Tone",
    "UpgradeAnswer",
    "in_words",
    "seconds_left",
]

LOOP_CLOSED: Final = "the event loop was closed"
EARLY: Final = 0.001  # seconds that a timer may come too early and still count
LONG: Final = 120  # seconds above which a wait is told in minutes: it may be milliseconds


class Status(StrEnum):
    """The phase of a connection."""

    IDLE = "idle"  #: never asked to connect
    CONNECTING = "connecting"  #: getting a token, opening the socket, shaking hands
    CONNECTED = "connected"  #: the socket is open
    WAITING = "waiting"  #: for the next attempt, at `retry_at`
    DISCONNECTING = "disconnecting"  #: the closing handshake is under way
    DISCONNECTED = "disconnected"  #: ended by `disconnect()`, or for good by the server
    FAILED = "failed"  #: gave up; `error` says why


S = Status
MOVES: Final[dict[Status, frozenset[Status]]] = {
    S.IDLE: frozenset({S.CONNECTING, S.DISCONNECTED}),
    S.CONNECTING: frozenset({S.CONNECTED, S.WAITING, S.DISCONNECTED, S.FAILED}),
    S.CONNECTED: frozenset(
        {S.CONNECTED, S.CONNECTING, S.WAITING, S.DISCONNECTING, S.DISCONNECTED, S.FAILED}
    ),
    S.WAITING: frozenset({S.WAITING, S.CONNECTING, S.DISCONNECTED}),
    S.DISCONNECTING: frozenset({S.DISCONNECTED}),
    S.DISCONNECTED: frozenset({S.CONNECTING}),
    S.FAILED: frozenset({S.CONNECTING}),
}
"""Where each status may lead; every other move is a defect of this library."""


Tone: TypeAlias = Literal["good", "busy", "idle", "bad"]
"""How it is: connected, on the way, ended or not begun, given up."""

TONES: Final[dict[Status, Tone]] = {
    S.IDLE: "idle",
    S.CONNECTING: "busy",
    S.CONNECTED: "good",
    S.WAITING: "busy",
    S.DISCONNECTING: "idle",
    S.DISCONNECTED: "idle",
    S.FAILED: "bad",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """The time between two sessions, in which the server's messages were missed.

    A message in transit when the connection broke may have been sent a little before
    `since`: fetch with an overlap of some seconds, and skip what you already have.

    Attributes:
        since: the last sign of life of the previous session, in seconds since the epoch.
        until: when the new session opened, in seconds since the epoch.
        session: number of the new session.
    """

    since: float
    until: float
    session: int


class UpgradeAnswer(NamedTuple):
    """What the server answered to the upgrade, without secrets.

    Attributes:
        subprotocol: what it chose.
        headers: by lower-case name.
    """

    subprotocol: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})


NO_ANSWER: Final = UpgradeAnswer()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConnectionState:
    """A snapshot of the connection, from which everything else is derived.

    Attributes:
        status: the phase.
        attempt: number of the present or next attempt of a reconnection; 0 for a first one.
        retry_at: when the next attempt starts, in seconds since the epoch, while `waiting`.
        close: how the last connection ended, None while connected.
        error: why the last connection or attempt failed, None while connected.
        http_status: status of the last refused upgrade, None while connected.
        session: number of this or the last connection; +1 at each, 0 before the first.
        connected_at: when this connection opened, in seconds since the epoch.
        subprotocol: what the server chose for this connection, None if it chose none.
        response_headers: of the upgrade of this connection, by lower-case name. Values that may
            be secret, such as cookies, are `***`; `ProtocolSession` has them.
    """

    status: Status = Status.IDLE
    attempt: int = 0
    retry_at: float | None = None
    close: CloseInfo | None = None
    error: Exception | None = None
    http_status: int | None = None
    session: int = 0
    connected_at: float | None = None
    subprotocol: str | None = None
    response_headers: Mapping[str, str] = field(
        default_factory=lambda: NO_ANSWER.headers, repr=False, compare=False
    )

    @property
    def is_connected(self) -> bool:
        """Whether the socket is open."""
        return self.status is Status.CONNECTED

    @property
    def reconnecting(self) -> bool:
        """Whether an earlier connection is being restored."""
        return self.session > 0 and self.status in (Status.CONNECTING, Status.WAITING)

    def __str__(self) -> str:
        """Return it in words, such as `connected, session 2` or `failed: ...`."""
        return ", ".join((*self._words(), *self._why()))

    def __repr__(self) -> str:
        return glance(self, str(self))

    def __rich_repr__(self) -> Iterator[tuple[str, Any, Any]]:
        return ((f.name, getattr(self, f.name), f.default) for f in fields(self) if f.repr)

    def _repr_html_(self) -> str:
        status, *rest = self._words()
        return glance_html(TONES[self.status], status, ", ".join(rest), *self._why())

    def _words(self) -> Iterator[str]:
        yield str(self.status)
        if self.attempt:
            yield f"attempt {self.attempt}"
        if self.retry_at is not None:
            yield f"at {clock(self.retry_at)}"
        if self.session:
            yield f"session {self.session}"

    def _why(self) -> Iterator[str]:
        if self.error is not None:
            yield told_shortly(self.error)
        elif self.close is not None:
            yield f"by the {self.close.who}, code {self.close.code} {self.close.reason}".rstrip()

    def connecting(self, attempt: int) -> ConnectionState:
        """Start an attempt; what the last one failed of stays readable."""
        first = attempt == 0
        return self._move(
            status=Status.CONNECTING,
            attempt=attempt,
            close=None if first else self.close,
            error=None if first else self.error,
            http_status=None if first else self.http_status,
        )

    def connected(self, now: float, answer: UpgradeAnswer = NO_ANSWER) -> ConnectionState:
        """Open the next session."""
        return self._move(
            status=Status.CONNECTED, session=self.session + 1, connected_at=now, answer=answer
        )

    def waiting(
        self, attempt: int, retry_at: float, close: CloseInfo | None, error: Exception | None
    ) -> ConnectionState:
        """Wait for an attempt after a loss or a failure."""
        return self._ended(Status.WAITING, close, error, attempt=attempt, retry_at=retry_at)

    def set_clock(self, seconds: float) -> ConnectionState:
        """Wait as long as before, by a wall clock that was set ahead, or back."""
        return replace(self, retry_at=(self.retry_at or 0.0) + seconds)

    def disconnecting(self) -> ConnectionState:
        """Begin the closing handshake that the user asked for."""
        answer = UpgradeAnswer(self.subprotocol, self.response_headers)
        return self._move(
            status=Status.DISCONNECTING, connected_at=self.connected_at, answer=answer
        )

    def disconnected(
        self, close: CloseInfo | None = None, error: Exception | None = None
    ) -> ConnectionState:
        """End, by the user or cleanly by the server."""
        return self._ended(Status.DISCONNECTED, close, error)

    def failed(self, close: CloseInfo | None, error: Exception | None) -> ConnectionState:
        """Give up."""
        return self._ended(Status.FAILED, close, error, attempt=self.attempt)

    def without_loop(self) -> ConnectionState:
        """Return what is true where the event loop has ended and nobody has noticed."""
        if self.status not in (S.CONNECTING, S.CONNECTED, S.WAITING, S.DISCONNECTING):
            return self
        lost = ConnectionLost(1006, LOOP_CLOSED)
        return self.disconnected(CloseInfo(lost.code, lost.reason), lost)

    def _ended(
        self,
        status: Status,
        close: CloseInfo | None,
        error: Exception | None,
        attempt: int = 0,
        retry_at: float | None = None,
    ) -> ConnectionState:
        return self._move(
            status=status,
            attempt=attempt,
            retry_at=retry_at,
            close=close,
            error=error,
            http_status=close.http_status if close else None,
        )

    def _move(
        self,
        *,
        status: Status,
        attempt: int = 0,
        retry_at: float | None = None,
        close: CloseInfo | None = None,
        error: Exception | None = None,
        http_status: int | None = None,
        session: int | None = None,
        connected_at: float | None = None,
        answer: UpgradeAnswer = NO_ANSWER,
    ) -> ConnectionState:
        if status not in MOVES[self.status]:
            raise AssertionError(f"no move from {self.status} to {status}")
        return ConnectionState(
            status=status,
            attempt=attempt,
            retry_at=retry_at,
            close=close,
            error=error,
            http_status=http_status,
            session=self.session if session is None else session,
            connected_at=connected_at,
            subprotocol=answer.subprotocol,
            response_headers=answer.headers,
        )


def seconds_left(state: ConnectionState, now: float) -> int | None:
    """Return the seconds until the next attempt, rounded up; None unless it waits for one."""
    if state.status is not Status.WAITING or state.retry_at is None:
        return None
    return max(0, math.ceil(state.retry_at - now - EARLY))


def in_words(state: ConnectionState, now: float) -> str:
    """Return a state as people read it, without its cause: on badges, at the terminal, in logs.

    Args:
        state: of a store.
        now: seconds since the epoch.
    """
    left = seconds_left(state, now)
    if left == 0:
        return "reconnecting now"
    if left is not None:
        wait = f"{left} s" if left <= LONG else f"{left / 60:.0f} minutes"
        return f"reconnecting in {wait} (attempt {state.attempt})"
    if state.status is Status.CONNECTING and state.attempt:
        return f"connecting (attempt {state.attempt})"
    return str(state.status)
