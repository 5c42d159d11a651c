"""The adapter for Tk, on a real display; where none is set, on an Xvfb."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, Subject

from heimdall_reactive import ConfigurationError
from heimdall_reactive.bindings import Binding, bind
from tests.support import record

from .support import BURST, Stage, observers, wait_until

pytest.importorskip("tkinter", reason="install Python's tkinter, on Debian python3-tk")

import tkinter as tk

from heimdall_reactive.bindings.tk import hop, scope, to_var

from .tk_support import jobs, opened, screen, there, until


@pytest.fixture(scope="module", autouse=True)
def display() -> Iterator[None]:
    with screen():
        yield


@pytest.fixture
def root(display: None) -> Iterator[tk.Tk]:
    with opened() as root:
        yield root


def elsewhere(call: Callable[[], object]) -> None:
    """Call something on another thread, and wait for its end."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def number(message: Any) -> int:
    return message["n"] if message else -1


def test_a_widget_lives_with_its_store_and_leaves_it(stage: Stage, root: tk.Tk) -> None:
    with stage.store() as store:
        store.wait_connected(5).result()
        before = observers(store)
        frame, shown, online = tk.Frame(root), tk.IntVar(root), tk.BooleanVar(root)
        to_var(store.last_message, shown, frame, select=number)
        to_var(store.is_connected, online, frame)
        assert (shown.get(), online.get()) == (-1, True)  # with the first paint
        assert observers(store) == before + 2
        stage.say(7)
        until(root, lambda: shown.get() == 7)
        stage.go_offline(store)
        until(root, lambda: not online.get())
        until(root, online.get)
        stage.say(8)
        until(root, lambda: shown.get() == 8)
        frame.destroy()
        assert observers(store) == before
        assert jobs(root) == 0
        stage.say(9)
        until(root, lambda: store.last_message.value == {"n": 9})
        assert shown.get() == 8


def test_a_burst_blocks_no_window_and_the_newest_is_shown(stage: Stage, root: tk.Tk) -> None:
    shown: list[int] = []
    where: set[int] = set()
    gaps: list[float] = []
    last = 0.0

    def show(value: int) -> None:
        where.add(threading.get_ident())
        shown.append(value)

    def beat() -> None:  # only when Tk is idle: that is when it draws
        nonlocal last
        gaps.append(time.thread_time() - last)
        last = time.thread_time()
        root.after(5, lambda: root.after_idle(beat))

    with stage.store() as store:
        store.wait_connected(5).result()
        bind(store.last_message, show, scope(root), select=number)
        last = time.thread_time()  # a busy machine must not count, a busy loop must
        beat()
        sender = threading.Thread(target=stage.burst)
        sender.start()
        until(root, lambda: shown[-1] == BURST - 1, 20)
        sender.join()
    assert where == {threading.get_ident()}
    assert len(shown) < BURST / 10
    assert len(gaps) > 5
    assert max(gaps) < 1.0


def test_a_buffer_gives_all_in_order_and_tk_goes_on_drawing(root: tk.Tk) -> None:
    source: Subject[int] = Subject()
    seen: list[int] = []
    drawn = 0

    def show(value: int) -> None:
        seen.append(value)
        time.sleep(0.0002)

    def draw() -> None:
        nonlocal drawn
        drawn += 1
        root.after(1, lambda: root.after_idle(draw))

    bind(source, show, scope(root), buffer=2_000)
    draw()
    elsewhere(lambda: reactivex.range(2_000).subscribe(source))
    until(root, lambda: len(seen) == 2_000)
    assert seen == list(range(2_000))
    assert drawn > 5  # over 0.4 s of setters


def test_equal_messages_are_shown_again(stage: Stage, root: tk.Tk) -> None:
    seen: list[Any] = []
    with stage.store() as store:
        store.wait_connected(5).result()
        bind(store.last_message, seen.append, scope(root))
        for times in (1, 2):
            stage.say(5)
            until(root, lambda: seen.count({"n": 5}) == times)  # noqa: B023 - called at once


def test_an_error_in_one_widget_leaves_the_others(stage: Stage, root: tk.Tk) -> None:
    def faulty(value: int) -> None:
        if value == 1:
            raise ValueError("no ones")

    with stage.store() as store:
        store.wait_connected(5).result()
        errors = record(store.errors)
        shown = tk.IntVar(root)
        bind(store.last_message, faulty, scope(root), select=number)
        to_var(store.last_message, shown, root, select=number)
        for n in (1, 2):
            stage.say(n)
            until(root, lambda: shown.get() == n)  # noqa: B023 - called at once
        until(root, lambda: len(errors) == 1)
        assert isinstance(errors[0].error, ValueError)


