"""The rows of a planned reconnection with overlap: the next session opens beside this one. Pure.

`RENEWING` dials it, `SWITCHING` is its handshake, and in `HANDING_OVER` it writes, while the
session before is read to its end. Observers see one connection throughout. If the next session
cannot be opened, the table is back in `OPEN`, and nothing has changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from heimdall_reactive.base.exceptions import ConnectError, StoreError
from heimdall_reactive.base.state import Gap

from .effects import (
    CancelAttempt,
    CancelTimers,
    DropOld,
    HandOver,
    OpenSession,
    Report,
    ResetRetries,
    StartAttempt,
    StartSession,
    StartStable,
    Tell,
    TellGap,
    Then,
)
from .events import (
    Announced,
    AttemptFailed,
    Closed,
    Dialed,
    HandedOver,
    Ready,
    Reconnect,
    Renew,
)
from .phases import Machine, Phase
from .steps import MachineStep, begin_end, lost, reconnect

__all__: list[str] = []


def reconnect_instead(machine: Machine, event: Reconnect) -> MachineStep:
    """Give up the session that is being opened beside this one, too."""
    now, after = reconnect(machine, event)
    return now, (CancelAttempt(), *after)


def reconnect_new(machine: Machine, event: Reconnect) -> MachineStep:
    now, after = reconnect(machine, event)
    return now, (DropOld(), *after)


def renew(machine: Machine, event: Renew) -> MachineStep:
    """Open another session beside this one."""
    number = machine.number + 1
    planned = event.code, event.reason
    now = replace(machine, phase=Phase.RENEWING, number=number, planned=planned)
    return now, (StartAttempt(number),)


def renew_soon(machine: Machine, event: Renew) -> MachineStep:
    return replace(machine, planned=(event.code, event.reason)), ()


def dialed_beside(machine: Machine, event: Dialed) -> MachineStep:
    return replace(machine, phase=Phase.SWITCHING), (OpenSession(event.link),)


def not_renewed(machine: Machine, event: AttemptFailed) -> MachineStep:
    """Stay on the session that there is; nothing has changed."""
    now = replace(machine, phase=Phase.OPEN, planned=None)
    text = "reconnect(overlap=True) could not open another session, and this one stays"
    return now, (CancelAttempt(), Report(StoreError(f"{text}: {event.error}")))


def unusable_beside(machine: Machine, _: Any) -> MachineStep:
    error = ConnectError("its event loop opens no sockets", "reset")
    return not_renewed(machine, AttemptFailed(machine.number, error, 0.0))


def switch(machine: Machine, event: Ready) -> MachineStep:
    assert machine.planned is not None
    now = replace(machine, phase=Phase.HANDING_OVER, planned=None, lost_at=event.wall)
    return now, (CancelTimers(), ResetRetries(), HandOver(*machine.planned))


def handed_over(machine: Machine, event: HandedOver) -> MachineStep:
    """Report the new session, whose frames come from now on."""
    state = machine.state.connected(event.wall, event.answer)
    lost = () if event.clean else (TellGap(Gap(event.lost_at, event.wall, state.session)),)
    now = replace(machine, phase=Phase.ANNOUNCING, state=state, lost_at=None)
    return now, (StartStable(), Tell(state), *lost, Then(Announced(machine.number)))


def begin_end_of_both(machine: Machine, _: Any) -> MachineStep:
    now, after = begin_end(machine, _)
    return now, (CancelAttempt(), *after)


def begin_end_of_new(machine: Machine, _: Any) -> MachineStep:
    """Drop the session before, whose rest would come too late, and close the new one."""
    now, after = begin_end(machine, _)
    return now, (DropOld(), *after, StartSession(heartbeat=False))


def lost_beside(machine: Machine, event: Closed) -> MachineStep:
    """Judge the loss; the attempt that is under way may be the next one."""
    after, effects = lost(machine, event)
    renewing = machine.phase is Phase.RENEWING
    return replace(after, beside=Phase.CONNECTING if renewing else Phase.HANDSHAKE), effects


def lost_new(machine: Machine, event: Closed) -> MachineStep:
    """Give the rest of the session before up: what came on the new one was not delivered."""
    after, effects = lost(machine, event)
    return after, (DropOld(), *effects)
