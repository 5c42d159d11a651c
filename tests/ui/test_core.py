"""The neutral core of the bindings: each line of its contract, without any framework."""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import sys
import threading
from collections.abc import Callable
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import abc
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, Subject

from heimdall_reactive import ConfigurationError, ObserverError, QueueHop, Status
from heimdall_reactive.base.state import ConnectionState
from heimdall_reactive.bindings import (
    UiScope,
    badge,
    badge_of,
    bind,
    bind_batch,
    external_store,
    values,
)
from heimdall_reactive.bindings.selecting import same
from heimdall_reactive.testing import ScriptedPeer
from tests.support import run
from tests.virtual import store_of

from .support import Stage, observers, wait_until


class Window:
    """A user interface of the test's own: a queue that one thread runs, and an end."""

    def __init__(self) -> None:
        self.hop = QueueHop()
        self.open = True
        self.cleanups: list[Callable[[], None]] = []
        self.turns = 0

    @property
    def scope(self) -> UiScope:
        return UiScope(self.post, self._on_close, lambda: self.open, every=0)

    def post(self, call: Callable[[], None]) -> None:
        if not self.open:
            raise RuntimeError("the window is gone")
        self.hop(call)

    def _on_close(self, cleanup: Callable[[], None]) -> Callable[[], None]:
        self.cleanups.append(cleanup)
        return lambda: self.cleanups.remove(cleanup)

    def turn(self) -> None:
        self.turns += 1
        self.hop.run_pending()

    def close(self) -> None:
        for cleanup in tuple(self.cleanups):
            cleanup()
        self.open = False


# The contract, line by line


def test_the_first_value_is_set_before_bind_returns() -> None:
    window, shown = Window(), list[int]()
    bind(BehaviorSubject(1), shown.append, window.scope)
    assert shown == [1]
    assert window.hop.run_pending() == 0


def test_the_first_value_can_be_posted_like_the_others() -> None:
    window, shown = Window(), list[int]()
    bind(BehaviorSubject(1), shown.append, window.scope, immediate=False)
    assert shown == []
    window.turn()
    assert shown == [1]


def test_an_equal_selection_is_not_shown_again() -> None:
    window, shown, subject = Window(), list[bool](), BehaviorSubject(1)
    bind(subject, shown.append, window.scope, select=lambda n: n > 10)
    for n in (2, 3, 11, 12, 1):
        subject.on_next(n)
        window.turn()
    assert shown == [False, True, False]


def test_two_equal_messages_are_two_where_nothing_is_selected() -> None:
    window, shown, subject = Window(), list[str](), BehaviorSubject("")
    bind(subject, shown.append, window.scope)
    for _ in range(2):
        subject.on_next("again")
        window.turn()
    assert shown == ["", "again", "again"]


def test_distinct_can_be_said_either_way() -> None:
    once, twice, subject = list[int](), list[int](), BehaviorSubject(1)
    bind(subject, once.append, distinct=True)
    bind(subject, twice.append, select=abs, distinct=False)
    subject.on_next(1)
    assert (once, twice) == ([1], [1, 1])


def test_many_changes_in_one_turn_give_one_call_with_the_newest() -> None:
    window, shown, subject = Window(), list[int](), BehaviorSubject(0)
    binding = bind(subject, shown.append, window.scope)
    for n in range(1, 1001):
        subject.on_next(n)
    window.turn()
    assert shown == [0, 1000]
    assert binding.stats.dropped == 999


def test_a_buffer_gives_all_in_order_and_counts_what_had_no_room() -> None:
    window, shown, subject = Window(), list[int](), Subject[int]()
    binding = bind(subject, shown.append, window.scope, buffer=10)
    for n in range(12):
        subject.on_next(n)
    window.turn()
    assert shown == list(range(2, 12))
    assert (binding.stats.dropped, binding.stats.high_water) == (2, 10)


