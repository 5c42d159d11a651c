"""One connection, several stores: all values are committed before anybody is told."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest

from heimdall_reactive import Status, StoreError
from heimdall_reactive.base.options import CloseInfo
from heimdall_reactive.base.state import ConnectionState, Gap
from heimdall_reactive.reactive.bus import Bus
from heimdall_reactive.reactive.journal import Journal
from heimdall_reactive.reactive.publisher import Publisher
from heimdall_reactive.reactive.values import Reporter, Values
from tests.support import record

CONNECTING = ConnectionState().connecting(0)
CONNECTED = CONNECTING.connected(100.0)
END = CloseInfo(1000, "", "client")


class Host:
    """What handles the events that are not values: it notes them."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_session(self) -> None:
        self.calls.append(("session",))

    def on_envelope(self, envelope: Any, key: Hashable | None, answer: Any) -> None:
        self.calls.append(("envelope", envelope, key, answer))

    def on_principal(self, principal: object, current: bool) -> None:
        self.calls.append(("principal", principal, current))

    def on_unusable_loop(self) -> Exception | None:
        self.calls.append(("unusable",))
        return None


def publisher(shared: bool = True) -> tuple[Publisher, Host]:
    reporter, host = Reporter("ws://h/"), Host()
    bus = Bus(reporter.raised)
    return Publisher(Values(bus), reporter, Journal("s", lambda: 0.0), host, shared=shared), host


def joined(to: Publisher) -> Values[Any]:
    values: Values[Any] = Values(to.values.bus)
    to.join(values)
    return values


@pytest.mark.parametrize("stores", [0, 1, 2])
def test_every_store_is_told_of_everything(stores: int) -> None:
    one, _ = publisher()
    everyone = [one.values, *(joined(one) for _ in range(stores))]
    names = ("state", "is_connected", "messages", "latency", "gaps", "errors")
    seen = [{name: record(getattr(values, name)) for name in names} for values in everyone]
    one.on_latency(0.1)  # not connected yet
    one.on_state(CONNECTING)
    one.on_state(CONNECTED)
    gap, error = Gap(1.0, 2.0, 2), StoreError("what happened")
    one.on_incoming("m")
    one.on_latency(0.5)
    one.on_gap(gap)
    one.on_error(error)
    assert seen == [{
        "state": [ConnectionState(), CONNECTING, CONNECTED], "is_connected": [False, True],
        "messages": ["m"], "latency": [None, 0.5], "gaps": [gap], "errors": [error],
    }] * (stores + 1)  # fmt: skip
    assert [values.last_message.value for values in everyone] == ["m"] * (stores + 1)


def test_all_stores_have_a_message_before_the_first_observer_is_told() -> None:
    one, _ = publisher()
    first, second = joined(one), joined(one)
    seen: list[Any] = []
    first.messages.subscribe(lambda _: seen.append(second.last_message.value))
    one.on_incoming("m")
    assert seen == ["m"]


def test_a_store_that_joins_in_the_middle_of_a_change_has_it_too() -> None:
    one, _ = publisher()
    late: list[Values[Any]] = []

    def joining(state: ConnectionState) -> Status:
        if state is CONNECTING and not late:
            late.append(joined(one))
        return state.status

    selection = one.values.selections.add(joining)
    one.on_state(CONNECTING)
    assert late[0].state.value is CONNECTING
    seen = record(late[0].state)
    one.on_state(CONNECTED)
    assert seen == [CONNECTING, CONNECTED]
    assert selection.value is Status.CONNECTED


def test_who_leaves_is_told_of_its_end_and_of_nothing_more() -> None:
    one, _ = publisher()
    one.on_state(CONNECTING)
    one.on_state(CONNECTED)
    stays, leaves = joined(one), joined(one)
    states = record(leaves.state)
    one.leave(leaves, END)
    one.on_incoming("m")
    assert [(state.status, state.close) for state in states] == [
        (Status.CONNECTED, None), (Status.DISCONNECTED, END),
    ]  # fmt: skip
    assert (leaves.last_message.value, stays.last_message.value) == (None, "m")
    assert stays.state.value is CONNECTED
    one.leave(leaves, END)  # it has ended already: nobody is told again
    assert len(states) == 2


def test_another_users_message_is_forgotten_by_everybody() -> None:
    one, _ = publisher()
    first, second = joined(one), joined(one)
    one.on_incoming("ada's")
    events, latest, untouched = record(first.messages), record(first.last_message), joined(one)
    untouched.bus.emit(untouched.last_message, None)
    silent = record(untouched.last_message)
    one.forget_message()
    assert (events, latest, silent) == ([], ["ada's", None], [None])
    assert second.last_message.value is one.values.last_message.value is None


def test_what_is_no_value_goes_to_the_host() -> None:
    one, host = publisher(shared=False)
    one.on_session()
    one.on_envelope({"n": 1}, 7, "answer")
    one.on_principal("ada", current=True)
    one.on_unusable_loop()
    one.on_incoming("m")
    assert host.calls == [
        ("session",), ("envelope", {"n": 1}, 7, "answer"), ("principal", "ada", True),
        ("unusable",),
    ]  # fmt: skip
    assert one.values.last_message.value == "m"
