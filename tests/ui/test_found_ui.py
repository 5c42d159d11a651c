"""Defects that a review of the bindings and the dashboard found, each with what it did."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, Subject

from heimdall_reactive import ConfigurationError, QueueHop, Status
from heimdall_reactive.base.state import ConnectionState
from heimdall_reactive.bindings import UiScope, badge, badge_of, bind, external_store, values
from heimdall_reactive.bindings.frames import Frames
from heimdall_reactive.bindings.render_queue import FrameThread
from heimdall_reactive.testing import ScriptedPeer
from tests.support import run
from tests.virtual import store_of

from .support import Stage, wait_until

# bind


def test_what_comes_while_a_setter_runs_is_of_the_next_turn() -> None:
    # It was shown in the same turn, up to 8 ms of it: some 20 calls of one setter.
    window, shown, subject = QueueHop(), list[int](), BehaviorSubject(0)

    def setter(n: int) -> None:
        shown.append(n)
        if n < 3:
            subject.on_next(n + 1)

    bind(subject, setter, UiScope(window, every=0))
    assert shown == [0]
    for turn in (1, 2, 3):
        window.run_pending()
        assert shown == list(range(turn + 1))
    assert window.run_pending() == 0


def test_a_loop_that_was_closed_with_a_call_still_posted_ends_the_binding() -> None:
    # It waited for that call forever, and the source kept it.
    loop, subject, shown = asyncio.new_event_loop(), BehaviorSubject(0), list[int]()
    binding = bind(subject, shown.append, UiScope(loop.call_soon_threadsafe))
    subject.on_next(1)  # posted, and never run
    loop.close()
    wait_until(lambda: binding.is_disposed, lambda: subject.on_next(2), 5)
    assert not subject.observers
    assert shown == [0]


def test_a_loop_that_stands_still_collects_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heimdall_reactive.bindings.binding.LOST", 0.001)
    posted, subject = list[Any](), BehaviorSubject(0)
    bind(subject, lambda _: None, UiScope(posted.append))
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        subject.on_next(1)
    assert 2 <= len(posted) <= 10
    for call in posted:
        call()
    subject.on_next(2)
    assert len(posted) <= 11


def test_a_long_setter_is_not_entered_again() -> None:
    # A dialog runs a loop of its own inside of the setter, for longer than a wake-up may take.
    window, subject, depths = QueueHop(), BehaviorSubject(0), list[int]()
    inside = 0

    def dialog(n: int) -> None:
        nonlocal inside
        inside += 1
        depths.append(inside)
        until = time.monotonic() + 1.2
        while n == 1 and time.monotonic() < until:
            subject.on_next(2)
            window.run_pending()
            time.sleep(0.01)
        inside -= 1

    bind(subject, dialog, UiScope(window, every=0))
    subject.on_next(1)
    window.run_pending()
    window.run_pending()
    assert depths == [1, 1, 1]


def test_a_cancellation_that_a_setter_raises_hurts_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # It is not an `Exception`: it went out of `bind`, or into the loop, whose other calls it cost.
    window, subject, shown = QueueHop(), BehaviorSubject(0), list[int]()

    def bad(_: int) -> None:
        raise asyncio.CancelledError

    bind(subject, bad, UiScope(window, every=0))
    bind(subject, shown.append, UiScope(window, every=0))
    subject.on_next(1)
    window.run_pending()
    assert shown == [0, 1]
    assert "CancelledError" in caplog.text


def test_the_newest_is_shown_after_an_interrupt() -> None:
    # What waited when the interrupt came was not shown before something else came.
    window, shown, subject = QueueHop(), list[int](), BehaviorSubject(0)

    def setter(n: int) -> None:
        if n == 1:
            subject.on_next(2)
            raise KeyboardInterrupt
        shown.append(n)

    bind(subject, setter, UiScope(window, every=0))
    subject.on_next(1)
    with pytest.raises(KeyboardInterrupt):
        window.run_pending()
    window.run_pending()
    assert shown == [0, 2]


def test_a_binding_that_has_ended_holds_nothing_of_the_user() -> None:
    # It held `select`, `on_error` and `on_done`, and by them a widget; Tk's must not die elsewhere.
    class Widget:
        def use(self, value: Any) -> Any:
            return value

    widget = Widget()
    gone, subject = weakref.ref(widget), BehaviorSubject(0)
    binding = bind(
        subject, widget.use, select=widget.use, on_error=widget.use, on_done=partial(widget.use, 0)
    )
    binding.dispose()
    del widget
    gc.collect()
    assert gone() is None
    assert binding.is_disposed


def test_on_error_is_told_of_the_end_and_of_a_setter_that_disposed() -> None:
    errors, subject = list[Exception](), Subject[int]()

    def setter(n: int) -> None:
        binding.dispose()
        raise ValueError(n)

    binding = bind(subject, setter, on_error=errors.append)
    subject.on_next(1)
    assert [type(error) for error in errors] == [ValueError]


def test_an_owner_that_was_gone_before_keeps_and_observes_nothing() -> None:
    undone: list[int] = []

    def on_close(cleanup: Any) -> Any:
        cleanup()
        return lambda: undone.append(1)

    subscribed, subject = list[int](), BehaviorSubject(0)
    binding = bind(subject, subscribed.append, UiScope(on_close=on_close))
    assert (binding.is_disposed, undone, subscribed, subject.observers) == (True, [1], [], [])


# The scheduler


def test_an_action_that_raises_ends_no_application(caplog: pytest.LogCaptureFixture) -> None:
    # Textual ended the whole application, with the text of the error on the screen.
    window, source, seen = QueueHop(), Subject[int](), list[int]()
    scheduler = UiScope(window).scheduler

    def bad(_: int) -> None:
        raise ValueError("a payload")

    source.pipe(ops.observe_on(scheduler)).subscribe(bad)
    source.pipe(ops.observe_on(scheduler)).subscribe(seen.append)
    source.on_next(1)
    window.run_pending()
    assert seen == [1]
    assert "ValueError" in caplog.text
    assert "a payload" not in caplog.text


# Frames


def test_an_interrupt_in_a_frame_costs_the_others_nothing() -> None:
    # The other calls of that frame were lost, and their bindings stood still forever.
    async def main() -> list[int]:
        loop, ran = asyncio.get_running_loop(), list[int]()
        told = asyncio.Event()
        loop.set_exception_handler(lambda *_: told.set())
        frames = Frames(loop)

        def bad() -> None:
            raise asyncio.CancelledError

        frames(lambda: None)
        await asyncio.sleep(0)
        frames(bad)
        frames(lambda: ran.append(1))
        async with asyncio.timeout(5):
            await told.wait()
            while not ran:  # noqa: ASYNC110 - the frame tells nobody
                await asyncio.sleep(0.01)
        return ran

    assert run(main) == [1]


def test_an_exit_in_a_frame_of_a_thread_costs_the_others_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The thread ended, and was not started again: every component stood still.
    frames, ran = FrameThread("frames"), threading.Event()
    frames(lambda: sys.exit("a payload"))
    frames(ran.set)
    assert ran.wait(5)
    wait_until(lambda: not frames._running, lambda: time.sleep(0.01), 5)
    assert "SystemExit" in caplog.text
    assert "a payload" not in caplog.text


# external_store


def test_a_value_that_comes_back_within_one_turn_is_told_where_another_was_shown() -> None:
    # `b` was rendered for another reason; then nobody was told that it is `a` again.
    window, subject = QueueHop(), BehaviorSubject("a")
    subscribe, get = external_store(subject, lambda value: value, window, every=0)
    rendered = [get()]
    subscribe(lambda: rendered.append(get()))
    subject.on_next("b")
    rendered.append(get())
    subject.on_next("a")
    window.run_pending()
    assert rendered == ["a", "b", "a"]


def test_equal_values_are_one_snapshot_where_the_store_is_distinct() -> None:
    subject, told = BehaviorSubject([1]), list[object]()
    subscribe, get = external_store(subject, distinct=True)
    subscribe(lambda: told.append(get()))
    before = get()
    subject.on_next([1])
    assert get() is before
    subject.on_next([2])
    assert told == [[2]]


def test_select_runs_unlocked() -> None:
    # One that waits for another thread that asks for the snapshot never returned.
    subject, first = BehaviorSubject(1), list[int]()

    def select(value: int) -> int:
        if not first:
            first.append(value)
            other = threading.Thread(target=get)
            other.start()
            other.join(5)
            assert not other.is_alive()
        return value

    _, get = external_store(subject, select)
    assert get() == 1


# values


async def longest_gap(following: Callable[[], Any], emit: Callable[[], object]) -> float:
    """Iterate three seconds without an `await`, while a thread emits; return the longest stop."""
    stop, longest = threading.Event(), 0.0

    def emits() -> None:
        while not stop.wait(0.0002):
            emit()

    async def beat() -> None:
        nonlocal longest
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    heart, emitter = asyncio.create_task(beat()), threading.Thread(target=emits)
    await asyncio.sleep(0)
    emitter.start()
    until = time.monotonic() + 3.0
    async with aclosing(following()) as values:
        async for _ in values:
            time.sleep(0.001)  # noqa: ASYNC251 - a consumer that never awaits
            if time.monotonic() > until:
                break
    await asyncio.sleep(0.02)
    stop.set()
    emitter.join()
    heart.cancel()
    await asyncio.wait([heart])
    return longest


def test_values_that_come_faster_than_they_are_taken_leave_the_loop_its_turns() -> None:
    # The loop stood still for as long as the burst lasted.
    subject = BehaviorSubject(0)
    following = partial(values, subject, buffer=100)
    assert run(lambda: longest_gap(following, lambda: subject.on_next(1))) < 1.5


def test_messages_that_come_faster_than_they_are_taken_leave_the_loop_its_turns(
    stage: Stage,
) -> None:
    # As above.
    with stage.store() as store:
        store.wait_connected().result(5)
        following = partial(store.stream, maxsize=100)
        assert run(lambda: longest_gap(following, lambda: stage.say(1))) < 1.5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_iteration_whose_loop_was_closed_detaches(caplog: pytest.LogCaptureFixture) -> None:
    # Nobody runs its `finally`: the source kept what waits for it.
    subject, loop = BehaviorSubject(0), asyncio.new_event_loop()

    async def follow() -> None:
        async for _ in values(subject):
            pass

    task = loop.create_task(follow())
    loop.run_until_complete(asyncio.sleep(0))
    assert len(subject.observers) == 1
    loop.close()
    subject.on_next(1)
    del task
    with caplog.at_level(logging.CRITICAL, "asyncio"):  # the task was destroyed while pending
        gc.collect()
    assert not subject.observers


# badge


@pytest.mark.heimdall_virtual_time
async def test_a_badge_counts_by_the_clock_of_its_store_also_after_a_sleep() -> None:
    # The clock of a scheduler is steady: after an hour's sleep it said 3603 s.
    peer, shown = ScriptedPeer(), list[str]()
    loop: Any = asyncio.get_running_loop()
    async with store_of(peer, reconnect_delay=lambda _: 3.0) as store:
        badge(store).subscribe(lambda badge: shown.append(str(badge)))
        link = await peer.accepted()
        await store.wait_connected()
        wall = loop.wall
        loop.wall = lambda: wall() + 3600
        link.drop()
        await store.wait_for(lambda state: state.status is Status.WAITING)
        assert shown[-1] == "reconnecting in 3 s (attempt 1)"
        loop.wall = wall


def test_a_failed_badge_is_one_line() -> None:
    error = OSError("a\nb\x1b[31m" + "x" * 5000)
    text = str(badge_of(ConnectionState(status=Status.FAILED, error=error), 0.0))
    assert text.startswith("failed: a?b?[31mx")
    assert len(text) < 250


def test_a_badge_of_a_view_is_refused_with_what_to_do(stage: Stage) -> None:
    # It showed nothing, and an AttributeError was in the log.
    with stage.store() as store, pytest.raises(ConfigurationError, match="the store itself"):
        badge(store.observe_on(QueueHop()))  # type: ignore[arg-type]


# The examples


def test_the_badge_in_textual_shows_what_the_server_says_as_it_is() -> None:
    # A close reason with a tag in it was an error of the markup, and the badge stayed green.
    pytest.importorskip("textual", reason="pip install 'heimdall-reactive[textual]'")
    from textual.widgets import Label

    from examples.live.feed import Market
    from examples.live.textual_app import Live

    async def main() -> None:
        peer, rules = ScriptedPeer(), {"close 4403": "stop"}
        async with (
            store_of(peer, reconnect_rules=rules) as store,
            Live(Market(store)).run_test() as pilot,
        ):
            (await peer.accepted()).close(4403, "[/b] no [red]")
            status = pilot.app.query_one("#status", Label)
            async with asyncio.timeout(5):
                while "[/b] no [red]" not in str(status.visual):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    run(main)
