"""The life of a connection as a table: `step(machine, event)` gives the next one and its effects.

Pure: no event loop, clock, socket or callback. `Connection` feeds the events and performs the
effects. Effects that may run a user's code (`effects.TELLS`) come after all others of their step,
because an observer may feed the next event before the call returns, and must find everything in
order. What has to follow them is an event of its own (`Then`), which looks at the phase again.

Every attempt has a number, which its session keeps. What reports a result names it, and a result
with an older number changes nothing: the attempt was abandoned before.

Source: the manner of h11 and wsproto, https://sans-io.readthedocs.io/how-to-sans-io.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from heimdall_reactive.base.exceptions import ConnectionLost, TokenError
from heimdall_reactive.base.options import CloseInfo
from heimdall_reactive.base.retry import Failure
from heimdall_reactive.base.rules import Action
from heimdall_reactive.base.state import Gap

from .effects import (
    CancelAttempt,
    CancelTimers,
    DropLink,
    DropSession,
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
    Close,
    Closed,
    Connect,
    Dialed,
    Disconnect,
    Event,
    Judged,
    LoopLost,
    Ready,
    Reconnect,
    Reopen,
    Reported,
    RetryDue,
    Stable,
    Unusable,
    Woke,
)
from .phases import Machine, Phase

__all__ = ["TABLE", "Machine", "Phase", "step"]

NORMAL_CLOSURE: Final = 1000
ABNORMAL_CLOSURE: Final = 1006
LOOP_CLOSED: Final = "the event loop was closed"


MachineStep: TypeAlias = tuple[Machine, tuple[Effect, ...]]


def step(machine: Machine, event: Event) -> MachineStep:
    """Return the machine after an event, and the effects to perform in their order.

    An event that the table does not know in a phase changes nothing.
    """
    row = TABLE[machine.phase].get(type(event))
    if row is not None and not _is_late(machine, event):
        return row(machine, event)
    return machine, (DropLink(event.link),) if isinstance(event, Dialed) else ()


def _is_late(machine: Machine, event: Event) -> bool:
    number = getattr(event, "number", None)
    return number is not None and number != machine.number


# The rows


def _attempt(machine: Machine, attempt: int, *first: Effect) -> MachineStep:
    """Start an attempt: a first dial, or the reconnection with this number."""
    state, number = machine.state.connecting(attempt), machine.number + 1
    now = replace(machine, phase=Phase.CONNECTING, number=number, state=state, failure=None)
    return now, (*first, CancelTimers(), StartAttempt(number), Tell(state))


def _connect(machine: Machine, _: Any) -> MachineStep:
    if machine.closed:
        return machine, ()
    return _attempt(machine, 0, ResetRetries())


def _reconnect(machine: Machine, event: Reconnect) -> MachineStep:
    """Open another session in place of this one; nothing has failed."""
    parted = replace(machine, lost_at=event.wall)
    return _attempt(parted, 0, PartSession(event.code, event.reason), ResetRetries())


def _retry(machine: Machine, _: Any) -> MachineStep:
    return _attempt(machine, machine.state.attempt)


def _connect_after_end(machine: Machine, _: Any) -> MachineStep:
    return machine if machine.closed else replace(machine, phase=Phase.REOPENING), ()


def _stay_closed(machine: Machine, _: Any) -> MachineStep:
    return replace(machine, phase=Phase.CLOSING), ()


def _stay_disconnected(machine: Machine, _: Any) -> MachineStep:
    return replace(machine, phase=Phase.DISCONNECTED), ()


def _begin_end(machine: Machine, _: Any) -> MachineStep:
    state = machine.state.disconnecting()
    now = replace(machine, phase=Phase.CLOSING, state=state)
    return now, (CancelTimers(), Tell(state), EndSession(NORMAL_CLOSURE))


def _cancel(machine: Machine, _: Any) -> MachineStep:
    """End what has no session."""
    return _disconnected(machine, None, CancelTimers(), CancelAttempt())


def _drop(machine: Machine, _: Any) -> MachineStep:
    """End a session that nobody was told of."""
    return _disconnected(machine, None, CancelTimers(), CancelAttempt(), DropSession())


def _disconnected(machine: Machine, close: CloseInfo | None, *first: Effect) -> MachineStep:
    again = machine.phase is Phase.REOPENING
    state = machine.state.disconnected(close)
    phase = Phase.REOPENED if again else Phase.DISCONNECTED
    now = replace(machine, phase=phase, state=state, failure=None)
    return now, (*first, Tell(state), *((Then(Reopen()),) if again else ()))


def _dialed(machine: Machine, event: Dialed) -> MachineStep:
    now = replace(machine, phase=Phase.HANDSHAKE)
    return now, (OpenSession(event.link),)


def _ready(machine: Machine, event: Ready) -> MachineStep:
    state, since = machine.state.connected(event.wall), machine.lost_at
    now = replace(machine, phase=Phase.ANNOUNCING, state=state, lost_at=None)
    gap = () if since is None else (TellGap(Gap(since, event.wall, state.session)),)
    return now, (StartStable(), Tell(state), *gap, Then(Announced(machine.number)))


def _announced(machine: Machine, _: Any) -> MachineStep:
    return replace(machine, phase=Phase.OPEN), (StartSession(heartbeat=True),)


def _announced_too_late(machine: Machine, _: Any) -> MachineStep:
    """Handle the frames all the same: among them is the close frame that ends it."""
    return machine, (StartSession(heartbeat=False),)


def _refused(machine: Machine, event: AttemptFailed) -> MachineStep:
    error = event.error
    status = getattr(error, "http_status", None)
    close = CloseInfo(
        ABNORMAL_CLOSURE, str(error), "network" if status is None else "server", status
    )
    report = (Report(error),) if isinstance(error, TokenError) else ()
    failure = Failure(close, error, event.now, opened=False)
    now = replace(machine, phase=Phase.JUDGING, failure=failure)
    return now, (*report, Then(Reported(machine.number)))


def _refused_in_handshake(machine: Machine, event: AttemptFailed) -> MachineStep:
    now, after = _refused(machine, event)
    return now, (DropSession(), *after)


def _closed_in_handshake(machine: Machine, event: Closed) -> MachineStep:
    """Count it as a failed attempt, with the close code that the server chose."""
    failure = Failure(event.close, event.error, event.now, opened=False)
    now = replace(machine, phase=Phase.JUDGING, failure=failure)
    return now, (CancelAttempt(), Judge(machine.number, failure))


def _unusable(machine: Machine, _: Any) -> MachineStep:
    return replace(machine, phase=Phase.MOVING), (MoveLoop(),)


def _lost(machine: Machine, event: Closed) -> MachineStep:
    return _judge(machine, event.close, event.error, event.lost_at, event.now, CancelTimers())


def _judge(
    machine: Machine, close: CloseInfo, error: Exception, lost_at: float, now: float, first: Effect
) -> MachineStep:
    failure = Failure(close, error, now, opened=True)
    after = replace(machine, phase=Phase.JUDGING, lost_at=lost_at, failure=failure)
    return after, (first, Judge(machine.number, failure))


def _ended(machine: Machine, event: Closed) -> MachineStep:
    now = replace(machine, lost_at=event.lost_at)
    return _disconnected(now, event.close, CancelTimers())


def _reported(machine: Machine, _: Any) -> MachineStep:
    assert machine.failure is not None
    return machine, (Judge(machine.number, machine.failure),)


def _judged(machine: Machine, event: Judged) -> MachineStep:
    assert machine.failure is not None
    close, error, decision = machine.failure.close, machine.failure.error, event.decision
    if decision.delay is not None:
        return _wait(machine, decision.delay, decision.attempt, event.wall)
    if decision.action is Action.END:
        clean = close.code == NORMAL_CLOSURE
        state = machine.state.disconnected(close, None if clean else error)
        now = replace(machine, phase=Phase.DISCONNECTED, state=state, failure=None)
    else:
        state = machine.state.failed(close, error)
        now = replace(machine, phase=Phase.FAILED, state=state, failure=None)
    return now, (Tell(state),)


def _wait(machine: Machine, delay: float, attempt: int, wall: float, *first: Effect) -> MachineStep:
    assert machine.failure is not None
    close, error = machine.failure.close, machine.failure.error
    state = machine.state.waiting(attempt, wall + delay, close, error)
    now = replace(machine, phase=Phase.WAITING, state=state, failure=None)
    return now, (*first, StartTimer(delay), Tell(state))


def _stable(machine: Machine, _: Any) -> MachineStep:
    return machine, (ResetRetries(),)


def _probe(machine: Machine, event: Woke) -> MachineStep:
    return machine, (Probe(event.slept),)


def _wait_less(machine: Machine, event: Woke) -> MachineStep:
    """Count the sleep in: the event loop's clock stood still."""
    left = (machine.state.retry_at or event.wall) - event.wall
    return machine, (StartTimer(max(0.0, left)),)


