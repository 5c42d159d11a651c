"""`Status`, `ConnectionState` and the moves that are allowed between them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from .exceptions import ConnectionLost
from .options import CloseInfo

__all__ = [
    "LOOP_CLOSED",
    "MOVES",
    "NO_ANSWER",
    "CloseInfo",
    "ConnectionState",
    "Gap",
    "Status",
    "UpgradeAnswer",
]

LOOP_CLOSED: Final = "the event loop was closed"


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


@dataclass(frozen=True, slots=True, kw_only=True)
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