def test_what_had_no_room_is_told_in_the_log_once_a_burst(caplog: pytest.LogCaptureFixture) -> None:
    window, subject = Window(), Subject[int]()
    bind(subject, list[int]().append, window.scope)  # the newest is all that it wants
    bind_batch(subject, list[list[int]]().append, window.scope, buffer=10)
    for bursts in range(1, 6):
        for n in range(22):
            subject.on_next(n)
        assert len(caplog.records) == {1: 0, 2: 1, 3: 2, 4: 2, 5: 3}[bursts]  # by the UI's thread
        window.turn()
    first = caplog.records[0].getMessage()
    assert first == (
        "a binding of Subject is too slow: 12 values dropped so far; raise buffer=10, show many at "
        "once with bind_batch(), or bind the newest only, without buffer="
    )


async def test_what_had_no_room_in_an_iteration_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    subject = BehaviorSubject(0)
    async with aclosing(values(subject, buffer=10)) as some:
        assert await anext(some) == 0
        for n in range(15):
            subject.on_next(n)
        assert await anext(some) == 5
    (record,) = caplog.records
    assert record.getMessage() == (
        "values() of BehaviorSubject is too slow: 5 values dropped so far; raise buffer=10, or "
        "take the newest only, without buffer="
    )


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        ((1, print), {}, "int is not an observable: take one of a store, as store.last_message"),
        ((Subject(), "label"), {}, "setter must be a function of the value, not 'label'"),
        (
            (Subject(), print, "label"),
            {},
            "str is not a UiScope: pass scope(widget), of your adapt",
        ),
        (
            (Subject(), print),
            {"select": "price"},
            "select must be a function of the value, not 'pr",
        ),
    ],
)
def test_what_is_no_argument_is_refused_where_it_is_given(
    arguments: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(says)):
        bind(*arguments, **options)


def test_a_buffer_of_nothing_is_refused_by_its_name() -> None:
    for buffer in (0, 2.5):
        with pytest.raises(ConfigurationError, match="buffer must be a whole number of 1 or more"):
            bind(Subject[int](), print, buffer=buffer)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["textual", "traitlets"])
def test_an_adapter_without_its_framework_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in tuple(sys.modules):
        if module == name or module.startswith(f"{name}."):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"heimdall_reactive.bindings.{name}", raising=False)
    with pytest.raises(ImportError, match=re.escape(f"[{name}]")):
        importlib.import_module(f"heimdall_reactive.bindings.{name}")


def test_a_buffer_keeps_equal_selections() -> None:
    shown, subject = list[str](), Subject[int]()
    bind(subject, shown.append, select=lambda n: "line", buffer=10)
    subject.on_next(1)
    subject.on_next(2)
    assert shown == ["line", "line"]


def test_the_setter_and_the_selection_run_on_the_thread_of_the_ui_only() -> None:
    window, seen, subject = Window(), set[int](), BehaviorSubject(0)

    def select(n: int) -> int:
        seen.add(threading.get_ident())
        return n

    bind(subject, lambda _: seen.add(threading.get_ident()), window.scope, select=select)
    emitter = threading.Thread(target=emit, args=(subject, 100))
    emitter.start()
    emitter.join()
    window.turn()
    assert seen == {threading.get_ident()}


def test_nothing_is_set_after_dispose_not_even_what_was_posted() -> None:
    window, shown, subject = Window(), list[int](), BehaviorSubject(0)
    binding = bind(subject, shown.append, window.scope)
    subject.on_next(1)
    binding.dispose()
    subject.on_next(2)
    window.turn()
    assert shown == [0]
    assert binding.is_disposed
    assert not subject.observers
    assert not window.cleanups, "the scope does not keep what has ended"
    binding.dispose()


def test_the_end_of_the_owner_disposes() -> None:
    window, shown, subject = Window(), list[int](), BehaviorSubject(0)
    bind(subject, shown.append, window.scope)
    subject.on_next(1)
    window.close()
    assert not subject.observers
    window.hop.run_pending()
    assert shown == [0]