def test_a_root_that_is_gone_harms_no_emitter(stage: Stage) -> None:
    with stage.store() as store:
        store.wait_connected(5).result()
        seen = record(store.messages)
        before = observers(store)
        with opened() as root:
            shown: list[Any] = []
            binding = bind(store.last_message, shown.append, scope(tk.Label(root)))
            view = store.observe_on(post := hop(root))
            record(view.last_message)
            stage.say(1)
            wait_until(lambda: len(seen) == 1, lambda: time.sleep(0.002), 5)
            root.destroy()  # while the message waits for a turn of Tk
            assert binding.is_disposed
        with pytest.raises(RuntimeError, match="is destroyed"):
            post(shown.clear)
        began = time.monotonic()
        for n in range(2, 8):
            stage.say(n)
        wait_until(lambda: len(seen) == 7, lambda: time.sleep(0.002), 15)
        assert time.monotonic() - began < 5  # Tk itself would hold the store up for a second each
        assert shown == [None]
        assert seen == [{"n": n} for n in range(1, 8)]
        view.dispose()
        assert observers(store) == before


def test_only_the_owners_own_end_counts(root: tk.Tk) -> None:
    source = BehaviorSubject(0)
    top, told = tk.Toplevel(root), list[Any]()
    inner = tk.Frame(top)
    binding = bind(source, bool, scope(top))
    inside = bind(source, bool, scope(inner))
    top.bind("<Destroy>", told.append)  # takes the place of every other binding of the event
    inner.destroy()
    assert (inside.is_disposed, binding.is_disposed) == (True, False)
    root.tk.call("destroy", str(top))  # as a window manager does, past Python's widgets
    root.update()
    assert binding.is_disposed
    assert told
    assert not source.observers


def test_tk_polls_only_while_something_is_bound(root: tk.Tk) -> None:
    source = BehaviorSubject(0)
    assert jobs(root) == 0
    bindings = [bind(source, bool, scope(root)) for _ in range(3)]
    assert jobs(root) == 1
    bindings[0].dispose()
    elsewhere(bindings[1].dispose)
    assert jobs(root) == 1
    elsewhere(bindings[2].dispose)
    until(root, lambda: jobs(root) == 0)
    with pytest.raises(RuntimeError, match="nothing is bound"):
        scope(root).post(bindings.clear)  # type: ignore[misc]
    again = bind(source, bool, scope(root))
    assert jobs(root) == 1
    again.dispose()
    assert jobs(root) == 0


def test_a_variable_lives_and_dies_with_its_owner_on_the_thread_of_tk(root: tk.Tk) -> None:
    died: list[int] = []

    class Mortal(tk.IntVar):
        def __del__(self) -> None:
            died.append(threading.get_ident())
            super().__del__()

    source, done = BehaviorSubject(0), threading.Event()

    def emit() -> None:
        while not done.is_set():
            source.on_next(source.value + 1)

    label = tk.Label(root, textvariable=(variable := Mortal(root)))
    to_var(source, variable, label)
    del variable
    emitter = threading.Thread(target=emit)
    emitter.start()
    until(root, lambda: int(label.cget("text")) > 0)
    assert not died
    label.destroy()
    gc.collect()
    done.set()
    emitter.join()
    assert died == [threading.get_ident()]


def test_a_binding_that_ended_holds_nothing_of_tk(root: tk.Tk) -> None:
    def make() -> tuple[Binding, weakref.ref[tk.Label]]:
        label = tk.Label(root)
        show = lambda value: label.configure(text=str(value))  # noqa: E731
        binding = bind(source, show, scope(label))
        label.destroy()
        return binding, weakref.ref(label)

    source = BehaviorSubject(0)
    binding, gone = make()
    gc.collect()
    assert binding.is_disposed
    assert gone() is None


def test_the_scheduler_and_the_hop_run_on_the_thread_of_tk(stage: Stage, root: tk.Tk) -> None:
    source: Subject[int] = Subject()
    where: list[int] = []
    subscription = source.pipe(ops.observe_on(scope(root).scheduler)).subscribe(
        lambda _: where.append(threading.get_ident())
    )
    elsewhere(lambda: source.on_next(1))
    until(root, lambda: len(where) == 1)
    subscription.dispose()
    with stage.store() as store:
        view = store.observe_on(hop(root))
        view.messages.subscribe(lambda _: where.append(threading.get_ident()))
        store.wait_connected(5).result()
        stage.say(1)
        until(root, lambda: len(where) == 2)
    assert set(where) == {threading.get_ident()}


def test_a_dialog_that_a_setter_opens_stops_no_other_binding(root: tk.Tk) -> None:
    source: Subject[int] = Subject()
    dialog, seen = tk.Toplevel(root), list[int]()

    def see(value: int) -> None:
        seen.append(value)
        if value == 2:
            dialog.destroy()

    bind(source, lambda _: root.wait_window(dialog), scope(root))
    bind(source, see, scope(root))
    elsewhere(lambda: source.on_next(1))
    root.after(60, lambda: elsewhere(lambda: source.on_next(2)))
    until(root, lambda: 2 in seen)
    assert not there(dialog)


def test_what_can_not_be_bound_says_why(root: tk.Tk) -> None:
    label = tk.Label(root)
    scope(label)
    caught: list[BaseException] = []

    def wrong() -> None:
        try:
            scope(label)
        except ConfigurationError as error:
            caught.append(error)

    elsewhere(wrong)
    assert "thread of Tk" in str(caught[0])
    label.destroy()
    with pytest.raises(ConfigurationError, match="is destroyed"):
        scope(label)
