"""The snapshot: which moves there are, and which fields each leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heimdall_reactive.base.exceptions import HandshakeRefused
from heimdall_reactive.base.state import (
    MOVES,
    CloseInfo,
    ConnectionState,
    Gap,
    Status,
    in_words,
)

LOST = CloseInfo(1006, "lost")
REFUSED = CloseInfo(1006, "refused", "server", 503)
ERROR = HandshakeRefused(503)

S = Status
# Written out again, so that a change of the table is a change of the contract.
ALLOWED = {
    (S.IDLE, S.CONNECTING), (S.IDLE, S.DISCONNECTED),
    (S.CONNECTING, S.CONNECTED), (S.CONNECTING, S.WAITING),
    (S.CONNECTING, S.DISCONNECTED), (S.CONNECTING, S.FAILED),
    (S.CONNECTED, S.CONNECTED),  # another session has taken its place
    (S.CONNECTED, S.CONNECTING), (S.CONNECTED, S.WAITING), (S.CONNECTED, S.DISCONNECTING),
    (S.CONNECTED, S.DISCONNECTED), (S.CONNECTED, S.FAILED),
    (S.WAITING, S.CONNECTING), (S.WAITING, S.DISCONNECTED),
    (S.WAITING, S.WAITING),  # the clock was set
    (S.DISCONNECTING, S.DISCONNECTED),
    (S.DISCONNECTED, S.CONNECTING),
    (S.FAILED, S.CONNECTING),
    (S.CONNECTED, S.CONNECTED),  # a planned reconnection with overlap
}  # fmt: skip

STEPS: dict[Status, Callable[[ConnectionState], ConnectionState]] = {
    S.CONNECTING: lambda state: state.connecting(state.attempt),
    S.CONNECTED: lambda state: state.connected(1000.0),
    S.WAITING: lambda state: state.waiting(state.attempt + 1, 2000.0, REFUSED, ERROR),
    S.DISCONNECTING: lambda state: state.disconnecting(),
    S.DISCONNECTED: lambda state: state.disconnected(CloseInfo(1000, "", "client")),
    S.FAILED: lambda state: state.failed(REFUSED, ERROR),
}


def test_the_table_of_moves_is_the_documented_one() -> None:
    assert {(one, other) for one, others in MOVES.items() for other in others} == ALLOWED
    assert set(MOVES) == set(Status)


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("target", STEPS)
def test_every_other_move_is_refused(status: Status, target: Status) -> None:
    state = ConnectionState(status=status)
    if (status, target) in ALLOWED:
        assert STEPS[target](state).status is target
    else:
        with pytest.raises(AssertionError, match=f"no move from {status} to {target}"):
            STEPS[target](state)


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=30))
def test_a_random_walk_keeps_every_snapshot_consistent(walk: list[Status]) -> None:
    state, opened = ConnectionState(), 0
    for target in walk:
        before = state
        if (state.status, target) not in ALLOWED:
            continue
        state = STEPS[target](state)
        opened += target is S.CONNECTED
        assert state is not before
        assert state.session == opened
        assert state.is_connected is (state.status is S.CONNECTED)
        assert (state.retry_at is not None) is (state.status is S.WAITING)
        assert (state.connected_at is not None) is (state.status in (S.CONNECTED, S.DISCONNECTING))
        assert state.reconnecting is (opened > 0 and state.status in (S.CONNECTING, S.WAITING))
        if state.is_connected:
            assert (state.attempt, state.close, state.error, state.http_status) == (0,) + (
                None,
            ) * 3
        if state.status in (S.WAITING, S.FAILED):
            assert (state.close, state.error, state.http_status) == (REFUSED, ERROR, 503)


def test_the_first_snapshot_is_idle_and_empty() -> None:
    state = ConnectionState()
    assert (state.status, state.session, state.attempt) == (S.IDLE, 0, 0)
    assert not state.reconnecting
    assert (state.retry_at, state.close, state.error, state.connected_at) == (None,) * 4


def test_a_snapshot_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ConnectionState().status = S.FAILED  # type: ignore[misc]


def test_a_reconnection_keeps_the_cause_readable_and_a_new_start_forgets_it() -> None:
    waiting = ConnectionState().connecting(0).waiting(1, 2000.0, REFUSED, ERROR)
    again = waiting.connecting(1)
    assert (again.attempt, again.close, again.error, again.http_status) == (1, REFUSED, ERROR, 503)
    again = waiting.connecting(0)
    assert (again.attempt, again.close, again.error, again.http_status) == (0, None, None, None)


def test_giving_up_tells_the_attempt_and_an_end_by_the_user_no_error() -> None:
    tried = ConnectionState().connecting(0).waiting(3, 2000.0, LOST, ERROR).connecting(3)
    failed = tried.failed(LOST, ERROR)
    assert (failed.attempt, failed.close, failed.error, failed.http_status) == (
        3,
        LOST,
        ERROR,
        None,
    )
    ended = tried.disconnected()
    assert (ended.attempt, ended.close, ended.error, ended.http_status) == (0, None, None, None)


def test_a_closing_handshake_keeps_the_time_of_the_connection_and_its_end_forgets_it() -> None:
    closing = ConnectionState().connecting(0).connected(1000.0).disconnecting()
    assert (closing.session, closing.connected_at) == (1, 1000.0)
    ended = closing.disconnected(CloseInfo(1000, "", "client"))
    assert (ended.session, ended.connected_at, ended.retry_at) == (1, None, None)


def test_statuses_are_strings() -> None:
    assert [str(status) for status in Status] == [
        "idle", "connecting", "connected", "waiting", "disconnecting", "disconnected", "failed",
    ]  # fmt: skip
    assert f"{S.IDLE}" == S.IDLE.value == "idle"


def test_a_gap_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Gap(1.0, 2.0, 2).session = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (0.0, "reconnecting now"),
        (-5.0, "reconnecting now"),
        (0.2, "reconnecting in 1 s (attempt 2)"),
        (3.0, "reconnecting in 3 s (attempt 2)"),
        (119.5, "reconnecting in 120 s (attempt 2)"),
        (3000.0, "reconnecting in 50 minutes (attempt 2)"),
    ],
)
def test_a_wait_is_told_in_the_same_words_everywhere(left: float, words: str) -> None:
    state = ConnectionState().connecting(1).waiting(2, 1000.0 + left, REFUSED, ERROR)
    assert in_words(state, 1000.0) == words


def test_an_attempt_is_told_with_its_number() -> None:
    assert in_words(ConnectionState().connecting(0), 0.0) == "connecting"
    assert in_words(ConnectionState().connecting(3), 0.0) == "connecting (attempt 3)"
