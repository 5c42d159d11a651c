"""What happens to a connection: the events of the table in `machine.py`. Pure words."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from heimdall_reactive.base.options import CloseInfo
from heimdall_reactive.base.retry import Decision
from heimdall_reactive.base.state import NO_ANSWER, UpgradeAnswer

__all__ = [
    "Announced", "AttemptFailed", "Close", "Closed", "ClosedEarly", "Connect", "Dialed",
    "Disconnect", "Event", "HandedOver", "Judged", "LoopLost", "Ready", "Reconnect", "Renew",
    "Reopen", "Reported", "RetryDue", "Stepped", "Unusable", "Woke",
]  # fmt: skip


class Connect(NamedTuple):
    """The command."""


class Disconnect(NamedTuple):
    """The command."""


class Reconnect(NamedTuple):
    """The command: another session in place of this one."""

    code: int
    reason: str
    wall: float  # seconds since the epoch


class Renew(NamedTuple):
    """The command: another session beside this one, which ends when the other one is open."""

    code: int
    reason: str


class Close(NamedTuple):
    """The store is being closed: a `Disconnect` that no attempt follows."""


class RetryDue(NamedTuple):
    """The delay before the next attempt has passed."""


class Dialed(NamedTuple):
    """An attempt has opened a socket."""

    number: int
    link: Any  # what the interpreter makes the session of; opaque here


class AttemptFailed(NamedTuple):
    """An attempt failed."""

    number: int
    error: Exception
    now: float  # monotonic seconds


class Unusable(NamedTuple):
    """An attempt found that its event loop opens no sockets."""

    number: int


class Ready(NamedTuple):
    """All that must be said first on a new socket was said."""

    number: int
    wall: float  # seconds since the epoch
    answer: UpgradeAnswer = NO_ANSWER


class Announced(NamedTuple):
    """Everybody was notified of the new session."""

    number: int


class Closed(NamedTuple):
    """The socket of the session has ended."""

    close: CloseInfo
    error: Exception
    lost_at: float  # the last sign of life, in seconds since the epoch
    now: float


class ClosedEarly(NamedTuple):
    """The socket of an attempt has ended in the handshake."""

    number: int
    close: CloseInfo
    error: Exception
    now: float


class HandedOver(NamedTuple):
    """The session before has ended, and all that came on it was delivered."""

    number: int
    clean: bool  # the peer has closed it too, so that nothing of it was lost
    lost_at: float  # its last sign of life, in seconds since the epoch
    wall: float
    answer: UpgradeAnswer = NO_ANSWER  # to the upgrade of the session that follows


class Reported(NamedTuple):
    """The failure was reported to those who observe the errors."""

    number: int


class Judged(NamedTuple):
    """It is decided what a failure leads to."""

    number: int
    decision: Decision
    wall: float


class Woke(NamedTuple):
    """The machine has slept."""

    slept: float  # seconds
    wall: float


class Stepped(NamedTuple):
    """The wall clock was set."""

    seconds: float  # ahead, or back


class Reopen(NamedTuple):
    """Everybody was notified of the end that `connect()` did not wait for."""


class LoopLost(NamedTuple):
    """The event loop was closed, or opens no sockets; the store has moved to another."""

    wall: float
    now: float


Event: TypeAlias = (
    Connect | Disconnect | Reconnect | Renew | Close | RetryDue | Dialed | AttemptFailed
    | Unusable | Ready | Announced | Closed | ClosedEarly | HandedOver | Reported | Judged
    | Stepped | Woke | Reopen | LoopLost
)  # fmt: skip
