"""Delivery: each scenario on RxPY's stock subjects, which fail it, and on ours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from reactivex import abc
from reactivex.subject import BehaviorSubject, Subject

from heimdall_reactive.reactive.bus import Bus
from heimdall_reactive.reactive.subjects import State, Stream
from tests.support import record

Report = tuple[BaseException, str]


class Ours:
    """A state with its bus, written to as the store writes to it."""

    def __init__(self, value: Any = 0) -> None:
        self.reports: list[Report] = []
        self.bus = Bus(lambda error, name, ended=False: self.reports.append((error, name)))
        self.subject: State[Any] = State(self.bus, "state", value)

    def emit(self, value: Any) -> None:
        self.bus.emit(self.subject, value)


class Stock:
    """The same on what RxPY has."""

    def __init__(self, value: Any = 0) -> None:
        self.subject: BehaviorSubject[Any] = BehaviorSubject(value)

    def emit(self, value: Any) -> None:
        self.subject.on_next(value)


def start(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def raising(error: BaseException) -> Callable[[Any], None]:
    def observer(_: Any) -> None:
        raise error

    return observer


# R1


def reentrant(case: Ours | Stock) -> list[int]:
    case.subject.subscribe(lambda value: case.emit(2) if value == 1 else None)
    second = record(case.subject)
    case.emit(1)
    return second


def test_an_emission_made_in_a_callback_comes_after_the_one_under_way() -> None:
    assert reentrant(Stock()) == [0, 2, 1]
    assert reentrant(Ours()) == [0, 1, 2]


def test_emit_all_made_in_a_callback_keeps_the_order_too() -> None:
    ours = Ours()
    other: State[int] = State(ours.bus, "other", 0)
    seen: list[tuple[str, int]] = []
    ours.subject.subscribe(
        lambda value: ours.bus.emit_all([(other, 5), (ours.subject, 2)]) if value == 1 else None
    )
    ours.subject.subscribe(lambda value: seen.append(("state", value)))
    other.subscribe(lambda value: seen.append(("other", value)))
    ours.emit(1)
    assert seen == [("state", 0), ("other", 0), ("state", 1), ("other", 5), ("state", 2)]


# R2


def two_threads(case: Ours | Stock) -> tuple[list[int], int]:
    """Emit 2 from a second thread while the observer is held inside 1."""
    inside, over = threading.Event(), threading.Event()
    seen: list[int] = []
    entered = 0
    most = 0

    def observer(value: int) -> None:
        nonlocal entered, most
        entered += 1
        most = max(most, entered)
        if value == 1:
            inside.set()
            assert over.wait(8)
        seen.append(value)
        entered -= 1

    case.subject.subscribe(observer)
    first = start(lambda: case.emit(1))
    assert inside.wait(8)
    second = start(lambda: case.emit(2))
    second.join(8)
    assert not second.is_alive()
    over.set()
    first.join(8)
    return seen, most


def test_two_threads_neither_reorder_nor_enter_one_observer_at_once() -> None:
    assert two_threads(Stock()) == ([0, 2, 1], 2)
    assert two_threads(Ours()) == ([0, 1, 2], 1)


def test_four_producers_lose_and_repeat_nothing() -> None:
    ours = Ours()
    seen = record(ours.subject)
    ready = threading.Barrier(4)

    def produce(number: int) -> None:
        ready.wait(8)
        for index in range(200):
            ours.emit((number, index))

    threads = [start(lambda n=number: produce(n)) for number in range(4)]  # type: ignore[misc]
    for thread in threads:
        thread.join(8)
    assert len(seen) == 801
    for number in range(4):
        mine = [index for value in seen[1:] for n, index in [value] if n == number]
        assert mine == list(range(200))
    assert ours.subject.value == seen[-1]


# R3


def test_a_raising_observer_hurts_nobody_and_is_reported() -> None:
    stock, ours = Stock(), Ours()
    boom = RuntimeError("boom")
    results: list[tuple[list[int], list[int]]] = []
    for case in (stock, ours):
        first: list[int] = []
        last: list[int] = []
        case.subject.subscribe(first.append)
        case.subject.subscribe(lambda value: raising(boom)(value) if value else None)
        case.subject.subscribe(last.append)
        if case is stock:
            with pytest.raises(RuntimeError):
                case.emit(1)
        else:
            case.emit(1)
            case.emit(2)
        results.append((first, last))
    assert results == [([0, 1], [0]), ([0, 1, 2], [0, 1, 2])]
    assert ours.reports == [(boom, "state"), (boom, "state")]


def test_a_cancelled_error_from_an_observer_is_reported_and_freezes_nothing() -> None:
    ours = Ours()
    error = asyncio.CancelledError()
    ours.subject.subscribe(lambda value: raising(error)(value) if value == 1 else None)
    seen = record(ours.subject)
    ours.emit(1)
    ours.emit(2)
    assert seen == [0, 1, 2]
    assert ours.reports == [(error, "state")]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_leaves_after_the_drain_and_freezes_nothing(
    interrupt: type[BaseException],
) -> None:
    ours = Ours()

    def observer(value: int) -> None:
        if value == 1:
            ours.emit(2)
            raise interrupt

    ours.subject.subscribe(observer)
    seen = record(ours.subject)
    with pytest.raises(interrupt):
        ours.emit(1)
    assert seen == [0, 1, 2]
    ours.emit(3)
    assert seen == [0, 1, 2, 3]
    assert ours.reports == []


def test_an_interrupt_in_a_queued_delivery_leaves_after_the_drain() -> None:
    ours = Ours()
    ours.subject.subscribe(lambda value: raising(KeyboardInterrupt())(value) if value else None)
    seen = record(ours.subject)
    with pytest.raises(KeyboardInterrupt):
        ours.bus.emit_all([(ours.subject, 1), (ours.subject, 2)])
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("many", [False, True])
def test_a_report_that_raises_starves_nobody_and_freezes_nothing(many: bool) -> None:
    bus = Bus(lambda error, name, ended=False: raising(OSError("log"))(error))
    state: State[int] = State(bus, "state", 0)
    state.subscribe(lambda value: raising(RuntimeError())(value) if value == 1 else None)
    seen = record(state)
    with pytest.raises(OSError, match="log"):
        bus.emit_all([(state, 1)]) if many else bus.emit(state, 1)
    bus.emit(state, 2)
    assert seen == [0, 1, 2]


class Broken(State[int]):
    """Its delivery itself fails, as when a signal comes between two observers."""

    def _deliver(self, version: int, value: int, only_replaying: bool = False) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("many", [False, True])
def test_a_signal_between_two_observers_freezes_nothing(many: bool) -> None:
    ours = Ours()
    broken = Broken(ours.bus, "broken", 0)
    with pytest.raises(KeyboardInterrupt):
        ours.bus.emit_all([(broken, 1)]) if many else ours.bus.emit(broken, 1)
    seen = record(ours.subject)
    ours.emit(1)
    assert seen == [0, 1]


# R5


def cross_subscribing(first: Ours | Stock, second: Ours | Stock) -> bool:
    """Two threads subscribe, and emit on each other's subject in the replay; report deadlock."""
    both = threading.Barrier(2)

    def subscribe(mine: Ours | Stock, other: Ours | Stock) -> None:
        def observer(value: int) -> None:
            if value == 0:
                both.wait(8)
                other.emit(1)

        mine.subject.subscribe(observer)

    threads = [
        start(lambda: subscribe(first, second)),
        start(lambda: subscribe(second, first)),
    ]
    for thread in threads:
        thread.join(0.3 if isinstance(first, Stock) else 5)
    return any(thread.is_alive() for thread in threads)


