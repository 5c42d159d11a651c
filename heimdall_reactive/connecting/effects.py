"""What a step of the table in `machine.py` asks `Connection` to do. Pure words."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from heimdall_reactive.base.exceptions import StoreError
from heimdall_reactive.base.retry import Failure
from heimdall_reactive.base.state import ConnectionState, Gap

from .events import Event

__all__ = [
    "TELLS", "CancelAttempt", "CancelTimers", "DropLink", "DropOld", "Effect", "EndSession",
    "ForgetLoop", "HandOver", "Judge", "MoveLoop", "OpenSession", "PartSession", "Probe", "Report",
    "ResetRetries", "StartAttempt", "StartSession", "StartStable", "StartTimer", "Tell",
    "TellGap", "Then",
]  # fmt: skip


class StartAttempt(NamedTuple):
    """Ask for the token and dial, in a task; report `Dialed`, `Refused` or `Unusable`."""

    number: int


class CancelAttempt(NamedTuple):
    """Cancel that task, and drop the socket that it has opened."""


class DropLink(NamedTuple):
    """Drop a socket that came too late."""

    link: Any


class OpenSession(NamedTuple):
    """Make the session of a socket, whose attempt goes on with the handshake."""

    link: Any


class StartSession(NamedTuple):
    """Write what waits and take frames."""

    heartbeat: bool


class EndSession(NamedTuple):
    """Begin the closing handshake."""

    code: int
    reason: str = ""


class PartSession(NamedTuple):
    """Close the session for good with this code, and wait for nothing of it."""

    code: int
    reason: str


class HandOver(NamedTuple):
    """Write on the new session, close the one before, and report `HandedOver` at its end."""

    code: int
    reason: str


class DropOld(NamedTuple):
    """Drop the session that was being read to its end."""


class Probe(NamedTuple):
    """Find out whether the peer is still there."""

    slept: float


class StartTimer(NamedTuple):
    """Report `RetryDue` after some seconds."""

    delay: float


class StartStable(NamedTuple):
    """Count the session as stable when it has stayed up for `stable_after`."""


class CancelTimers(NamedTuple):
    """Cancel the timer of the next attempt, and renew no token."""


class ResetRetries(NamedTuple):
    """Forget the failures in a row."""


class ForgetLoop(NamedTuple):
    """Give up whatever belongs to the event loop that was lost."""


class MoveLoop(NamedTuple):
    """Move the store to another event loop; report `LoopLost`."""


class Tell(NamedTuple):
    """Tell the observers of the next snapshot."""

    state: ConnectionState


class TellGap(NamedTuple):
    """Tell the observers what the reconnection left out."""

    gap: Gap


class Report(NamedTuple):
    """Report an error that ended an attempt."""

    error: StoreError


class Judge(NamedTuple):
    """Ask the rules and the user's callables what a failure leads to; report `Judged`."""

    number: int
    failure: Failure


class Then(NamedTuple):
    """Feed an event, after everybody was told."""

    event: Event


Effect: TypeAlias = (
    StartAttempt | CancelAttempt | DropLink | OpenSession | StartSession | EndSession
    | HandOver | DropOld | PartSession | Probe | StartTimer | StartStable | CancelTimers
    | ResetRetries | ForgetLoop | MoveLoop | Tell | TellGap | Report | Judge | Then
)  # fmt: skip

TELLS: Final = (
    OpenSession, StartSession, EndSession, HandOver, MoveLoop, Tell, TellGap, Report, Judge, Then,
)  # fmt: skip
"""The effects that may run a user's code: they come last, and the next event may come in them."""