def test_an_owner_that_is_no_more_alive_disposes_at_the_next_value() -> None:
    alive, shown, subject, hop = [True], list[int](), BehaviorSubject(0), QueueHop()
    bind(subject, shown.append, UiScope(hop, alive=lambda: alive[0], every=0))
    subject.on_next(1)
    alive[0] = False
    hop.run_pending()
    assert shown == [0]
    assert not subject.observers


def test_an_owner_that_can_not_be_asked_is_gone() -> None:
    def alive() -> bool:
        raise RuntimeError("wrapped C/C++ object has been deleted")

    subject = BehaviorSubject(0)
    shown: list[int] = []
    bind(subject, shown.append, UiScope(alive=alive))
    assert shown == []
    assert not subject.observers


def test_a_dead_loop_disposes_and_the_emitter_is_unharmed(caplog: pytest.LogCaptureFixture) -> None:
    loop, subject = asyncio.new_event_loop(), BehaviorSubject(0)
    shown: list[int] = []
    bind(subject, shown.append, UiScope(loop.call_soon_threadsafe))
    loop.close()
    with caplog.at_level(logging.DEBUG):
        subject.on_next(1)
    assert not subject.observers
    assert "gone" in caplog.text


def test_an_error_in_one_setter_hurts_nobody_and_is_reported(stage: Stage) -> None:
    with stage.store() as store:
        store.wait_connected().result(5)
        window, good, errors = Window(), list[Any](), list[Any]()
        store.errors.subscribe(errors.append)

        def bad(_: object) -> None:
            raise ValueError("a payload")

        first = bind(store.last_message, bad, window.scope)
        bind(store.last_message, good.append, window.scope)
        stage.say(1)
        wait_until(lambda: {"n": 1} in good, window.turn, 5)
        reported = [error for error in errors if isinstance(error, ObserverError)]
        assert reported
        assert not first.is_disposed
        assert store.connected


def test_an_error_over_another_observable_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def bad(_: object) -> None:
        raise ValueError("a payload")

    bind(BehaviorSubject(1), bad)
    assert "ValueError" in caplog.text
    assert "a payload" not in caplog.text


def test_on_error_takes_what_the_setter_and_the_source_raise() -> None:
    errors, subject = list[Exception](), Subject[int]()

    def bad(n: int) -> None:
        raise ValueError(n)

    binding = bind(subject, bad, on_error=errors.append)
    subject.on_next(1)
    subject.on_next(2)
    subject.on_error(OSError("gone"))
    assert [type(error) for error in errors] == [ValueError, ValueError, OSError]
    assert binding.is_disposed


def test_an_on_error_that_raises_is_logged_and_called_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[Exception] = []

    def worse(error: Exception) -> None:
        calls.append(error)
        raise KeyError("worse")

    def bad(_: object) -> None:
        raise ValueError

    subject = BehaviorSubject(0)
    bind(subject, bad, on_error=worse)
    subject.on_next(1)
    assert len(calls) == 2
    assert "KeyError" in caplog.text


def test_on_done_comes_after_the_last_value_on_the_uis_thread() -> None:
    window, shown, subject = Window(), list[Any](), BehaviorSubject(0)
    binding = bind(subject, shown.append, window.scope, on_done=lambda: shown.append("done"))
    subject.on_next(1)
    subject.on_completed()
    assert shown == [0]
    window.turn()
    assert shown == [0, 1, "done"]
    assert binding.is_disposed


def test_a_source_that_has_ended_already_is_shown_once() -> None:
    shown: list[Any] = []
    bind(reactivex.of(1, 2, 3), shown.append, buffer=5, on_done=lambda: shown.append("done"))
    assert shown == [1, 2, 3, "done"]


def test_a_setter_may_wait_for_another_thread_that_reads_the_subject() -> None:
    # A stock subject replays under its lock: a setter called in there would deadlock.
    subject = BehaviorSubject(0)

    def setter(_: int) -> None:
        other = threading.Thread(target=lambda: subject.subscribe(lambda _: None))
        other.start()
        other.join(5)
        assert not other.is_alive()

    bind(subject, setter)