@pytest.mark.leaky
def test_replays_that_emit_on_each_other_do_not_deadlock() -> None:
    assert cross_subscribing(Stock(), Stock())
    assert not cross_subscribing(Ours(), Ours())


def slow_first_delivery(case: Ours | Stock) -> tuple[bool, list[int]]:
    inside, over = threading.Event(), threading.Event()
    seen: list[int] = []

    def observer(value: int) -> None:
        if value == 0:
            inside.set()
            assert over.wait(8)
        seen.append(value)

    subscriber = start(lambda: case.subject.subscribe(observer))
    assert inside.wait(8)
    producer = start(lambda: (case.emit(1), case.emit(2)))
    producer.join(0.2 if isinstance(case, Stock) else 5)
    blocked = producer.is_alive()
    over.set()
    producer.join(8)
    subscriber.join(8)
    return blocked, seen


def test_a_slow_first_delivery_blocks_no_producer_and_loses_nothing() -> None:
    assert slow_first_delivery(Stock())[0]
    assert slow_first_delivery(Ours()) == (False, [0, 1, 2])


def test_completion_comes_after_what_waits_for_a_slow_first_delivery() -> None:
    ours = Ours()
    inside, over = threading.Event(), threading.Event()
    seen: list[Any] = []

    def observer(value: int) -> None:
        if value == 0:
            inside.set()
            assert over.wait(8)
        seen.append(value)

    subscriber = start(
        lambda: ours.subject.subscribe(observer, on_completed=lambda: seen.append("end"))
    )
    assert inside.wait(8)
    ours.emit(1)
    ours.bus.complete([ours.subject])
    over.set()
    subscriber.join(8)
    assert seen == [0, 1, "end"]


