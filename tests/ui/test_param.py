"""Parameters and reactive expressions that follow a store; `param` alone, without Panel."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from types import ModuleType, SimpleNamespace
from typing import Any, Literal
from unittest.mock import MagicMock

import pytest

param = pytest.importorskip("param", reason="pip install 'heimdall-reactive[param]'")

from heimdall_reactive import ConfigurationError  # noqa: E402
from heimdall_reactive.bindings import UiScope, badge  # noqa: E402
from heimdall_reactive.bindings import param as adapter  # noqa: E402
from heimdall_reactive.bindings.param import scope, to_param, to_rx  # noqa: E402

from .support import BURST, Stage, observers, wait_until  # noqa: E402

LOOPS: list[Literal["auto", "thread"]] = ["auto", "thread"]


class Panel(param.Parameterized):  # type: ignore[misc, name-defined, unused-ignore]
    """What a small application shows."""

    status = param.String("")
    message = param.Parameter(constant=True)
    number = param.Integer(-1)
    disabled = param.Boolean(False)


async def until(condition: Callable[[], bool], timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - of another thread or of param
            await asyncio.sleep(0.005)


def pause() -> None:
    time.sleep(0.005)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def number(message: Any) -> int:
    return -1 if message is None else int(message["n"])


@pytest.mark.parametrize("loop", LOOPS)
def test_it_lives_through_all_of_it(stage: Stage, loop: Literal["auto", "thread"]) -> None:
    async def work() -> None:
        panel, shown = Panel(), list[str]()
        panel.param.watch(lambda event: shown.append(event.new), "status")
        async with stage.store(loop, reconnect_delay=0.6) as store:
            before = observers(store)
            bindings = [
                to_param(badge(store), panel, "status", select=str),
                to_param(store.last_message, panel, "message"),
                to_param(store.is_connected, panel, "disabled", select=lambda up: not up),
            ]
            assert panel.status in {"idle", "connecting"}
            assert (panel.disabled, panel.message) == (True, None)
            await until(lambda: panel.status == "connected" and not panel.disabled)
            stage.say(7)
            await until(lambda: panel.message == {"n": 7})
            stage.go_offline(store)
            await until(
                lambda: (
                    panel.disabled and any(text.startswith("reconnecting in 1 s") for text in shown)
                )
            )
            await until(lambda: panel.status == "connected" and not panel.disabled)
            stage.say(8)
            await until(lambda: panel.message == {"n": 8})
            for binding in bindings:
                binding.dispose()
            assert observers(store) == before
            stage.say(9)
            await until(lambda: number(store.last_message.value) == 9)
            await asyncio.sleep(0)
            assert panel.message == {"n": 8}

    run(work)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_burst_leaves_the_loop_alive(stage: Stage, loop: Literal["auto", "thread"]) -> None:
    async def work() -> None:
        panel, gaps, seen, threads = Panel(), list[float](), list[int](), set[int]()

        def watch(event: Any) -> None:
            seen.append(event.new)
            threads.add(threading.get_ident())

        async def beat() -> None:
            last = time.thread_time()  # a busy machine must not count, a busy loop must
            while True:
                await asyncio.sleep(0.005)
                gaps.append(time.thread_time() - last)
                last = time.thread_time()

        async with stage.store(loop) as store:
            await store.wait_connected(timeout=5)
            panel.param.watch(watch, "number")
            binding = to_param(store.last_message, panel, "number", select=number)
            heart = asyncio.create_task(beat())
            await asyncio.to_thread(stage.burst)
            await until(lambda: panel.number == BURST - 1, 20)
            heart.cancel()
            binding.dispose()
        assert len(gaps) > 5
        assert max(gaps) < 0.25
        assert len(seen) < BURST / 2
        assert seen == sorted(seen)
        assert threads == {threading.get_ident()}

    run(work)


@pytest.mark.parametrize("loop", LOOPS)
def test_equal_messages_and_every_message(stage: Stage, loop: Literal["auto", "thread"]) -> None:
    async def work() -> None:
        panel, changes, every = Panel(), list[int](), list[int]()
        panel.param.watch(lambda event: changes.append(event.new), "number")
        panel.param.watch(lambda event: every.append(event.new), "number", onlychanged=False)
        async with stage.store(loop) as store:
            await store.wait_connected(timeout=5)
            with to_param(store.messages, panel, "number", select=number, buffer=100):
                for n in (5, 5, *range(6, 40)):
                    stage.say(n)
                await until(lambda: every[-1:] == [39])
            assert every == [5, 5, *range(6, 40)]
            assert changes == list(range(5, 40))  # what param calls a change

    run(work)


def test_an_error_in_one_hurts_no_other(stage: Stage) -> None:
    async def work() -> None:
        panel, told, errors = Panel(), list[Exception](), list[Any]()
        async with stage.store() as store:
            await store.wait_connected(timeout=5)
            store.errors.subscribe(errors.append)
            wrong: Callable[[Any], Any] = lambda m: "no number" if m else 0  # noqa: E731
            to_param(store.last_message, panel, "number", select=wrong)
            to_param(store.last_message, panel, "number", select=wrong, on_error=told.append)
            to_param(store.last_message, panel, "message")
            stage.say(1)
            await until(lambda: panel.message == {"n": 1} and bool(errors) and bool(told))
            assert panel.number == 0
            assert isinstance(told[0], ValueError)
            assert store.connected

    run(work)


def test_a_dead_loop_ends_the_binding_and_hurts_nobody(stage: Stage) -> None:
    panel = Panel()
    with stage.store() as store:
        before = observers(store)

        async def mount() -> None:
            await store.wait_connected(timeout=5)
            to_param(store.last_message, panel, "message")

        run(mount)
        stage.say(1)
        wait_until(lambda: number(store.last_message.value) == 1, pause, 5)
        wait_until(lambda: observers(store) == before, pause, 5)
        assert panel.message is None
        assert store.connected


def test_without_a_loop_it_is_set_in_place(stage: Stage) -> None:
    panel, there, where = Panel(), threading.Event(), set[str]()
    with stage.store() as store:
        store.wait_connected(timeout=5).result()
        to_param(store.last_message, panel, "number", select=number)

        def watch(_: object) -> None:
            where.add(threading.current_thread().name)
            there.set()

        panel.param.watch(watch, "number")
        stage.say(3)
        assert there.wait(5)
        assert (panel.number, where) == (3, {"heimdall-reactive"})


def test_an_expression_follows_until_nobody_holds_it(stage: Stage) -> None:
    async def work() -> None:
        async with stage.store() as store:
            before = observers(store)
            await store.wait_connected(timeout=5)
            live = to_rx(store.last_message, select=number)
            twice, seen = live * 2, list[int]()
            twice.rx.watch(seen.append)
            assert (live.rx.value, twice.rx.value) == (-1, -2)
            del live
            gc.collect()
            stage.say(21)
            await until(lambda: seen == [42])
            assert observers(store) == before + 1
            del twice
            gc.collect()
            assert observers(store) == before

    run(work)


def test_a_parameter_that_is_not_there_is_named() -> None:
    with pytest.raises(
        ConfigurationError, match=r"Panel has no parameter 'nunber'; it has .*number"
    ):
        to_param(None, Panel(), "nunber")  # type: ignore[arg-type]


def test_a_scope_of_ones_own(stage: Stage) -> None:
    panel, posted = Panel(), list[Callable[[], None]]()
    with stage.store() as store:
        store.wait_connected(timeout=5).result()
        to_param(
            store.last_message,
            panel,
            "number",
            select=number,
            within=UiScope(posted.append, every=0),
        )
        stage.say(1)
        wait_until(lambda: bool(posted), pause, 5)
        assert panel.number == -1
        posted.pop()()
        assert panel.number == 1


class Document:
    """What of a Bokeh document the adapter uses: the next tick, and the end of the session.

    A model that is added to it reaches no browser, and is not answered.
    """

    def __init__(self) -> None:
        self.add_root: Callable[[object], None] = lambda model: None
        self.session_context = object()
        self.ticks: list[Callable[[], None]] = []
        self.ends: list[Callable[[object], None]] = []
        self.add_next_tick_callback = self.ticks.append
        self.on_session_destroyed = self.ends.append


@pytest.fixture
def document(monkeypatch: pytest.MonkeyPatch) -> Document:
    """Let a session of a Panel server be there; the real one is in `test_examples_param.py`."""
    panel, document = ModuleType("panel"), Document()
    panel.state = SimpleNamespace(curdoc=document)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "panel", panel)
    monkeypatch.setitem(sys.modules, "bokeh.models", MagicMock())
    return document


def test_a_session_of_panel_sets_it_and_ends_it(stage: Stage, document: Document) -> None:
    panel = Panel()
    with stage.store() as store:
        before = observers(store)
        store.wait_connected(timeout=5).result()
        to_param(store.last_message, panel, "number", select=number)
        early, live = to_param(store.last_message, panel, "message"), to_rx(store.is_connected)
        stage.say(1)
        wait_until(lambda: len(document.ticks) >= 2, pause, 5)
        assert panel.number == -1

        def shown() -> bool:
            while document.ticks:
                document.ticks.pop(0)()
            return (panel.number, panel.message, live.rx.value) == (1, {"n": 1}, True)

        wait_until(shown, pause, 5)
        early.dispose()
        assert observers(store) == before + 2
        (end,) = document.ends
        assert document in adapter._clocks
        end(document.session_context)
        assert observers(store) == before
        # What these hold would hold the document, the key of both.
        assert document not in adapter._clocks
        assert not adapter._sessions[document]


def test_without_a_session_panel_changes_no_thread(
    document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["panel"].state, "curdoc", None)
    assert scope().post is None