def test_a_setter_may_emit_and_dispose() -> None:
    shown, subject = list[int](), BehaviorSubject(0)

    def setter(n: int) -> None:
        shown.append(n)
        if n < 3:
            subject.on_next(n + 1)
        else:
            binding.dispose()

    binding = bind(subject, lambda _: None)
    binding.dispose()
    binding = bind(subject.pipe(ops.skip(1)), setter)
    subject.on_next(1)
    subject.on_next(9)
    assert shown == [1, 2, 3]


def test_an_interrupt_in_a_setter_leaves_and_the_binding_lives() -> None:
    window, shown, subject = Window(), list[int](), BehaviorSubject(0)

    def setter(n: int) -> None:
        if n == 1:
            raise KeyboardInterrupt
        shown.append(n)

    bind(subject, setter, window.scope)
    subject.on_next(1)
    with pytest.raises(KeyboardInterrupt):
        window.turn()
    subject.on_next(2)
    window.turn()
    assert shown == [0, 2]


def test_slow_setters_leave_the_ui_its_own_turns() -> None:
    window, shown, subject = Window(), list[int](), Subject[int]()
    blocked = threading.Event()

    def setter(n: int) -> None:
        blocked.wait(0.005)  # a slow widget: nobody sets this
        shown.append(n)

    bind(subject, setter, window.scope, buffer=20)
    for n in range(20):
        subject.on_next(n)
    wait_until(lambda: len(shown) == 20, window.turn, 5)
    assert shown == list(range(20))
    assert window.turns > 5, "a slice at a time"


def test_a_limit_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="1 or more"):
        bind(BehaviorSubject(0), print, buffer=0)


def test_a_coroutine_function_is_refused() -> None:
    async def setter(_: int) -> None: ...

    with pytest.raises(TypeError, match="await"):
        bind(BehaviorSubject(0), setter)


@given(st.lists(st.tuples(st.sampled_from(["emit", "turn"]), st.integers(0, 3))))
def test_what_is_shown_is_always_a_piece_of_what_came_and_ends_with_the_newest(
    steps: list[tuple[str, int]],
) -> None:
    window, shown, subject = Window(), list[int](), BehaviorSubject(-1)
    bind(subject, shown.append, window.scope, select=lambda n: n)
    came = [-1]
    for step, n in steps:
        if step == "emit":
            subject.on_next(n)
            came.append(n)
        else:
            window.turn()
    window.turn()
    assert shown[-1] == came[-1]
    assert all(one != two for one, two in pairwise(shown))
    rest = iter(came)
    assert all(n in rest for n in shown), "in order"


def emit(subject: abc.ObserverBase[int], count: int) -> None:
    for n in range(count):
        subject.on_next(n)


def test_what_comes_while_a_setter_runs_is_shown_where_calls_run_at_once() -> None:
    subject, shown = BehaviorSubject(0), list[int]()

    def show(value: int) -> None:
        shown.append(value)
        if value == 1:
            subject.on_next(2)

    bind(subject, show, UiScope(lambda call: call(), every=0))
    subject.on_next(1)
    assert shown == [0, 1, 2]


def test_values_from_threads_are_never_lost_at_the_end() -> None:
    for _ in range(50):
        window, shown, subject = Window(), list[int](), BehaviorSubject(0)
        bind(subject, shown.append, window.scope)
        emitter = threading.Thread(target=emit, args=(subject, 200))
        emitter.start()
        while emitter.is_alive():
            window.turn()
        emitter.join()
        window.turn()
        assert shown[-1] == 199


# A scheduler on the UI's thread


