"""What users see of the subjects: each pitfall on RxPY's stock subjects and on ours."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import reactivex as rx
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.internal.exceptions import DisposedException
from reactivex.subject import BehaviorSubject, Subject

from heimdall_reactive.base.exceptions import ReadOnlyError, SourceError
from heimdall_reactive.reactive.bus import Bus
from heimdall_reactive.reactive.source import Derived
from heimdall_reactive.reactive.subjects import (
    Command,
    Selection,
    Selections,
    State,
    Stream,
    Trigger,
    not_awaitable,
)
from tests.support import record

REPORTS: list[tuple[BaseException, str]] = []


@pytest.fixture(autouse=True)
def _no_reports() -> None:
    REPORTS.clear()


def make_bus() -> Bus:
    return Bus(lambda error, name, ended=False: REPORTS.append((error, name)))


def state_of(value: Any, bus: Bus | None = None, name: str = "state") -> State[Any]:
    return State(bus or make_bus(), name, value)


def put(state: State[Any], *values: Any) -> None:
    for value in values:
        state._bus.emit(state, value)


def command_on(bus: Bus, performed: list[Any]) -> Command[Any, str]:
    def perform(value: Any) -> str:
        if value == "bad":
            raise ValueError("bad")
        performed.append(value)
        bus.emit(command, value)
        return f"did {value}"

    command: Command[Any, str] = Command(bus, "send", perform)
    return command


# R7


def ended(seen: list[Any]) -> dict[str, Any]:
    return {
        "on_next": seen.append,
        "on_error": lambda error: seen.append(type(error)),
        "on_completed": lambda: seen.append("end"),
    }


def test_a_finite_source_leaves_a_command_alive() -> None:
    stock: BehaviorSubject[Any] = BehaviorSubject(None)
    stock_seen: list[Any] = []
    stock.subscribe(**ended(stock_seen))
    rx.of("a", "b").subscribe(stock)
    stock.on_next("c")
    assert stock_seen == [None, "a", "b", "end"]

    performed: list[Any] = []
    ours = command_on(make_bus(), performed)
    seen: list[Any] = []
    ours.subscribe(**ended(seen))
    rx.of("a", "b").subscribe(ours)
    ours.on_next("c")
    assert seen == [None, "a", "b", "c"]
    assert performed == ["a", "b", "c"]


def test_a_failing_source_leaves_a_command_alive_and_is_reported() -> None:
    stock: BehaviorSubject[Any] = BehaviorSubject(None)
    stock_seen: list[Any] = []
    stock.subscribe(**ended(stock_seen))
    rx.throw(OSError("source")).subscribe(stock)
    stock.on_next("c")
    assert stock_seen == [None, OSError]

    ours = command_on(make_bus(), [])
    seen: list[Any] = []
    ours.subscribe(**ended(seen))
    rx.throw(OSError("source")).subscribe(ours)
    ours.on_next("c")
    assert seen == [None, "c"]
    ((error, name),) = REPORTS
    assert isinstance(error, SourceError)
    assert isinstance(error.error, OSError)
    assert (error.subject, name) == ("send", "send")


def test_a_value_that_a_command_refuses_leaves_its_source_alive() -> None:
    performed: list[Any] = []
    ours = command_on(make_bus(), performed)
    rx.of("a", "bad", "b").subscribe(ours)
    assert performed == ["a", "b"]
    assert [(type(error), name) for error, name in REPORTS] == [(ValueError, "send")]
    with pytest.raises(ValueError, match="bad"):
        ours("bad")


def test_an_interrupt_from_a_command_reaches_who_called_it() -> None:
    bus = make_bus()
    ours = command_on(bus, [])

    def interrupted(value: Any) -> None:
        if value == "a":
            raise KeyboardInterrupt

    ours.subscribe(interrupted)
    with pytest.raises(KeyboardInterrupt):
        ours.on_next("a")
    ours.on_next("b")
    assert ours.value == "b"


# R8


def test_dispose_is_refused_and_completion_keeps_the_last_value() -> None:
    stock: BehaviorSubject[int] = BehaviorSubject(0)
    stock_seen: list[Any] = []
    stock.subscribe(**ended(stock_seen))
    stock.dispose()
    assert stock_seen == [0]
    assert vars(stock)["value"] is None
    with pytest.raises(DisposedException):
        stock.on_next(1)

    ours = state_of(0)
    seen: list[Any] = []
    late: list[Any] = []
    ours.subscribe(**ended(seen))
    with pytest.raises(ReadOnlyError):
        ours.dispose()
    put(ours, 1)
    ours._bus.complete([ours])
    ours.subscribe(**ended(late))
    assert (seen, late, ours.value) == ([0, 1, "end"], [1, "end"], 1)
    assert ours.observers == []


@pytest.mark.parametrize(
    "write",
    [
        lambda state: state.on_next(1),
        lambda state: state.on_error(OSError()),
        lambda state: state.on_completed(),
        lambda state: state.dispose(),
    ],
)
def test_a_state_refuses_to_be_written(write: Callable[[State[Any]], None]) -> None:
    ours = state_of(0, name="is_connected")
    seen = record(ours)
    with pytest.raises(ReadOnlyError, match="'is_connected' is read-only"):
        write(ours)
    put(ours, 2)
    assert seen == [0, 2]


# R9


def test_a_command_is_performed_once_and_a_late_observer_triggers_nothing() -> None:
    stock: BehaviorSubject[Any] = BehaviorSubject(None)
    stock.on_next("disconnect")
    stock_performed = record(stock)  # a processor that comes later performs it again
    assert stock_performed == ["disconnect"]

    performed: list[Any] = []
    ours = command_on(make_bus(), performed)
    assert ours("x") == "did x"
    assert (record(ours), record(ours), ours.value) == (["x"], ["x"], "x")
    assert performed == ["x"]


def test_a_trigger_needs_no_value() -> None:
    performed: list[Any] = []
    ours = Trigger(make_bus(), "connect", performed.append)
    ours()
    ours("why")
    rx.of(1).subscribe(ours)
    assert performed == [True, "why", 1]


# R10


def test_the_truth_of_a_subject_is_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert BehaviorSubject(False)  # RxPY's: silently
    with pytest.warns(RuntimeWarning, match="is_connected.value"):
        truth = bool(state_of(False, name="is_connected"))
    assert truth is True


# R11


def test_equal_messages_in_a_row_are_all_kept() -> None:
    stock: Subject[Any] = Subject()
    distinct = record(stock.pipe(ops.distinct_until_changed()))
    ours = state_of(None)
    messages: Stream[Any] = Stream(ours._bus, "messages", of=ours)
    as_state, as_stream = record(ours), record(messages)
    for value in ("m", "m", "m"):
        stock.on_next(value)
        put(ours, value)
    assert distinct == ["m"]
    assert as_state == [None, "m", "m", "m"]
    assert as_stream == ["m", "m", "m"]


class Array:
    """Its == is not a bool, as with arrays."""

    def __init__(self, *items: int) -> None:
        self.items = items

    def __eq__(self, other: object) -> Any:
        class Elementwise:
            def __bool__(self) -> bool:
                raise ValueError("the truth value of an array is ambiguous")

        return Elementwise()

    __hash__ = None  # type: ignore[assignment]


def test_a_selection_of_arrays_is_reported_and_not_fatal() -> None:
    stock: Subject[Any] = Subject()
    stock.pipe(ops.distinct_until_changed()).subscribe(lambda _: None)
    stock.on_next(Array(1))
    with pytest.raises(ValueError, match="ambiguous"):
        stock.on_next(Array(2))

    first = Array(1)
    chosen = select(lambda value: value, first)
    assert move(chosen, first) == []
    assert move(chosen, Array(2)) == []
    assert [(str(error), name) for error, name in REPORTS] == [
        ("the truth value of an array is ambiguous", "select")
    ]
    assert chosen.value is first
    assert move(chosen, 3) == []  # Array(1) == 3 is not a bool either
    assert len(REPORTS) == 2


# Selections


def select(selector: Callable[[Any], Any], source: Any) -> Selection[Any, Any]:
    return Selection(make_bus(), selector, source, lambda selection, observed: None)


def move(selection: Selection[Any, Any], source: Any) -> list[Any]:
    changes = selection._changes(source)
    selection._bus.emit_all(changes)
    return [value for _, value in changes]


def test_a_selection_is_distinct_by_value() -> None:
    parity = select(lambda value: [value % 2], 0)
    seen = record(parity)
    assert [move(parity, value) for value in (2, 3, 5, 4)] == [[], [[1]], [], [[0]]]
    assert seen == [[0], [1], [0]]


def test_a_selector_that_raises_is_reported_and_the_value_stays() -> None:
    inverse = select(lambda value: 1 / value, 1)
    assert move(inverse, 0) == []
    assert move(inverse, 2) == [0.5]
    assert [(type(error), name) for error, name in REPORTS] == [(ZeroDivisionError, "select")]


def test_a_selection_is_kept_while_it_is_observed() -> None:
    kept: list[bool] = []
    chosen: Selection[int, int] = Selection(
        make_bus(), lambda value: value, 0, lambda _, observed: kept.append(observed)
    )
    first, second = chosen.subscribe(), chosen.subscribe()
    first.dispose()
    second.dispose()
    assert kept == [True, True, True, False]


# R12


def test_retry_on_a_stream_does_not_repeat_the_poison() -> None:
    calls: list[Any] = []

    def mapper(value: Any) -> Any:
        calls.append(value)
        if value == "poison":
            raise ValueError(value)
        return value

    stock: BehaviorSubject[Any] = BehaviorSubject("poison")
    stock.pipe(ops.map(mapper), ops.retry(50)).subscribe(on_error=lambda _: None)
    assert calls == ["poison"] * 50

    calls.clear()
    last = state_of(None)
    messages: Stream[Any] = Stream(last._bus, "messages", of=last)
    seen = record(messages.pipe(ops.map(mapper), ops.retry(50)))
    put(last, "a", "poison", "b")
    assert (calls, seen) == (["a", "poison", "b"], ["a", "b"])


# R13


def test_combined_states_show_no_mixture_when_they_are_read() -> None:
    stock_a, stock_b = BehaviorSubject(0), BehaviorSubject(0)
    stock_seen: list[tuple[int, int]] = []
    stock_a.subscribe(lambda _: stock_seen.append((stock_a.value, stock_b.value)))
    for subject in (stock_a, stock_b):
        subject.on_next(1)
    assert stock_seen == [(0, 0), (1, 0)]

    bus = make_bus()
    a, b = state_of(0, bus), state_of(0, bus)
    seen: list[tuple[int, int]] = []
    a.subscribe(lambda _: seen.append((a.value, b.value)))
    bus.emit_all([(a, 1), (b, 1)])
    assert seen == [(0, 0), (1, 1)]


@given(
    steps=st.lists(st.integers(0, 5), max_size=8),
    answers=st.dictionaries(st.integers(0, 5), st.integers(0, 5), max_size=3),
)
def test_no_callback_ever_reads_a_mixture(steps: list[int], answers: dict[int, int]) -> None:
    bus = make_bus()
    truth = state_of(0, bus)
    doubled = Selection[int, int](bus, lambda n: n * 2, 0, lambda *_: None)
    odd = Selection[int, bool](bus, lambda n: n % 2 == 1, 0, lambda *_: None)
    derived = state_of(0, bus, "derived")
    budget = 20

    def transit(value: int) -> None:
        bus.emit_all(
            [(truth, value), *doubled._changes(value), *odd._changes(value), (derived, -value)]
        )

    def observe(_: Any) -> None:
        nonlocal budget
        now = truth.value
        assert (doubled.value, odd.value, derived.value) == (now * 2, now % 2 == 1, -now)
        if budget and now in answers:
            budget -= 1
            transit(answers[now])

    seen: dict[str, list[Any]] = {}
    for name, subject in (("truth", truth), ("doubled", doubled), ("odd", odd), ("neg", derived)):
        subject.subscribe(observe)
        seen[name] = record(subject)
    for step in steps:
        transit(step)
    assert REPORTS == []
    assert seen["neg"] == [-n for n in seen["truth"]]
    for values in (seen["doubled"], seen["odd"]):
        assert all(one != next_ for one, next_ in pairwise(values))


# The shared emission


def test_a_stream_of_a_state_shares_its_emissions_but_no_replay_and_no_reset() -> None:
    last = state_of(None)
    messages: Stream[Any] = Stream(last._bus, "messages", of=last)
    order: list[tuple[str, Any]] = []
    last.subscribe(lambda value: order.append(("last", value)))
    messages.subscribe(lambda value: order.append(("messages", value)))
    put(last, "m")
    last._reset(None)
    assert order == [("last", None), ("last", "m"), ("messages", "m"), ("last", None)]
    assert last.value is None
    assert record(messages) == []
    end: list[Any] = []
    messages.subscribe(**ended(end))
    last._bus.complete([last])
    messages.subscribe(**ended(end))
    assert end == ["end", "end"]


def test_a_reset_in_a_callback_keeps_the_order() -> None:
    last = state_of(None)
    last.subscribe(lambda value: last._reset(None) if value == "m" else None)
    seen = record(last)
    put(last, "m")
    assert seen == [None, "m", None]


# As RxPY's


def test_ours_are_behavior_subjects_with_a_true_list_of_observers() -> None:
    ours = state_of(0)
    assert isinstance(ours, BehaviorSubject)
    assert isinstance(command_on(make_bus(), []), BehaviorSubject)
    subscriptions = [ours.subscribe(), ours.subscribe()]
    assert len(ours.observers) == 2
    subscriptions[0].dispose()
    subscriptions[0].dispose()
    assert len(ours.observers) == 1


async def coroutine(_: Any) -> None:
    raise AssertionError


class Awaited:
    async def on_next(self, _: Any) -> None:
        raise AssertionError


class AsyncCallable:
    async def __call__(self, _: Any) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    "observer",
    [coroutine, partial(coroutine), Awaited(), AsyncCallable(), AsyncCallable().__call__],
)
def test_a_coroutine_function_is_refused(observer: Any) -> None:
    ours = state_of(0)
    stream = Stream[Any](ours._bus, "stream")
    for source in (ours, stream, Derived[Any](stream, "what operators made of it")):
        with pytest.raises(TypeError, match="nobody would await"):
            source.subscribe(observer)
    assert ours.observers == []


def test_operators_work() -> None:
    bus = make_bus()
    a, b = state_of(1, bus), state_of(10, bus)
    ticks: Stream[str] = Stream(bus, "ticks")
    mapped = record(a.pipe(ops.map(str)))
    combined = record(rx.combine_latest(a, b))
    switched = record(
        a.pipe(ops.map(lambda n: b.pipe(ops.map(lambda m: [n, m]))), ops.switch_latest())
    )
    sampled = record(ticks.pipe(ops.with_latest_from(a)))
    once = record(a.pipe(ops.first()))
    put(a, 2)
    put(b, 20)
    bus.emit(ticks, "t")
    assert mapped == ["1", "2"]
    assert combined == [(1, 10), (2, 10), (2, 20)]
    assert switched == [[1, 10], [2, 10], [2, 20]]
    assert sampled == [("t", 2)]
    assert once == [1]
    assert len(a.observers) == 4  # `first` has gone
    assert REPORTS == []


def test_fluent_operators_work() -> None:
    ours = state_of(1)
    seen = record(ours.map(lambda n: n + 1).filter(lambda n: n % 2 == 1))
    put(ours, 2, 3, 4)
    assert seen == [3, 5]


async def test_first_can_be_awaited() -> None:
    stream: Stream[int] = Stream(make_bus(), "stream")

    async def first() -> int:
        return await stream.pipe(ops.first())

    waiting = asyncio.create_task(first())
    await asyncio.sleep(0)
    stream._bus.emit(stream, 7)
    assert await waiting == 7
    assert stream._records == ()


def test_a_selection_that_is_made_while_its_source_changes_has_the_newest_value() -> None:
    bus = Bus(lambda error, name, ended=False: None)
    source: State[int] = State(bus, "state", 1)
    selections = Selections(source)

    def selector(value: int) -> int:
        if value == 1 and source.value == 1:
            bus.emit(source, 2)  # as on another thread
        return value * 10

    assert selections.add(selector).value == 20


def test_what_cannot_be_awaited_says_why_and_shows_as_none() -> None:
    nothing = not_awaitable("connect() only begins it")
    assert repr(nothing) == "None (connect() only begins it)"
    assert not nothing
    assert nothing._ipython_display_() is None
    assert not hasattr(nothing, "__dict__")
    with pytest.raises(TypeError, match=r"connect\(\) only begins it"):
        asyncio.run(wait_for(nothing))


async def wait_for(nothing: Any) -> None:
    await nothing


def test_a_selection_of_a_state_that_has_ended_has_ended_too() -> None:
    source = state_of(1)
    source._bus.complete([source])
    ended: list[str] = []
    Selections(source).add(lambda value: value).subscribe(on_completed=lambda: ended.append("end"))
    assert ended == ["end"]


def test_a_command_that_is_cancelled_by_what_it_does_is_reported() -> None:
    error = asyncio.CancelledError()

    def perform(_: Any) -> None:
        raise error

    command: Command[int, None] = Command(make_bus(), "send", perform)
    rx.of(1).subscribe(command)
    assert [(error, "send")] == REPORTS
