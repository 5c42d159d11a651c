"""The rows of the table in `machine.py`: what an event leads to. Pure.

Each gives the next machine and its effects. Those of a session that is opened beside another one
are in `renewing.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeAlias

from heimdall_reactive.base.exceptions import ConnectionLost, TokenError
from heimdall_reactive.base.options import CloseInfo
from heimdall_reactive.base.retry import Failure
from heimdall_reactive.base.rules import Action
from heimdall_reactive.base.state import LOOP_CLOSED, Gap

from .effects import (
    CancelAttempt,
    CancelTimers,
    Effect,
    EndSession,
    ForgetLoop,
    Judge,
    MoveLoop,
    OpenSession,
    PartSession,
    Probe,
    Report,
    ResetRetries,
    StartAttempt,
    StartSession,
    StartStable,
    StartTimer,
    Tell,
    TellGap,
    Then,
)
from .events import (
    Announced,
    AttemptFailed,
    Closed,
    ClosedEarly,
    Dialed,
    Judged,
    LoopLost,
    Ready,
    Reconnect,
    Renew,
    Reopen,
    Reported,
    Stepped,
    Woke,
)
from .phases import Machine, Phase

__all__ = ["MachineStep", "Row"]

NORMAL_CLOSURE: Final = 1000
ABNORMAL_CLOSURE: Final = 1006
TOLD: Final = 0.5  # seconds by which the wall clock must be set for observers to be told

MachineStep: TypeAlias = tuple[Machine, tuple[Effect, ...]]
Row: TypeAlias = Callable[[Machine, Any], MachineStep]


def attempt(machine: Machine, attempt: int, *first: Effect) -> MachineStep:
    """Start an attempt: a first dial, or the reconnection with this number."""
    state, number = machine.state.connecting(attempt), machine.number + 1
    now = replace(
        machine, phase=Phase.CONNECTING, number=number, state=state, failure=None, planned=None
    )
    return now, (*first, CancelTimers(), StartAttempt(number), Tell(state))


def connect(machine: Machine, _: Any) -> MachineStep:
    if machine.closed:
        return machine, ()
    return attempt(machine, 0, ResetRetries())


def reconnect(machine: Machine, event: Reconnect) -> MachineStep:
    """Open another session in place of this one; nothing has failed."""
    parted = replace(machine, lost_at=machine.lost_at or event.wall)
    return attempt(parted, 0, PartSession(event.code, event.reason), ResetRetries())


def retry(machine: Machine, _: Any) -> MachineStep:
    return attempt(machine, machine.state.attempt)


def connect_after_end(machine: Machine, _: Any) -> MachineStep:
    return machine if machine.closed else replace(machine, phase=Phase.REOPENING), ()


def stay_closed(machine: Machine, _: Any) -> MachineStep:
    return replace(machine, phase=Phase.CLOSING), ()


def stay_disconnected(machine: Machine, _: Any) -> MachineStep:
    return replace(machine, phase=Phase.DISCONNECTED), ()


def begin_end(machine: Machine, _: Any) -> MachineStep:
    state = machine.state.disconnecting()
    now = replace(machine, phase=Phase.CLOSING, state=state, planned=None)
    return now, (CancelTimers(), Tell(state), EndSession(NORMAL_CLOSURE))


def cancel(machine: Machine, _: Any) -> MachineStep:
    """End what has no session that anybody was notified of."""
    return disconnected(machine, None, CancelTimers(), CancelAttempt())


def disconnected(machine: Machine, close: CloseInfo | None, *first: Effect) -> MachineStep:
    again = machine.phase is Phase.REOPENING
    state = machine.state.disconnected(close)
    phase = Phase.REOPENED if again else Phase.DISCONNECTED
    now = replace(machine, phase=phase, state=state, failure=None, planned=None, beside=None)
    return now, (*first, Tell(state), *((Then(Reopen()),) if again else ()))


def dialed(machine: Machine, event: Dialed) -> MachineStep:
    now = replace(machine, phase=Phase.HANDSHAKE)
    return now, (OpenSession(event.link),)


def ready(machine: Machine, event: Ready) -> MachineStep:
    state, since = machine.state.connected(event.wall, event.answer), machine.lost_at
    now = replace(machine, phase=Phase.ANNOUNCING, state=state, lost_at=None)
    gap = () if since is None else (TellGap(Gap(since, event.wall, state.session)),)
    return now, (StartStable(), Tell(state), *gap, Then(Announced(machine.number)))


def announced(machine: Machine, _: Any) -> MachineStep:
    now, start = replace(machine, phase=Phase.OPEN), StartSession(heartbeat=True)
    if machine.planned is None:
        return now, (start,)
    return replace(now, planned=None), (start, Then(Renew(*machine.planned)))


def announced_too_late(machine: Machine, _: Any) -> MachineStep:
    """Handle the frames all the same: among them is the close frame that ends it."""
    return machine, (StartSession(heartbeat=False),)


def refused(machine: Machine, event: AttemptFailed) -> MachineStep:
    error = event.error
    status = getattr(error, "http_status", None)
    close = CloseInfo(
        ABNORMAL_CLOSURE, str(error), "network" if status is None else "server", status
    )
    report = (Report(error),) if isinstance(error, TokenError) else ()
    failure = Failure(close, error, event.now, opened=False)
    now = replace(machine, phase=Phase.JUDGING, failure=failure)
    return now, (*report, Then(Reported(machine.number)))


def refused_in_handshake(machine: Machine, event: AttemptFailed) -> MachineStep:
    now, after = refused(machine, event)
    return now, (CancelAttempt(), *after)


def closed_in_handshake(machine: Machine, event: ClosedEarly) -> MachineStep:
    """Count it as a failed attempt, with the close code that the server chose."""
    failure = Failure(event.close, event.error, event.now, opened=False)
    now = replace(machine, phase=Phase.JUDGING, failure=failure)
    return now, (CancelAttempt(), Judge(machine.number, failure))


def unusable(machine: Machine, _: Any) -> MachineStep:
    return replace(machine, phase=Phase.MOVING), (MoveLoop(),)


def lost(machine: Machine, event: Closed) -> MachineStep:
    return judge(machine, event.close, event.error, event.lost_at, event.now, CancelTimers())


def judge(
    machine: Machine, close: CloseInfo, error: Exception, lost_at: float, now: float, first: Effect
) -> MachineStep:
    failure = Failure(close, error, now, opened=True)
    since = _earlier(lost_at, machine.lost_at)
    after = replace(machine, phase=Phase.JUDGING, lost_at=since, failure=failure, planned=None)
    return after, (first, Judge(machine.number, failure))


def _earlier(lost_at: float, before: float | None) -> float:
    """Return since when messages may be missing, where some were missing before."""
    return lost_at if before is None else min(lost_at, before)


def ended(machine: Machine, event: Closed) -> MachineStep:
    now = replace(machine, lost_at=_earlier(event.lost_at, machine.lost_at))
    return disconnected(now, event.close, CancelTimers())


def reported(machine: Machine, _: Any) -> MachineStep:
    assert machine.failure is not None
    return machine, (Judge(machine.number, machine.failure),)


def judged(machine: Machine, event: Judged) -> MachineStep:
    assert machine.failure is not None
    close, error, decision = machine.failure.close, machine.failure.error, event.decision
    if decision.delay is not None and machine.beside is not None:
        state = machine.state.connecting(decision.attempt)
        now = replace(machine, phase=machine.beside, state=state, failure=None, beside=None)
        return now, (Tell(state),)
    if decision.delay is not None:
        return wait(machine, decision.delay, decision.attempt, event.wall)
    machine, given_up = (
        replace(machine, beside=None),
        () if machine.beside is None else (CancelAttempt(),),
    )
    if decision.action is Action.END:
        clean = close.code == NORMAL_CLOSURE
        state = machine.state.disconnected(close, None if clean else error)
        now = replace(machine, phase=Phase.DISCONNECTED, state=state, failure=None)
    else:
        state = machine.state.failed(close, error)
        now = replace(machine, phase=Phase.FAILED, state=state, failure=None)
    return now, (*given_up, Tell(state))


def wait(machine: Machine, delay: float, attempt: int, wall: float, *first: Effect) -> MachineStep:
    assert machine.failure is not None
    close, error = machine.failure.close, machine.failure.error
    state = machine.state.waiting(attempt, wall + delay, close, error)
    now = replace(machine, phase=Phase.WAITING, state=state, failure=None)
    return now, (*first, StartTimer(delay), Tell(state))


def probe(machine: Machine, event: Woke) -> MachineStep:
    return machine, (Probe(event.slept),)


def wait_less(machine: Machine, event: Woke) -> MachineStep:
    """Count the sleep in: the event loop's clock stood still."""
    left = (machine.state.retry_at or event.wall) - event.wall
    return machine, (StartTimer(max(0.0, left)),)