def _closing(row: Row) -> Row:
    """Return the row of `Disconnect` as that of `Close`."""
    return lambda machine, event: row(replace(machine, closed=True), event)


def _close(machine: Machine, _: Any) -> MachineStep:
    return replace(machine, closed=True), ()


# The event loop is gone: what ran on it does not come any more


def _lost_loop(machine: Machine, event: LoopLost) -> MachineStep:
    lost = ConnectionLost(ABNORMAL_CLOSURE, LOOP_CLOSED)
    close = CloseInfo(ABNORMAL_CLOSURE, lost.reason)
    return _judge(machine, close, lost, event.wall, event.now, ForgetLoop())


def _dial_elsewhere(machine: Machine, event: LoopLost) -> MachineStep:
    lost = ConnectionLost(ABNORMAL_CLOSURE, LOOP_CLOSED)
    close = CloseInfo(ABNORMAL_CLOSURE, lost.reason)
    now = replace(machine, failure=Failure(close, lost, event.now, opened=False))
    return _wait(now, 0.0, machine.state.attempt, event.wall, ForgetLoop())


def _retry_elsewhere(machine: Machine, _: Any) -> MachineStep:
    return _attempt(machine, machine.state.attempt, ForgetLoop())


def _end_elsewhere(machine: Machine, event: LoopLost) -> MachineStep:
    now = replace(machine, lost_at=event.wall)
    return _disconnected(now, CloseInfo(NORMAL_CLOSURE, "", "client"), ForgetLoop())