def test_what_an_observer_emits_in_its_own_replay_comes_after_it() -> None:
    ours = Ours()
    seen: list[str] = []

    def observer(value: int) -> None:
        seen.append(f"in {value}")
        if value < 2:
            ours.emit(value + 1)
        seen.append(f"out {value}")

    ours.subject.subscribe(observer)
    assert seen == ["in 0", "out 0", "in 1", "out 1", "in 2", "out 2"]


def test_late_subscribers_on_eight_threads_see_a_contiguous_suffix() -> None:
    ours = Ours()
    last = 2000
    joined = [threading.Event() for _ in range(8)]
    suffixes: list[list[int]] = [[] for _ in range(8)]

    def join(number: int) -> None:
        joined[number].wait(8)
        ours.subject.subscribe(suffixes[number].append)

    threads = [start(lambda n=n: join(n)) for n in range(8)]  # type: ignore[misc]
    for value in range(1, last + 1):
        if value % 200 == 0 and value // 200 <= 8:
            joined[value // 200 - 1].set()
        ours.emit(value)
    for thread in threads:
        thread.join(8)
    for suffix in suffixes:
        assert suffix == list(range(suffix[0], last + 1))
    assert len(ours.subject.observers) == 8


# R6


def test_an_observer_that_raises_on_the_replay_is_not_leaked() -> None:
    stock, ours = Stock(), Ours()
    boom = ValueError("boom")

    def subscribe(case: Ours | Stock) -> abc.DisposableBase:
        return case.subject.subscribe(raising(boom), on_error=lambda _: None)

    subscribe(stock).dispose()
    assert len(stock.subject.observers) == 1  # RxPY's: forever
    subscription = subscribe(ours)
    assert ours.reports == [(boom, "state")]
    subscription.dispose()
    assert len(ours.subject.observers) == 0


def test_an_interrupt_in_the_replay_leaves_at_once_and_detaches_the_observer() -> None:
    ours = Ours()
    with pytest.raises(KeyboardInterrupt):
        ours.subject.subscribe(raising(KeyboardInterrupt()))
    assert ours.subject.observers == []
    ours.emit(1)
    assert ours.subject.value == 1


def test_an_interrupt_after_completion_leaves_where_it_was_raised() -> None:
    ours = Ours()
    ours.bus.complete([ours.subject])
    with pytest.raises(KeyboardInterrupt):
        ours.subject.subscribe(raising(KeyboardInterrupt()))
    other: State[int] = State(ours.bus, "other", 0)
    ours.bus.emit(other, 1)  # nothing of it is left to come out here


def test_a_pipeline_that_raises_in_the_replay_ends_itself_and_is_reported() -> None:
    ours = Ours()
    ours.subject.map(lambda value: 1 // value).subscribe(lambda _: None)
    ours.emit(1)
    assert [type(error) for error, _ in ours.reports] == [ZeroDivisionError]
    assert ours.subject.observers == []


# One thread delivers


def test_a_foreign_emission_is_delivered_by_the_owner_in_order() -> None:
    ours = Ours()
    wakes: list[Callable[[], None]] = []
    by: list[int] = []
    ours.bus.bind(threading.get_ident(), wakes.append)
    ours.subject.subscribe(lambda _: by.append(threading.get_ident()))
    seen = record(ours.subject)

    def produce() -> None:
        ours.emit(1)
        ours.bus.emit_all([(ours.subject, 2)])

    start(produce).join(8)
    assert (seen, ours.subject.value, len(wakes)) == ([0], 2, 1)  # one wake-up for both
    ours.emit(3)  # behind what waits
    assert seen == [0, 1, 2, 3]
    for wake in wakes:
        wake()
    assert seen == [0, 1, 2, 3]
    assert set(by) == {threading.get_ident()}


def test_the_owner_is_woken_again_for_what_comes_after_it_has_come() -> None:
    ours = Ours()
    wakes: list[Callable[[], None]] = []
    ours.bus.bind(threading.get_ident(), wakes.append)
    seen = record(ours.subject)
    for value in (1, 2):
        start(lambda: ours.emit(value)).join(8)  # noqa: B023 - it has ended within the turn
        (come,) = wakes
        wakes.clear()
        come()
    assert seen == [0, 1, 2]


def test_after_unbinding_anybody_delivers_what_waited() -> None:
    ours = Ours()
    ours.bus.bind(-1, lambda wake: None)
    seen = record(ours.subject)
    ours.emit(1)
    assert seen == [0]
    ours.bus.bind(None, lambda wake: None)
    ours.emit(2)
    assert seen == [0, 1, 2]


# The end


def test_completion_comes_after_everything_that_is_queued() -> None:
    ours = Ours()
    seen: list[Any] = []

    def observer(value: int) -> None:
        if value == 1:
            ours.bus.complete([ours.subject])
            ours.emit(2)
        seen.append(value)

    ours.bus.emit(ours.subject, 0)
    ours.subject.subscribe(observer, on_completed=lambda: seen.append("end"))
    ours.emit(1)
    assert seen == [0, 1, "end"]
    seen.clear()
    ours.emit(3)
    assert seen == []


def test_queued_values_come_before_the_end() -> None:
    ours = Ours()
    seen: list[Any] = []

    def observer(value: int) -> None:
        if value == 1:
            ours.emit(2)
            ours.bus.complete([ours.subject])
        seen.append(value)

    ours.subject.subscribe(observer, on_completed=lambda: seen.append("end"))
    ours.emit(1)
    assert seen == [0, 1, 2, "end"]


def test_a_raising_on_completed_is_reported_and_hurts_nobody() -> None:
    ours = Ours()
    boom = RuntimeError("boom")
    seen: list[str] = []

    def end() -> None:
        raise boom

    ours.subject.subscribe(on_completed=end)
    ours.subject.subscribe(on_completed=lambda: seen.append("end"))
    ours.bus.complete([ours.subject])
    ours.subject.subscribe(on_completed=end)  # late
    assert seen == ["end"]
    assert ours.reports == [(boom, "state"), (boom, "state")]


# R4


def joins_and_leaves(case: Ours | Stock) -> list[tuple[str, int]]:
    seen: list[tuple[str, int]] = []
    subscriptions: dict[str, abc.DisposableBase] = {}

    def named(name: str) -> Callable[[int], None]:
        return lambda value: seen.append((name, value))

    def observer(value: int) -> None:
        seen.append(("A", value))
        if value == 1:
            subscriptions["late"] = case.subject.subscribe(named("late"))
        if value == 2:
            subscriptions["B"].dispose()

    case.subject.subscribe(observer)
    subscriptions["B"] = case.subject.subscribe(named("B"))
    for value in (1, 2, 3):
        case.emit(value)
    return seen


def test_joining_and_leaving_in_a_callback_work_as_in_rxpy() -> None:
    start_of_both = [("A", 0), ("B", 0), ("A", 1), ("late", 1), ("B", 1), ("A", 2)]
    end_of_both = [("late", 2), ("A", 3), ("late", 3)]
    assert joins_and_leaves(Stock()) == start_of_both + end_of_both
    assert joins_and_leaves(Ours()) == start_of_both + end_of_both


def test_disposing_in_its_own_callback_ends_an_observer_even_for_queued_values() -> None:
    ours = Ours()
    seen: list[int] = []

    def observer(value: int) -> None:
        seen.append(value)
        if value == 1:
            ours.emit(2)
            subscription.dispose()
            subscription.dispose()

    subscription = ours.subject.subscribe(observer)
    ours.emit(1)
    ours.emit(3)
    assert seen == [0, 1]
    assert ours.subject.observers == []


def test_an_observer_disposed_while_it_is_replayed_elsewhere_gets_nothing_more() -> None:
    ours = Ours()
    seen: list[int] = []

    class Observer(abc.ObserverBase[int]):
        def on_next(self, value: int) -> None:
            seen.append(value)
            if value == 0:
                ours.emit(1)
                for each in ours.subject._records:
                    each.dispose()

        def on_error(self, error: Exception) -> None:
            raise AssertionError(error)

        def on_completed(self) -> None:
            raise AssertionError

    ours.subject._attach(Observer(), replay=True)
    assert seen == [0]


def test_streams_on_the_bus_replay_nothing() -> None:
    ours = Ours()
    stream: Stream[int] = Stream(ours.bus, "stream")
    stock: Subject[int] = Subject()
    early, stock_early = record(stream), record(stock)
    ours.bus.emit(stream, 1)
    stock.on_next(1)
    late, stock_late = record(stream), record(stock)
    ours.bus.complete([stream])
    ended = record(stream)
    assert (early, late, ended) == (stock_early, stock_late, []) == ([1], [], [])


# What escapes


def test_the_first_of_several_interrupts_leaves() -> None:
    case = Ours()
    for text in ("first", "second"):
        observer = raising(KeyboardInterrupt(text))
        case.subject.subscribe(lambda value, o=observer: o(value) if value else None)  # type: ignore[misc]
    with pytest.raises(KeyboardInterrupt, match="first"):
        case.emit(1)

    def queue_both() -> None:
        for text in ("third", "fourth"):
            case.bus.behind(lambda text=text: raising(KeyboardInterrupt(text))(None))  # type: ignore[misc]

    with pytest.raises(KeyboardInterrupt, match="third"):
        case.bus.behind(queue_both)
    assert case.subject.value == 1


def test_where_no_thread_owns_the_bus_an_interrupt_leaves_where_it_was_raised() -> None:
    case, posted = Ours(), list[Callable[[], None]]()
    case.subject.subscribe(lambda value: raising(KeyboardInterrupt())(value) if value else None)
    case.bus.bind(None, posted.append)
    with pytest.raises(KeyboardInterrupt):
        case.emit(1)
    case.bus.bind(threading.get_ident(), posted.append)
    case.emit(2)  # the owner's thread is in the middle of a change
    (leave,) = posted
    with pytest.raises(KeyboardInterrupt):
        leave()


@pytest.mark.parametrize("bound", [False, True])
def test_a_report_that_is_interrupted_interrupts_who_emits(bound: bool) -> None:
    def report(error: BaseException, name: str, ended: bool = False) -> None:
        raise KeyboardInterrupt(name)

    bus, posted = Bus(report), list[Callable[[], None]]()
    subject: State[Any] = State(bus, "state", 0)
    seen: list[Any] = []
    subject.subscribe(lambda value: raising(LookupError())(value) if value else None)
    subject.subscribe(seen.append)
    if bound:
        bus.bind(threading.get_ident(), posted.append)
        bus.emit(subject, 1)
        with pytest.raises(KeyboardInterrupt, match="state"):
            posted.pop()()
    else:
        with pytest.raises(KeyboardInterrupt, match="state"):
            bus.emit(subject, 1)
    assert seen == [0, 1]


def test_a_cancelled_error_from_a_replay_is_reported() -> None:
    case = Ours()
    error = asyncio.CancelledError()
    case.subject.subscribe(raising(error))
    assert case.reports == [(error, "state")]


def test_who_binds_the_bus_delivers_what_waited_for_another_owner() -> None:
    case, posted = Ours(), list[Callable[[], None]]()
    seen = record(case.subject)
    case.bus.bind(-1, posted.append)
    case.emit(1)
    assert (seen, len(posted)) == ([0], 1)  # posted to a loop that has closed since
    case.bus.bind(threading.get_ident(), posted.append)
    assert seen == [0, 1]
