"""The subjects of one store: what a change of the state commits, and what is reported how."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from reactivex import operators as ops

from heimdall_reactive import (
    InvalidMessage,
    ObserverError,
    SendError,
    ServerError,
    Status,
    StoreError,
)
from heimdall_reactive.base.options import CloseInfo
from heimdall_reactive.base.state import ConnectionState
from heimdall_reactive.reactive.bus import Bus
from heimdall_reactive.reactive.values import Reporter, Values
from tests.support import record

CONNECTING = ConnectionState().connecting(0)
CONNECTED = CONNECTING.connected(100.0)


def values() -> tuple[Values[Any], list[tuple[BaseException, str]]]:
    reports: list[tuple[BaseException, str]] = []
    return Values(Bus(lambda error, name, ended=False: reports.append((error, name)))), reports


def fail(value: Any) -> Any:
    raise LookupError(value)


@pytest.mark.parametrize(
    "name", ["state", "is_connected", "last_message", "latency", "transitions", "gaps", "errors"]
)
def test_an_observer_that_raises_is_reported_by_the_name_of_what_it_observes(name: str) -> None:
    made, reports = values()
    getattr(made, name).subscribe(fail)
    made.bus.emit(getattr(made, name), 1)
    assert {source for _, source in reports} == {name}


def test_an_observer_of_the_messages_is_not_called_one_of_the_last_message() -> None:
    made, reports = values()
    made.messages.subscribe(fail)
    made.messages.pipe(ops.map(fail)).subscribe()
    made.last_message.filter(bool).subscribe(fail)
    for n in range(1, 3):
        made.bus.emit(made.last_message, n)
    names = ["messages", "messages", "last_message", "messages", "last_message"]
    assert [source for _, source in reports] == names


def test_a_change_commits_what_has_changed_and_no_more() -> None:
    made, _ = values()
    status = made.selections.add(lambda state: state.status)
    session = made.selections.add(lambda state: state.session)
    assert made.changes(CONNECTING) == [
        (made.state, CONNECTING),
        (status, Status.CONNECTING),
        (made.transitions, (ConnectionState(), CONNECTING)),
    ]
    made.bus.emit_all(made.changes(CONNECTING))
    assert made.changes(CONNECTED)[:2] == [(made.state, CONNECTED), (made.is_connected, True)]
    assert (session, 1) in made.changes(CONNECTED)
    made.bus.emit_all(made.changes(CONNECTED))
    made.bus.emit(made.latency, 0.5)
    closing = CONNECTED.disconnecting()
    assert made.changes(closing)[1:3] == [(made.is_connected, False), (made.latency, None)]


def test_a_store_that_joins_begins_with_the_values_of_another() -> None:
    (one, _), (other, _) = values(), values()
    one.bus.emit(one.last_message, "m")
    one.bus.emit_all(one.changes(CONNECTING))
    one.bus.emit_all(one.changes(CONNECTED))
    one.bus.emit(one.latency, 0.5)
    other.adopt(one)
    assert [
        other.state.value, other.is_connected.value, other.last_message.value, other.latency.value,
    ] == [CONNECTED, True, "m", 0.5]  # fmt: skip


def test_everything_completes() -> None:
    made, _ = values()
    ended: list[str] = []
    selected = made.selections.add(lambda state: state.status)
    for name in (
        "state", "is_connected", "last_message", "latency", "messages", "transitions", "gaps",
        "errors",
    ):  # fmt: skip
        getattr(made, name).subscribe(on_completed=lambda name=name: ended.append(name))
    selected.subscribe(on_completed=lambda: ended.append("selected"))
    made.complete()
    assert ended == [
        "state", "is_connected", "last_message", "messages", "latency", "selected", "transitions",
        "gaps", "errors",
    ]  # fmt: skip


# Reports


def test_an_error_of_the_store_is_told_and_logged_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reporter, told = Reporter("ws://h/"), list[StoreError]()
    reporter.tell = told.append
    error = StoreError("what happened")
    reporter.raised(error, "send")
    assert told == [error]
    assert reporter.count == 0
    (entry,) = caplog.records
    assert (entry.levelno, entry.getMessage()) == (logging.WARNING, "ws://h/: what happened")
    details = {"error": "StoreError", "text": "what happened"}
    assert (entry.__dict__["event"], entry.__dict__["details"]) == ("error", details)
    assert entry.__dict__["endpoint"] == "ws://h/"


def test_what_observers_raise_is_told_each_time_and_logged_ever_more_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reporter, told = Reporter("ws://h/"), list[StoreError]()
    reporter.tell = told.append
    raised = LookupError("secret")
    for _ in range(9):
        reporter.raised(raised, "messages")
    assert reporter.count == len(told) == 9
    assert all(isinstance(error, ObserverError) for error in told)
    first: Any = told[0]
    assert (first.error, first.subject) == (raised, "messages")
    assert [entry.__dict__["details"] for entry in caplog.records] == [
        {"count": n} for n in (1, 2, 4, 8)
    ]
    assert {(e.levelno, e.__dict__["event"], e.__dict__["endpoint"]) for e in caplog.records} == {
        (logging.ERROR, "observer", "ws://h/")
    }
    assert [entry.getMessage() for entry in caplog.records][1] == (
        "messages: an observer raised LookupError (2 so far)"
    )


def test_drops_are_in_the_log_only_and_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    reporter, told = Reporter("ws://h/"), list[StoreError]()
    reporter.tell = told.append
    for n in range(1, 6):
        reporter.overflowed(f"burst {n}", n, 10 * n)
        reporter.dropped(2, "of the policy", True)
    assert told == []
    lines = [(entry.getMessage(), entry.__dict__["details"]) for entry in caplog.records]
    assert [line for line in lines if "burst" in line[0]] == [
        (f"ws://h/: burst {n}", {"dropped": 10 * n, "count": n}) for n in (1, 2, 4)
    ]
    assert [details for text, details in lines if "the outbox is full" in text] == [
        {"dropped": 2 * n, "count": n} for n in (1, 2, 4)
    ]
    assert "8 sends dropped so far for later ones" in lines[-1][0]
    assert {entry.__dict__["event"] for entry in caplog.records} == {"overflow"}


def test_sends_that_have_no_room_are_reported_each_and_logged_ever_more_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reporter, told = Reporter("ws://h/"), list[StoreError]()
    reporter.tell = told.append
    for _ in range(9):
        reporter.error(SendError("no room", "rejected"), often=True)
    reporter.error(SendError("3 may not have arrived", "in_doubt"))
    assert len(told) == 10
    assert [entry.getMessage() for entry in caplog.records] == [
        *(f"ws://h/: no room ({n} so far)" for n in (1, 2, 4, 8)),
        "ws://h/: 3 may not have arrived",
    ]


@pytest.mark.parametrize("error", [InvalidMessage("not JSON", 9), ServerError("no")])
def test_what_the_peer_may_send_without_end_is_logged_ever_more_rarely(
    error: StoreError, caplog: pytest.LogCaptureFixture
) -> None:
    reporter, told = Reporter("ws://h/"), list[StoreError]()
    reporter.tell = told.append
    for _ in range(9):
        reporter.error(error)
    reporter.error(StoreError("another"))
    assert (len(told), reporter.count) == (10, 0)
    assert [entry.getMessage() for entry in caplog.records] == [
        *(f"ws://h/: {error} ({n} so far)" for n in (1, 2, 4, 8)),
        "ws://h/: another",
    ]
    assert [entry.__dict__["details"].get("count") for entry in caplog.records] == [
        1, 2, 4, 8, None,
    ]  # fmt: skip
    assert {entry.levelno for entry in caplog.records} == {logging.WARNING}


def test_an_observer_of_the_errors_that_raises_does_not_feed_itself() -> None:
    reporter, told = Reporter("ws://h/"), list[StoreError]()
    reporter.tell = told.append
    reporter.raised(LookupError(), "errors")
    reporter.raised(StoreError("of the observer"), "errors")
    assert (told, reporter.count) == ([], 2)


def test_a_close_by_the_user_has_a_state_of_its_own() -> None:
    made, _ = values()
    seen = record(made.transitions)
    ended = ConnectionState().disconnected(CloseInfo(1000, "", "client"))
    made.bus.emit_all(made.changes(ended))
    assert seen == [(ConnectionState(), ended)]