def set_clock(machine: Machine, event: Stepped) -> MachineStep:
    """Move the moment of a loss with the wall clock: an outage is as long as it was."""
    if machine.lost_at is None:
        return machine, ()
    return replace(machine, lost_at=machine.lost_at + event.seconds), ()


def wait_as_long(machine: Machine, event: Stepped) -> MachineStep:
    """Tell when the next attempt starts by the clock of now; its timer knows no clock."""
    now, _ = set_clock(machine, event)
    if abs(event.seconds) < TOLD or now.state.retry_at is None:
        return now, ()
    state = now.state.set_clock(event.seconds)
    return replace(now, state=state), (Tell(state),)


def closing(row: Row) -> Row:
    """Return the row of `Disconnect` as that of `Close`."""
    return lambda machine, event: row(replace(machine, closed=True), event)


def close(machine: Machine, _: Any) -> MachineStep:
    return replace(machine, closed=True), ()


# The event loop is gone: what ran on it does not come any more


def lost_loop(machine: Machine, event: LoopLost) -> MachineStep:
    lost = ConnectionLost(ABNORMAL_CLOSURE, LOOP_CLOSED)
    close = CloseInfo(ABNORMAL_CLOSURE, lost.reason)
    return judge(machine, close, lost, event.wall, event.now, ForgetLoop())


def dial_elsewhere(machine: Machine, event: LoopLost) -> MachineStep:
    lost = ConnectionLost(ABNORMAL_CLOSURE, LOOP_CLOSED)
    close = CloseInfo(ABNORMAL_CLOSURE, lost.reason)
    now = replace(machine, failure=Failure(close, lost, event.now, opened=False))
    return wait(now, 0.0, machine.state.attempt, event.wall, ForgetLoop())


def retry_elsewhere(machine: Machine, _: Any) -> MachineStep:
    return attempt(machine, machine.state.attempt, ForgetLoop())


def end_elsewhere(machine: Machine, event: LoopLost) -> MachineStep:
    now = replace(machine, lost_at=event.wall)
    return disconnected(now, CloseInfo(NORMAL_CLOSURE, "", "client"), ForgetLoop())


def forget(machine: Machine, _: Any) -> MachineStep:
    return machine, (ForgetLoop(),)