def _forget(machine: Machine, _: Any) -> MachineStep:
    return machine, (ForgetLoop(),)


Row: TypeAlias = Callable[[Machine, Any], MachineStep]

_ANYWHERE: Final[dict[type[Event], Row]] = {Close: _close, LoopLost: _forget}


def _rows(disconnect: Row | None, rows: dict[type[Event], Row]) -> dict[type[Event], Row]:
    if disconnect is None:
        return {**_ANYWHERE, **rows}
    return {**_ANYWHERE, Disconnect: disconnect, Close: _closing(disconnect), **rows}


TABLE: Final[Mapping[Phase, Mapping[type[Event], Row]]] = {
    Phase.IDLE: _rows(_cancel, {Connect: _connect, Reconnect: _connect}),
    Phase.CONNECTING: _rows(
        _cancel,
        {
            Dialed: _dialed,
            AttemptFailed: _refused,
            Unusable: _unusable,
            LoopLost: _dial_elsewhere,
        },
    ),
    Phase.MOVING: _rows(_cancel, {LoopLost: _dial_elsewhere}),
    Phase.HANDSHAKE: _rows(
        _drop,
        {
            Ready: _ready,
            AttemptFailed: _refused_in_handshake,
            Closed: _closed_in_handshake,
            LoopLost: _dial_elsewhere,
        },
    ),
    Phase.ANNOUNCING: _rows(
        _begin_end, {Announced: _announced, Reconnect: _reconnect, LoopLost: _lost_loop}
    ),
    Phase.OPEN: _rows(
        _begin_end,
        {
            Closed: _lost,
            Reconnect: _reconnect,
            Stable: _stable,
            Woke: _probe,
            LoopLost: _lost_loop,
        },
    ),
    Phase.JUDGING: _rows(_cancel, {Reported: _reported, Judged: _judged}),
    Phase.WAITING: _rows(
        _cancel,
        {
            Connect: _connect,
            Reconnect: _connect,
            RetryDue: _retry,
            Woke: _wait_less,
            LoopLost: _retry_elsewhere,
        },
    ),
    Phase.CLOSING: _rows(
        None,
        {
            Connect: _connect_after_end,
            Reconnect: _connect_after_end,
            Closed: _ended,
            Announced: _announced_too_late,
            LoopLost: _end_elsewhere,
        },
    ),
    Phase.REOPENING: _rows(
        _stay_closed,
        {Closed: _ended, Announced: _announced_too_late, LoopLost: _end_elsewhere},
    ),
    Phase.REOPENED: _rows(
        _stay_disconnected, {Connect: _connect, Reconnect: _connect, Reopen: _connect}
    ),
    Phase.DISCONNECTED: _rows(None, {Connect: _connect, Reconnect: _connect}),
    Phase.FAILED: _rows(None, {Connect: _connect, Reconnect: _connect}),
}
"""What each event leads to in each phase; an event that is not here changes nothing."""