def test_the_scheduler_runs_operators_on_the_uis_thread() -> None:
    window, seen, source = Window(), list[tuple[int, int]](), Subject[int]()
    scheduler = window.scope.scheduler
    source.pipe(ops.debounce(0.02, scheduler=scheduler), ops.observe_on(scheduler)).subscribe(
        lambda n: seen.append((n, threading.get_ident()))
    )
    emitter = threading.Thread(target=emit, args=(source, 5))
    emitter.start()
    emitter.join()
    wait_until(lambda: bool(seen), window.turn, 5)
    assert seen == [(4, threading.get_ident())]


def test_the_scheduler_runs_nothing_that_was_disposed_of_and_survives_a_dead_window() -> None:
    window, seen = Window(), list[int]()
    scheduler = window.scope.scheduler
    scheduler.schedule(lambda *_: seen.append(1)).dispose()
    scheduler.schedule_relative(60.0, lambda *_: seen.append(2)).dispose()
    scheduler.schedule_absolute(scheduler.now, lambda *_: seen.append(3))
    window.turn()
    window.close()
    scheduler.schedule(lambda *_: seen.append(4))
    window.hop.run_pending()
    assert seen == [3]


def test_a_scope_without_a_thread_has_no_scheduler() -> None:
    with pytest.raises(ValueError, match="post"):
        _ = UiScope().scheduler


# external_store


def test_the_snapshot_is_the_same_object_while_the_selection_is_equal() -> None:
    subject = BehaviorSubject(1)
    _, get = external_store(subject, lambda n: [n > 10])
    before = get()
    subject.on_next(2)
    assert get() is before
    subject.on_next(11)
    assert get() == [True]


def test_a_change_is_told_where_the_snapshot_changes_only() -> None:
    subject, told = BehaviorSubject(1), list[int]()
    subscribe, get = external_store(subject, lambda n: n % 2)
    leave = subscribe(lambda: told.append(get()))
    for n in (3, 5, 6, 8, 7):
        subject.on_next(n)
    leave()
    subject.on_next(2)
    assert told == [0, 1]
    assert not subject.observers


def test_equal_messages_are_told_each_without_a_selection() -> None:
    subject, told = BehaviorSubject("a"), list[str]()
    subscribe, get = external_store(subject)
    subscribe(lambda: told.append(get()))
    subject.on_next("b")
    subject.on_next("b")
    assert told == ["b", "b"]


def test_changes_are_told_on_the_uis_side_once_a_turn() -> None:
    window, subject, told = Window(), BehaviorSubject(0), list[int]()
    subscribe, get = external_store(subject, post=window.post, every=0)
    leave = subscribe(lambda: told.append(get()))
    for n in range(10):
        subject.on_next(n)
    assert told == []
    window.turn()
    subject.on_next(11)
    leave()
    window.turn()
    assert told == [9]


def test_a_source_without_a_value_has_none_until_something_came() -> None:
    source, told = Subject[int](), list[int]()
    subscribe, get = external_store(source)
    assert get() is None
    subscribe(lambda: told.append(get()))
    source.on_next(1)
    source.on_next(2)
    assert told == [1, 2]


# values


def test_values_begin_with_the_first_and_end_with_the_source() -> None:
    async def main() -> list[int]:
        subject = BehaviorSubject(1)
        seen = []
        async for n in values(subject, buffer=10):
            seen.append(n)
            if n == 1:
                subject.on_next(2)
                subject.on_next(2)
                subject.on_completed()
        return seen

    assert run(main) == [1, 2, 2]


def test_values_are_the_newest_where_the_iteration_is_slow() -> None:
    async def main() -> list[int]:
        subject = BehaviorSubject(0)
        seen = []
        async with aclosing(values(subject, select=lambda n: n)) as newest:
            async for n in newest:
                seen.append(n)
                if n == 5:
                    break
                for more in (n, 4, 5):
                    subject.on_next(more)
        assert not subject.observers
        return seen

    assert run(main) == [0, 5]


