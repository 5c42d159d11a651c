"""Where a connection stands: the phases of the table in `machine.py`, and its whole state. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from heimdall_reactive.base.retry import Failure
from heimdall_reactive.base.state import ConnectionState

__all__ = ["Machine", "Phase"]


class Phase(StrEnum):
    """Where a connection stands. `ConnectionState.status` is the public view of it."""

    IDLE = "idle"  #: never asked to connect
    CONNECTING = "connecting"  #: the token is asked for, then the transport dials
    MOVING = "moving"  #: this event loop opens no sockets; the store moves to another
    HANDSHAKE = "handshake"  #: the socket is open; what must be said first is being said
    ANNOUNCING = "announcing"  #: told as connected; no frame has been taken yet
    OPEN = "open"  #: frames come and go
    RENEWING = "renewing"  #: open, while the socket of the next session is being opened
    SWITCHING = "switching"  #: open, while the handshake of the next session is under way
    HANDING_OVER = "handing over"  #: the next session writes; the one before is read to its end
    JUDGING = "judging"  #: it failed or was lost; the rules and the user's callables decide
    WAITING = "waiting"  #: for the next attempt
    CLOSING = "closing"  #: the closing handshake that `disconnect()` began
    REOPENING = "reopening"  #: the same, and `connect()` was called since
    REOPENED = "reopened"  #: that handshake has ended; an attempt follows
    DISCONNECTED = "disconnected"  #: ended by `disconnect()`, or for good by the server
    FAILED = "failed"  #: gave up


@dataclass(frozen=True, slots=True)
class Machine:
    """The whole state of a connection's life.

    Attributes:
        phase: where it stands.
        number: of the newest attempt, which its session keeps.
        state: what observers are told.
        closed: the store is being closed, so that no attempt follows any more.
        lost_at: the last sign of life of the session before, until its gap was told.
        failure: what is being judged.
        planned: close code and reason of a session, while the next one is opened beside it.
        beside: in `JUDGING`, where the attempt stands that was under way beside the lost session.
    """

    phase: Phase = Phase.IDLE
    number: int = 0
    state: ConnectionState = field(default_factory=ConnectionState)
    closed: bool = False
    lost_at: float | None = None
    failure: Failure | None = None
    planned: tuple[int, str] | None = None
    beside: Phase | None = None
