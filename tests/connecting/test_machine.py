"""The table of a connection's life, without an event loop, a clock or a socket."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heimdall_reactive import (
    ConnectError,
    ConnectionLost,
    HandshakeRefused,
    SessionEnded,
    Status,
    TokenError,
)
from heimdall_reactive.base.options import CloseInfo
from heimdall_reactive.base.retry import Decision, Failure
from heimdall_reactive.base.rules import Action
from heimdall_reactive.base.state import MOVES
from heimdall_reactive.connecting import effects, events
from heimdall_reactive.connecting.machine import TABLE, Machine, Phase, step

RETRY: Final = Decision(Action.RETRY, 2.0, 1)
END: Final = Decision(Action.END)
STOP: Final = Decision(Action.STOP)
LOST: Final = ConnectionLost(1006, "cut")
CUT: Final = CloseInfo(1006, "cut")
STATUSES: Final[dict[Phase, set[Status]]] = {
    Phase.IDLE: {Status.IDLE},
    Phase.CONNECTING: {Status.CONNECTING},
    Phase.MOVING: {Status.CONNECTING},
    Phase.HANDSHAKE: {Status.CONNECTING},
    Phase.ANNOUNCING: {Status.CONNECTED},
    Phase.OPEN: {Status.CONNECTED},
    Phase.RENEWING: {Status.CONNECTED},
    Phase.SWITCHING: {Status.CONNECTED},
    Phase.HANDING_OVER: {Status.CONNECTED},
    Phase.JUDGING: {Status.CONNECTING, Status.CONNECTED},
    Phase.WAITING: {Status.WAITING},
    Phase.CLOSING: {Status.DISCONNECTING},
    Phase.REOPENING: {Status.DISCONNECTING},
    Phase.REOPENED: {Status.DISCONNECTED},
    Phase.DISCONNECTED: {Status.DISCONNECTED},
    Phase.FAILED: {Status.FAILED},
}


def walk(*path: events.Event, start: Machine | None = None) -> tuple[Machine, list[Any]]:
    """Feed events; return where they lead and the effects of the last one."""
    machine = start or Machine()
    done: tuple[effects.Effect, ...] = ()
    for event in path:
        machine, done = step(machine, event)
    return machine, list(done)


def refused(number: int = 1, error: Exception = LOST) -> events.AttemptFailed:
    return events.AttemptFailed(number, error, 0.0)


def closed(code: int = 1006, error: Exception = LOST) -> events.Closed:
    return events.Closed(CloseInfo(code, "", "server"), error, lost_at=90.0, now=0.0)


def closed_early(number: int = 1, code: int = 1006) -> events.ClosedEarly:
    return events.ClosedEarly(number, CloseInfo(code, "", "server"), LOST, 0.0)


def kinds(done: Iterable[Any]) -> list[type]:
    return [type(effect) for effect in done]


CONNECTED: Final = (
    events.Connect(),
    events.Dialed(1, "link"),
    events.Ready(1, 100.0),
    events.Announced(1),
)
RENEWING: Final = (*CONNECTED, events.Renew(4000, "deploy"))
SWITCHING: Final = (*RENEWING, events.Dialed(2, "next"))
HANDING_OVER: Final = (*SWITCHING, events.Ready(2, 100.0))
HANDED_OVER: Final = (*HANDING_OVER, events.HandedOver(2, True, 101.0, 102.0))
LOOP_LOST: Final = events.LoopLost(100.0, 0.0)


# One path at a time


def test_a_dial_leads_over_the_handshake_and_the_announcement_to_open() -> None:
    machine, done = walk(events.Connect())
    assert kinds(done) == [
        effects.ResetRetries, effects.CancelTimers, effects.StartAttempt, effects.Tell,
    ]  # fmt: skip
    machine, done = walk(events.Dialed(1, "link"), start=machine)
    assert (machine.phase, machine.state.status) == (Phase.HANDSHAKE, Status.CONNECTING)
    assert done == [effects.OpenSession("link")]
    machine, done = walk(events.Ready(1, 100.0), start=machine)
    assert machine.state.connected_at == 100.0
    assert kinds(done) == [effects.StartStable, effects.Tell, effects.Then]
    machine, done = walk(events.Announced(1), start=machine)
    assert (machine.phase, done) == (Phase.OPEN, [effects.StartSession(heartbeat=True)])


def test_a_result_of_an_abandoned_attempt_changes_nothing() -> None:
    path = events.Connect(), events.Disconnect(), events.Connect()
    machine, _ = walk(*path)
    assert machine.number == 2
    for late in (refused(1), events.Unusable(1), events.Ready(1, 0.0), events.Judged(1, STOP, 0.0)):
        assert step(machine, late) == (machine, ())
    assert step(machine, events.Dialed(1, "old")) == (machine, (effects.DropLink("old"),))


def test_a_socket_that_comes_after_disconnect_is_dropped() -> None:
    machine, done = walk(events.Connect(), events.Disconnect())
    assert kinds(done) == [effects.CancelTimers, effects.CancelAttempt, effects.Tell]
    assert step(machine, events.Dialed(1, "w")) == (machine, (effects.DropLink("w"),))


def test_disconnect_in_the_handshake_drops_the_socket_and_ready_comes_too_late() -> None:
    machine, done = walk(*CONNECTED[:2], events.Disconnect())
    assert kinds(done) == [effects.CancelTimers, effects.CancelAttempt, effects.Tell]
    assert machine.state.status is Status.DISCONNECTED
    assert step(machine, events.Ready(1, 0.0)) == (machine, ())


def test_disconnect_in_the_announcement_closes_and_still_takes_frames() -> None:
    machine, done = walk(*CONNECTED[:3], events.Disconnect())
    assert kinds(done) == [effects.CancelTimers, effects.Tell, effects.EndSession]
    machine, done = walk(events.Announced(1), start=machine)
    assert (machine.phase, done) == (Phase.CLOSING, [effects.StartSession(heartbeat=False)])


def test_connect_while_closing_dials_after_everybody_was_told_of_the_end() -> None:
    machine, done = walk(*CONNECTED, events.Disconnect(), events.Connect())
    assert (machine.phase, done) == (Phase.REOPENING, [])
    machine, done = walk(closed(1000), start=machine)
    assert (machine.phase, kinds(done)) == (
        Phase.REOPENED, [effects.CancelTimers, effects.Tell, effects.Then],
    )  # fmt: skip
    machine, _ = walk(events.Reopen(), start=machine)
    assert machine.phase is Phase.CONNECTING


@pytest.mark.parametrize("last", [events.Disconnect(), events.Close()])
def test_the_last_command_of_a_closing_handshake_counts(last: events.Event) -> None:
    path = *CONNECTED, events.Disconnect(), events.Connect(), last, closed(1000)
    machine, done = walk(*path)
    assert machine.phase is Phase.DISCONNECTED
    assert effects.Then(events.Reopen()) not in done


def test_an_observer_of_the_end_may_take_the_reconnection_back() -> None:
    path = *CONNECTED, events.Disconnect(), events.Connect(), closed(1000), events.Disconnect()
    machine, _ = walk(*path, events.Reopen())
    assert machine.phase is Phase.DISCONNECTED


def test_a_lost_session_is_judged_and_retried_with_a_gap() -> None:
    machine, done = walk(*CONNECTED, closed())
    assert kinds(done) == [effects.CancelTimers, effects.Judge]
    machine, done = walk(events.Judged(1, RETRY, 100.0), start=machine)
    assert kinds(done) == [effects.StartTimer, effects.Tell]
    assert machine.state.retry_at == 102.0
    path = events.RetryDue(), events.Dialed(2, "link"), events.Ready(2, 110.0)
    machine, done = walk(*path, start=machine)
    assert [(e.gap.since, e.gap.until) for e in done if isinstance(e, effects.TellGap)] == [
        (90.0, 110.0)
    ]
    assert machine.lost_at is None


def test_a_failed_token_is_reported_before_it_is_judged() -> None:
    machine, done = walk(events.Connect(), refused(error=TokenError("none")))
    assert kinds(done) == [effects.Report, effects.Then]
    machine, _ = walk(events.Disconnect(), start=machine)  # an observer of that error
    assert step(machine, events.Reported(1)) == (machine, ())


def test_a_close_by_the_server_for_good_has_an_error_only_where_it_was_not_clean() -> None:
    clean, _ = walk(*CONNECTED, closed(1000), events.Judged(1, END, 0.0))
    ended, _ = walk(*CONNECTED, closed(4000), events.Judged(1, END, 0.0))
    failed, _ = walk(*CONNECTED, closed(4000, SessionEnded("x")), events.Judged(1, STOP, 0.0))
    assert [m.state.status for m in (clean, ended, failed)] == [
        "disconnected", "disconnected", "failed",
    ]  # fmt: skip
    assert clean.state.error is None
    assert ended.state.error is LOST
    assert isinstance(failed.state.error, SessionEnded)


def test_a_sleep_of_the_machine_shortens_the_wait_and_probes_the_peer() -> None:
    waiting, _ = walk(*CONNECTED, closed(), events.Judged(1, RETRY, 100.0))
    assert step(waiting, events.Woke(60.0, 101.5))[1] == (effects.StartTimer(0.5),)
    assert step(waiting, events.Woke(60.0, 200.0))[1] == (effects.StartTimer(0.0),)
    open_, _ = walk(*CONNECTED)
    assert step(open_, events.Woke(60.0, 101.0))[1] == (effects.Probe(60.0),)


def test_a_clock_that_is_set_changes_no_length() -> None:
    waiting, _ = walk(*CONNECTED, closed(), events.Judged(1, RETRY, 100.0))
    lost_at, retry_at = waiting.lost_at, waiting.state.retry_at
    assert lost_at is not None
    assert retry_at is not None
    after, done = step(waiting, events.Stepped(-3600.0))
    assert (after.lost_at, after.state.retry_at) == (lost_at - 3600, retry_at - 3600)
    assert done == (effects.Tell(after.state),)
    assert replace(after.state, retry_at=retry_at) == waiting.state
    slewed, done = step(waiting, events.Stepped(0.01))
    assert (slewed.lost_at, slewed.state, done) == (lost_at + 0.01, waiting.state, ())
    dialled, _ = walk(events.RetryDue(), start=after)
    dialled, done = step(dialled, events.Stepped(7200.0))
    assert (dialled.lost_at, dialled.phase, done) == (lost_at + 3600, Phase.CONNECTING, ())
    open_, _ = walk(*CONNECTED)
    assert step(open_, events.Stepped(7200.0)) == (open_, ())


@pytest.mark.parametrize(
    ("path", "phase"),
    [
        (CONNECTED[:1], Phase.WAITING),
        ((*CONNECTED[:1], events.Unusable(1)), Phase.WAITING),
        (CONNECTED[:2], Phase.WAITING),
        (CONNECTED[:3], Phase.JUDGING),
        (CONNECTED, Phase.JUDGING),
        (RENEWING, Phase.JUDGING),
        (SWITCHING, Phase.JUDGING),
        (HANDING_OVER, Phase.JUDGING),
        ((*CONNECTED, closed(), events.Judged(1, RETRY, 0.0)), Phase.CONNECTING),
        ((*CONNECTED, events.Disconnect()), Phase.DISCONNECTED),
        ((*CONNECTED, events.Disconnect(), events.Connect()), Phase.REOPENED),
        ((), Phase.IDLE),
    ],
)
def test_a_lost_event_loop_is_forgotten_and_what_was_wanted_goes_on(
    path: tuple[events.Event, ...], phase: Phase
) -> None:
    machine, done = walk(*path, LOOP_LOST)
    assert (machine.phase, kinds(done)[0]) == (phase, effects.ForgetLoop)


def test_a_closed_connection_ignores_connect() -> None:
    for path in ((), CONNECTED, (*CONNECTED, events.Disconnect()), (events.Disconnect(),)):
        machine, _ = walk(*path, events.Close(), events.Connect(), closed(1000), events.Connect())
        assert (machine.phase, machine.closed) == (Phase.DISCONNECTED, True)


def test_a_handshake_that_fails_drops_the_socket_and_counts_as_a_failed_attempt() -> None:
    machine, done = walk(*CONNECTED[:2], refused())
    assert kinds(done) == [effects.CancelAttempt, effects.Then]
    assert machine.failure is not None
    assert not machine.failure.opened


def test_a_close_in_the_handshake_keeps_its_code_and_leaves_no_gap() -> None:
    machine, done = walk(*CONNECTED[:2], closed_early(1, 4403))
    assert kinds(done) == [effects.CancelAttempt, effects.Judge]
    assert machine.failure is not None
    assert (machine.failure.close.code, machine.failure.opened) == (4403, False)
    assert machine.lost_at is None


def test_a_planned_reconnection_dials_at_once_and_judges_nothing() -> None:
    machine, done = walk(*CONNECTED, events.Reconnect(4000, "resume", 95.0))
    assert done[0] == effects.PartSession(4000, "resume")
    assert kinds(done)[1:] == [
        effects.ResetRetries, effects.CancelTimers, effects.StartAttempt, effects.Tell,
    ]  # fmt: skip
    assert (machine.phase, machine.number) == (Phase.CONNECTING, 2)
    machine, done = walk(events.Dialed(2, "next"), events.Ready(2, 100.0), start=machine)
    assert [e.gap.since for e in done if isinstance(e, effects.TellGap)] == [95.0]


# A planned reconnection with overlap


def gaps(done: Iterable[Any]) -> list[tuple[float, float, int]]:
    told = (effect.gap for effect in done if isinstance(effect, effects.TellGap))
    return [(gap.since, gap.until, gap.session) for gap in told]


def test_the_next_session_opens_beside_this_one_and_nobody_is_told_before_its_end() -> None:
    machine, done = walk(*RENEWING)
    assert (machine.phase, done) == (Phase.RENEWING, [effects.StartAttempt(2)])
    machine, done = walk(*SWITCHING)
    assert (machine.phase, done) == (Phase.SWITCHING, [effects.OpenSession("next")])
    machine, done = walk(*HANDING_OVER)
    assert machine.phase is Phase.HANDING_OVER
    assert done == [
        effects.CancelTimers(), effects.ResetRetries(), effects.HandOver(4000, "deploy"),
    ]  # fmt: skip
    assert (machine.state.status, machine.state.session) == (Status.CONNECTED, 1)
    machine, done = walk(*HANDED_OVER)
    assert kinds(done) == [effects.StartStable, effects.Tell, effects.Then]
    assert (machine.state.session, machine.state.connected_at) == (2, 102.0)
    machine, done = walk(events.Announced(2), start=machine)
    assert (machine.phase, machine.lost_at, machine.planned) == (Phase.OPEN, None, None)


def test_a_session_before_that_was_cut_off_leaves_a_gap() -> None:
    _, done = walk(*HANDING_OVER, events.HandedOver(2, False, 101.0, 102.0))
    assert gaps(done) == [(101.0, 102.0, 2)]


@pytest.mark.parametrize(
    "failed",
    [
        (refused(2),),
        (events.Unusable(2),),
        (events.Dialed(2, "next"), refused(2)),
        (events.Dialed(2, "next"), closed_early(2, 4401)),
    ],
)
def test_a_next_session_that_cannot_be_opened_changes_nothing(failed: Any) -> None:
    machine, done = walk(*RENEWING, *failed)
    assert (machine.phase, machine.planned) == (Phase.OPEN, None)
    assert kinds(done) == [effects.CancelAttempt, effects.Report]
    assert machine.state == walk(*CONNECTED)[0].state


@pytest.mark.parametrize(
    ("path", "phase"), [(RENEWING, Phase.CONNECTING), (SWITCHING, Phase.HANDSHAKE)]
)
def test_a_session_that_is_lost_meanwhile_has_its_next_attempt_under_way(
    path: tuple[events.Event, ...], phase: Phase
) -> None:
    machine, done = walk(*path, closed())
    assert kinds(done) == [effects.CancelTimers, effects.Judge]
    adopted, done = walk(events.Judged(2, RETRY, 100.0), start=machine)
    assert (adopted.phase, kinds(done)) == (phase, [effects.Tell])
    assert (adopted.state.status, adopted.state.attempt) == (Status.CONNECTING, 1)
    last = [events.Ready(2, 110.0)]
    if phase is Phase.CONNECTING:
        last.insert(0, events.Dialed(2, "next"))  # type: ignore[arg-type]
    assert gaps(walk(*last, start=adopted)[1]) == [(90.0, 110.0, 2)]
    ended, done = walk(events.Judged(2, END, 100.0), start=machine)
    assert (ended.phase, ended.beside) == (Phase.DISCONNECTED, None)
    assert kinds(done) == [effects.CancelAttempt, effects.Tell]


def test_a_next_session_that_is_lost_before_its_time_leaves_a_gap_from_the_hand_over_on() -> None:
    late = closed()._replace(lost_at=105.0)
    machine, done = walk(*HANDING_OVER, late)
    assert kinds(done) == [effects.DropOld, effects.CancelTimers, effects.Judge]
    path = events.Judged(2, RETRY, 106.0), events.RetryDue(), events.Dialed(3, "third")
    machine, done = walk(*path, events.Ready(3, 110.0), start=machine)
    assert gaps(done) == [(100.0, 110.0, 2)]


def test_disconnect_ends_both_sessions() -> None:
    machine, done = walk(*SWITCHING, events.Disconnect())
    assert machine.phase is Phase.CLOSING
    assert kinds(done) == [
        effects.CancelAttempt, effects.CancelTimers, effects.Tell, effects.EndSession,
    ]  # fmt: skip
    machine, done = walk(*HANDING_OVER, events.Disconnect())
    assert machine.phase is Phase.CLOSING
    assert kinds(done) == [
        effects.DropOld, effects.CancelTimers, effects.Tell, effects.EndSession,
        effects.StartSession,
    ]  # fmt: skip


def test_a_plain_reconnection_takes_the_place_of_one_with_overlap() -> None:
    plain = events.Reconnect(4001, "now", 105.0)
    for path, first in ((SWITCHING, effects.CancelAttempt), (HANDING_OVER, effects.DropOld)):
        machine, done = walk(*path, plain)
        assert (machine.phase, machine.number, machine.planned) == (Phase.CONNECTING, 3, None)
        assert kinds(done)[:2] == [first, effects.PartSession]
    assert machine.lost_at == 100.0  # of the hand-over


def test_an_overlap_asked_for_in_the_announcement_follows_it() -> None:
    machine, _ = walk(*CONNECTED[:3], events.Renew(4000, ""))
    machine, done = walk(events.Announced(1), start=machine)
    assert done[-1] == effects.Then(events.Renew(4000, ""))
    assert walk(events.Renew(1000, ""))[0].phase is Phase.CONNECTING


# What a step leaves behind


@pytest.mark.parametrize(
    ("error", "who", "status"),
    [(ConnectError("no", "reset"), "network", None), (HandshakeRefused(503), "server", 503)],
)
def test_a_failed_attempt_says_who_ended_it(error: Exception, who: Any, status: int | None) -> None:
    machine, done = walk(events.Connect(), events.AttemptFailed(1, error, 7.0))
    close = CloseInfo(1006, str(error), who, status)
    failure = Failure(close, error, 7.0, opened=False)
    assert machine.failure == failure
    assert done == [effects.Then(events.Reported(1))]
    machine, done = walk(events.Reported(1), start=machine)
    assert done == [effects.Judge(1, failure)]
    machine, done = walk(events.Judged(1, RETRY, 100.0), start=machine)
    assert (machine.state.attempt, machine.state.retry_at) == (1, 102.0)
    assert (machine.state.close, machine.state.error) == (close, error)
    assert done == [effects.StartTimer(2.0), effects.Tell(machine.state)]


def test_a_lost_session_is_judged_by_what_ended_it() -> None:
    lost = events.Closed(CUT, LOST, lost_at=90.0, now=7.0)
    machine, done = walk(*CONNECTED, lost)
    assert machine.lost_at == 90.0
    failure = Failure(CUT, LOST, 7.0, opened=True)
    assert done == [effects.CancelTimers(), effects.Judge(1, failure)]


@pytest.mark.parametrize("decision", [RETRY, END, STOP])
def test_a_decision_leaves_no_failure(decision: Decision) -> None:
    machine, _ = walk(*CONNECTED, closed(4000), events.Judged(1, decision, 100.0))
    assert machine.failure is None
    assert machine.state.close == CloseInfo(4000, "", "server")


def test_a_retry_keeps_its_number_and_a_new_start_has_none() -> None:
    waiting, _ = walk(*CONNECTED, closed(), events.Judged(1, Decision(Action.RETRY, 2.0, 4), 1.0))
    again, done = walk(events.RetryDue(), start=waiting)
    assert (again.state.attempt, again.state.close) == (4, waiting.state.close)
    assert done == [effects.CancelTimers(), effects.StartAttempt(2), effects.Tell(again.state)]
    anew, _ = walk(events.Connect(), start=waiting)
    assert (anew.state.attempt, anew.state.close) == (0, None)
    planned, _ = walk(*CONNECTED, events.Reconnect(4000, "resume", 95.0))
    assert (planned.state.attempt, planned.lost_at) == (0, 95.0)


def test_a_session_that_ends_by_command_closes_with_1000_and_keeps_its_end() -> None:
    machine, done = walk(*CONNECTED, events.Disconnect())
    assert done == [
        effects.CancelTimers(), effects.Tell(machine.state), effects.EndSession(1000, ""),
    ]  # fmt: skip
    machine, done = walk(closed(1001), start=machine)
    assert (machine.lost_at, machine.state.close) == (90.0, CloseInfo(1001, "", "server"))
    assert done == [effects.CancelTimers(), effects.Tell(machine.state)]


def test_a_loop_that_is_gone_takes_a_live_session_with_it() -> None:
    machine, done = walk(*CONNECTED, events.LoopLost(100.0, 7.0))
    assert machine.failure is not None
    assert machine.failure.close == CloseInfo(1006, "the event loop was closed")
    assert str(machine.failure.error) == (
        "the connection ended with code 1006 (the event loop was closed)"
    )
    assert (machine.failure.now, machine.failure.opened, machine.lost_at) == (7.0, True, 100.0)
    assert done == [effects.ForgetLoop(), effects.Judge(1, machine.failure)]


@pytest.mark.parametrize("steps", [1, 2])
def test_an_attempt_whose_loop_is_gone_is_made_at_once_on_another(steps: int) -> None:
    machine, done = walk(*CONNECTED[:steps], events.LoopLost(100.0, 7.0))
    state = machine.state
    assert (state.attempt, state.retry_at, machine.failure) == (0, 100.0, None)
    assert state.close == CloseInfo(1006, "the event loop was closed")
    assert "the event loop was closed" in str(state.error)
    assert done == [effects.ForgetLoop(), effects.StartTimer(0.0), effects.Tell(state)]


def test_a_wait_whose_loop_is_gone_ends_and_keeps_its_number() -> None:
    waiting, _ = walk(*CONNECTED, closed(), events.Judged(1, Decision(Action.RETRY, 2.0, 4), 1.0))
    machine, done = walk(LOOP_LOST, start=waiting)
    assert machine.state.attempt == 4
    assert kinds(done) == [
        effects.ForgetLoop, effects.CancelTimers, effects.StartAttempt, effects.Tell,
    ]  # fmt: skip


def test_a_closing_handshake_whose_loop_is_gone_has_ended() -> None:
    machine, done = walk(*CONNECTED, events.Disconnect(), LOOP_LOST)
    assert (machine.phase, machine.lost_at) == (Phase.DISCONNECTED, 100.0)
    assert machine.state.close == CloseInfo(1000, "", "client")
    assert done == [effects.ForgetLoop(), effects.Tell(machine.state)]


# Any path

EVENTS: Final = st.sampled_from([
    events.Connect(), events.Disconnect(), events.Reconnect(4000, "", 95.0), events.Close(),
    events.Renew(4000, ""),
    events.RetryDue(), events.Reopen(), events.Woke(9.0, 100.0), LOOP_LOST,
    events.Stepped(-3600.0), events.Stepped(0.01),
    closed(), closed(1000),
    *(make(age) for age in (0, 1) for make in (
        lambda age: events.Dialed(age, "link"),
        refused,
        lambda age: refused(age, TokenError("none")),
        events.Unusable,
        lambda age: events.Ready(age, 100.0),
        events.Announced,
        closed_early,
        lambda age: events.HandedOver(age, True, 99.0, 101.0),
        lambda age: events.HandedOver(age, False, 99.0, 101.0),
        events.Reported,
        lambda age: events.Judged(age, RETRY, 100.0),
        lambda age: events.Judged(age, END, 100.0),
        lambda age: events.Judged(age, STOP, 100.0),
    )),
])  # fmt: skip


def numbered(event: Any, machine: Machine) -> events.Event:
    """Return an event with the number of the newest attempt, or of an older one."""
    if (age := getattr(event, "number", None)) is None:
        return event  # type: ignore[no-any-return]
    return event._replace(number=machine.number - age)  # type: ignore[no-any-return]


@settings(max_examples=300, deadline=None)
@given(path=st.lists(EVENTS, max_size=60))
def test_whatever_happens_every_step_keeps_the_rules(path: list[Any]) -> None:
    machine, attempts = Machine(), 0
    for drawn in path:
        event = numbered(drawn, machine)
        after, done = step(machine, event)
        if type(event) not in TABLE[machine.phase] or getattr(event, "number", 0) < 0:
            assert after == machine
        late = getattr(event, "number", machine.number) != machine.number
        if late:
            assert after == machine
            assert kinds(done) == ([effects.DropLink] if isinstance(event, events.Dialed) else [])
        assert after.state.status in STATUSES[after.phase]
        tells = [isinstance(effect, effects.TELLS) for effect in done]
        assert tells == sorted(tells), "what runs a user's code comes last"
        told = [e.state for e in done if isinstance(e, effects.Tell)]
        if after.state is machine.state:
            assert not told
        else:
            assert told == [after.state], "each snapshot is told once"
            assert after.state.status in MOVES[machine.state.status]
        attempts += effects.StartAttempt in kinds(done)
        assert after.number == attempts
        assert not (machine.closed and effects.StartAttempt in kinds(done) and drawn != LOOP_LOST)
        assert after.closed >= machine.closed
        assert (after.failure is not None) == (after.phase is Phase.JUDGING)
        assert after.beside is None or after.phase is Phase.JUDGING
        beside = after.phase in (Phase.RENEWING, Phase.SWITCHING)
        assert (after.planned is not None) == beside or after.phase is Phase.ANNOUNCING
        assert sum(effect is effects.Then for effect in kinds(done)) <= 1
        machine = after


@settings(max_examples=200, deadline=None)
@given(path=st.lists(EVENTS, max_size=60))
def test_disconnect_wins_in_every_phase(path: list[Any]) -> None:
    machine = Machine()
    for drawn in path:
        machine, _ = step(machine, numbered(drawn, machine))
    ended, _ = step(machine, events.Disconnect())
    assert ended.phase in (Phase.CLOSING, Phase.DISCONNECTED, Phase.FAILED)
    for drawn in path:
        if not isinstance(drawn, (events.Connect, events.Reconnect, events.Renew)):
            ended, done = step(ended, numbered(drawn, ended))
            assert effects.StartAttempt not in kinds(done)


def test_every_phase_can_be_reached() -> None:
    reached = {
        walk(*path)[0].phase
        for path in (
            (),
            CONNECTED[:1],
            (*CONNECTED[:1], events.Unusable(1)),
            CONNECTED[:2],
            CONNECTED[:3],
            CONNECTED,
            RENEWING,
            SWITCHING,
            HANDING_OVER,
            (*CONNECTED, closed()),
            (*CONNECTED, closed(), events.Judged(1, RETRY, 0.0)),
            (*CONNECTED, closed(), events.Judged(1, STOP, 0.0)),
            (*CONNECTED, events.Disconnect()),
            (*CONNECTED, events.Disconnect(), events.Connect()),
            (*CONNECTED, events.Disconnect(), events.Connect(), closed(1000)),
            (*CONNECTED, events.Disconnect(), closed(1000)),
        )
    }
    assert reached == set(Phase) == set(TABLE)


def test_a_machine_is_a_value() -> None:
    machine, _ = walk(*CONNECTED)
    again, _ = walk(*CONNECTED)
    assert machine == again
    assert replace(machine, closed=True) != machine