async def test_a_cancelled_iteration_detaches() -> None:
    subject, begun = BehaviorSubject(0), asyncio.Event()

    async def follow() -> None:
        async for _ in values(subject):
            begun.set()

    task = asyncio.create_task(follow())
    await begun.wait()
    assert len(subject.observers) == 1
    task.cancel()
    await asyncio.wait([task])
    assert not subject.observers


async def test_values_raise_what_the_source_failed_of_after_what_waits() -> None:
    following = values(reactivex.concat(reactivex.of(1), reactivex.throw(OSError("gone"))))
    assert await anext(following) == 1
    with pytest.raises(OSError, match="gone"):
        await anext(following)


async def test_values_come_from_a_store_on_another_thread(stage: Stage) -> None:
    with stage.store() as store:
        before = observers(store)  # not behind the wait, whose own may just be leaving
        await store.wait_connected()
        seen = []
        async with aclosing(values(store.last_message, buffer=100)) as messages:
            async for message in messages:
                if message is None:  # the first value: what is sent now will be seen
                    await asyncio.to_thread(stage.burst, 50)
                    continue
                seen.append(message["n"])
                if len(seen) == 50:
                    break
        assert seen == list(range(50))
        assert observers(store) == before


# badge


@pytest.mark.heimdall_virtual_time
async def test_a_badge_counts_down_second_by_second() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, reconnect_delay=lambda _: 3.0) as store:
        shown: list[str] = []
        subscription = badge(store).subscribe(lambda badge: shown.append(str(badge)))
        link = await peer.accepted()
        await store.wait_connected()
        link.drop()
        await store.wait_for(lambda state: state.session == 2)
        subscription.dispose()
        assert shown[-6:] == [
            "connected",
            "reconnecting in 3 s (attempt 1)",
            "reconnecting in 2 s (attempt 1)",
            "reconnecting in 1 s (attempt 1)",
            "connecting (attempt 1)",
            "connected",
        ]
        assert not store.scheduler.timers


@pytest.mark.heimdall_virtual_time
async def test_a_badge_that_nobody_looks_at_any_more_counts_no_more() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, reconnect_delay=lambda _: 60.0) as store:
        subscription = badge(store).subscribe(lambda _: None)
        link = await peer.accepted()
        await store.wait_connected()
        link.drop()
        await store.wait_for(lambda state: state.status is Status.WAITING)
        assert store.scheduler.timers
        subscription.dispose()
        assert not store.scheduler.timers


@pytest.mark.parametrize("status", Status)
def test_every_status_has_a_badge(status: Status) -> None:
    shown = badge_of(ConnectionState(status=status), now=0.0)
    assert str(shown) == status.value
    assert shown.online is (status is Status.CONNECTED)


def test_a_failed_badge_says_why() -> None:
    shown = badge_of(ConnectionState(status=Status.FAILED, error=OSError("no route")), 0.0)
    assert (str(shown), shown.tone) == ("failed: no route", "bad")
    assert shown.reason == "no route"


def test_a_badge_that_waits_has_the_reason_apart() -> None:
    state = ConnectionState().connecting(0).waiting(1, 3.0, None, OSError("no\nroute"))
    shown = badge_of(state, 0.0)
    assert (shown.text, shown.reason) == ("reconnecting in 3 s (attempt 1)", "no?route")
    assert badge_of(state, 3.0).text == "reconnecting now"
    assert badge_of(state.connecting(1), 0.0).reason == "no?route"
    assert badge_of(ConnectionState().connecting(0), 0.0).reason == ""


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_seconds_are_never_negative_and_never_too_few(now: float, retry_at: float) -> None:
    state = ConnectionState(status=Status.WAITING, attempt=1, retry_at=retry_at)
    seconds = badge_of(state, now).seconds
    assert seconds is not None
    assert seconds >= max(0.0, retry_at - now - 0.002)


def test_what_has_no_truth_value_when_compared_differs() -> None:
    class Array:
        def __eq__(self, other: object) -> Any:
            return self

        def __bool__(self) -> bool:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]

    one = Array()
    assert same(one, one)
    assert not same(one, Array())
