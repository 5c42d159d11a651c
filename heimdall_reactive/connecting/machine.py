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

from collections.abc import Mapping
from typing import Final

from . import renewing, steps
from .effects import (
    DropLink,
)
from .events import (
    Announced,
    AttemptFailed,
    Close,
    Closed,
    ClosedEarly,
    Connect,
    Dialed,
    Disconnect,
    Event,
    HandedOver,
    Judged,
    LoopLost,
    Ready,
    Reconnect,
    Renew,
    Reopen,
    Reported,
    RetryDue,
    Stepped,
    Unusable,
    Woke,
)
from .phases import Machine, Phase
from .steps import MachineStep, Row

__all__ = ["TABLE", "Machine", "Phase", "step"]


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


_ANYWHERE: Final[dict[type[Event], Row]] = {
    Close: steps.close,
    LoopLost: steps.forget,
    Stepped: steps.set_clock,
}


def _rows(disconnect: Row | None, rows: dict[type[Event], Row]) -> dict[type[Event], Row]:
    if disconnect is None:
        return {**_ANYWHERE, **rows}
    return {**_ANYWHERE, Disconnect: disconnect, Close: steps.closing(disconnect), **rows}


TABLE: Final[Mapping[Phase, Mapping[type[Event], Row]]] = {
    Phase.IDLE: _rows(
        steps.cancel, {Connect: steps.connect, Reconnect: steps.connect, Renew: steps.connect}
    ),
    Phase.CONNECTING: _rows(
        steps.cancel,
        {
            Dialed: steps.dialed,
            AttemptFailed: steps.refused,
            Unusable: steps.unusable,
            LoopLost: steps.dial_elsewhere,
        },
    ),
    Phase.MOVING: _rows(
        steps.cancel, {AttemptFailed: steps.refused, LoopLost: steps.dial_elsewhere}
    ),
    Phase.HANDSHAKE: _rows(
        steps.cancel,
        {
            Ready: steps.ready,
            AttemptFailed: steps.refused_in_handshake,
            ClosedEarly: steps.closed_in_handshake,
            LoopLost: steps.dial_elsewhere,
        },
    ),
    Phase.ANNOUNCING: _rows(
        steps.begin_end,
        {
            Announced: steps.announced,
            Reconnect: steps.reconnect,
            Renew: renewing.renew_soon,
            LoopLost: steps.lost_loop,
        },
    ),
    Phase.OPEN: _rows(
        steps.begin_end,
        {
            Closed: steps.lost,
            Reconnect: steps.reconnect,
            Renew: renewing.renew,
            Woke: steps.probe,
            LoopLost: steps.lost_loop,
        },
    ),
    Phase.RENEWING: _rows(
        renewing.begin_end_of_both,
        {
            Dialed: renewing.dialed_beside,
            AttemptFailed: renewing.not_renewed,
            Unusable: renewing.unusable_beside,
            Closed: renewing.lost_beside,
            Reconnect: renewing.reconnect_instead,
            Woke: steps.probe,
            LoopLost: steps.lost_loop,
        },
    ),
    Phase.SWITCHING: _rows(
        renewing.begin_end_of_both,
        {
            Ready: renewing.switch,
            AttemptFailed: renewing.not_renewed,
            ClosedEarly: renewing.not_renewed,
            Closed: renewing.lost_beside,
            Reconnect: renewing.reconnect_instead,
            Woke: steps.probe,
            LoopLost: steps.lost_loop,
        },
    ),
    Phase.HANDING_OVER: _rows(
        renewing.begin_end_of_new,
        {
            HandedOver: renewing.handed_over,
            Closed: renewing.lost_new,
            Reconnect: renewing.reconnect_new,
            LoopLost: steps.lost_loop,
        },
    ),
    Phase.JUDGING: _rows(steps.cancel, {Reported: steps.reported, Judged: steps.judged}),
    Phase.WAITING: _rows(
        steps.cancel,
        {
            Connect: steps.connect,
            Reconnect: steps.connect,
            Renew: steps.connect,
            RetryDue: steps.retry,
            Woke: steps.wait_less,
            Stepped: steps.wait_as_long,
            LoopLost: steps.retry_elsewhere,
        },
    ),
    Phase.CLOSING: _rows(
        None,
        {
            Connect: steps.connect_after_end,
            Reconnect: steps.connect_after_end,
            Renew: steps.connect_after_end,
            Closed: steps.ended,
            Announced: steps.announced_too_late,
            LoopLost: steps.end_elsewhere,
        },
    ),
    Phase.REOPENING: _rows(
        steps.stay_closed,
        {Closed: steps.ended, Announced: steps.announced_too_late, LoopLost: steps.end_elsewhere},
    ),
    Phase.REOPENED: _rows(
        steps.stay_disconnected,
        {
            Connect: steps.connect,
            Reconnect: steps.connect,
            Renew: steps.connect,
            Reopen: steps.connect,
        },
    ),
    Phase.DISCONNECTED: _rows(
        None, {Connect: steps.connect, Reconnect: steps.connect, Renew: steps.connect}
    ),
    Phase.FAILED: _rows(
        None, {Connect: steps.connect, Reconnect: steps.connect, Renew: steps.connect}
    ),
}
"""What each event leads to in each phase; an event that is not here changes nothing."""
