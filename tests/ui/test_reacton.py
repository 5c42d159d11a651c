# ruff: noqa: N802 - components have names as types have, as in React
from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import pytest
from reactivex.subject import BehaviorSubject, Subject

from heimdall_reactive import ConfigurationError, Status, WebSocketStore
from tests.support import SENT

from .support import BURST, Stage, observers, wait_until

pytest.importorskip("reacton", reason="pip install 'heimdall-reactive[reacton]'")

import ipywidgets
import reacton
import reacton.ipywidgets as w

from heimdall_reactive.bindings.reacton import (
    WebSocketValues,
    use_badge,
    use_history,
    use_subject,
    use_websocket,
)

kernel_context: Any = None
with suppress(ImportError):
    kernel_context = importlib.import_module("solara.server.kernel_context")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ipywidgets")


def component(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a component, for mypy too, to which those of reacton are untyped."""
    return reacton.component(function)


class Page:
    """A rendered component, and what of it a test looks at."""

    def __init__(self, element: Any) -> None:
        self.context: Any = reacton.render(element, handle_error=False)[1]

    @property
    def text(self) -> str:
        return " ".join(label.value for label in self.labels())

    def labels(self) -> list[Any]:
        return [label.widget for label in self.context.find(ipywidgets.Label)]

    def until(self, text: str, timeout: float = 5) -> None:
        try:
            wait_until(lambda: self.text == text, lambda: time.sleep(0.005), timeout)
        except TimeoutError:
            raise AssertionError(f"{self.text!r} is shown, not {text!r}") from None

    def turn(self) -> None:
        time.sleep(0.005)

    def update(self, element: Any) -> None:
        self.context.update(element)

    def close(self) -> None:
        self.context.close()


@contextmanager
def page(element: Any) -> Iterator[Page]:
    shown = Page(element)
    try:
        yield shown
    finally:
        shown.close()


def pause_until(condition: Callable[[], bool], timeout: float = 5) -> None:
    wait_until(condition, lambda: time.sleep(0.005), timeout)


class Renders:
    """Counts the renders of a component, and notes on which threads they were."""

    def __init__(self) -> None:
        self.count = 0
        self.threads: set[str] = set()

    def __call__(self) -> None:
        self.count += 1
        self.threads.add(threading.current_thread().name)


def n_of(message: Any) -> Any:
    return message and message["n"]


# From mount to unmount


@component
def Live(store: WebSocketStore[Any]) -> Any:
    up = use_subject(store.is_connected)
    n = use_subject(store.last_message, n_of)
    return w.Label(value=f"{'up' if up else 'down'} {n}")


def test_a_component_follows_a_store_on_its_own_thread(stage: Stage) -> None:
    with stage.store() as store:
        store.wait_connected(5).result()
        before = observers(store)
        with page(Live(store)) as shown:
            assert shown.text == "up None"
            assert observers(store) > before
            stage.say(1)
            shown.until("up 1")
            stage.go_offline(store)
            shown.until("down 1")
            shown.until("up 1")
        assert observers(store) == before


def test_a_component_follows_a_store_on_the_loop_it_runs_on(stage: Stage) -> None:
    async def main() -> None:
        renders = Renders()

        @component
        def Here() -> Any:
            renders()
            return Live(store)

        async def until(text: str) -> None:
            async with asyncio.timeout(5):
                while shown.text != text:  # noqa: ASYNC110 - a widget, which tells nobody
                    await asyncio.sleep(0.005)

        async with stage.store("auto") as store:
            await store.wait_connected(5)
            before = observers(store)
            with page(Here()) as shown:
                stage.say(1)
                await until("up 1")
                stage.go_offline(store)
                await until("down 1")
                await until("up 1")
            assert observers(store) == before
            assert renders.threads == {"MainThread"}

    asyncio.run(main())


def test_a_closed_store_stays_as_it_was(stage: Stage) -> None:
    store = stage.store()
    store.wait_connected(5).result()
    with page(Live(store)) as shown:
        store.close()
        shown.until("down None")


def test_a_dead_loop_ends_what_is_observed(stage: Stage) -> None:
    async def mount() -> Page:
        await store.wait_connected(5)
        return Page(Live(store))

    with stage.store() as store:
        shown = asyncio.run(mount())
        assert observers(store) > 0
        stage.say(1)
        stage.go_offline(store, 1)
        pause_until(lambda: observers(store) == 0)
        store.wait_connected(5).result()  # it goes on without them
        shown.close()


# How often it renders


def test_only_what_changed_is_rendered() -> None:
    subject = BehaviorSubject({"n": 0, "other": 0})
    live, sibling, parent = Renders(), Renders(), Renders()

    @component
    def Sibling() -> Any:
        sibling()
        return w.Label(value="still")

    @component
    def One() -> Any:
        live()
        return w.Label(value=str(use_subject(subject, lambda value: value["n"])))

    @component
    def Both() -> Any:
        parent()
        with w.VBox() as box:
            Sibling()
            One()
        return box

    with page(Both()) as shown:
        for n in range(1, 14):
            subject.on_next({"n": n, "other": 0})
            shown.until(f"still {n}")
        subject.on_next({"n": 13, "other": 1})  # an equal selection
        subject.on_next({"n": 14, "other": 1})
        shown.until("still 14")
        assert (parent.count, sibling.count, live.count) == (1, 1, 15)
        assert "MainThread" in live.threads
        assert live.threads <= {"MainThread", "heimdall-ui"}


def test_equal_messages_render_again(stage: Stage) -> None:
    renders = Renders()

    @component
    def Last() -> Any:
        renders()
        return w.Label(value=str(use_subject(store.last_message)))

    with stage.store() as store:
        store.wait_connected(5).result()
        with page(Last()) as shown:
            for count in range(2, 5):
                stage.say(7)
                shown.until("{'n': 7}")
                pause_until(lambda: renders.count == count)  # noqa: B023 - called at once


def test_two_hooks_of_one_component_render_once() -> None:
    one, two, renders = BehaviorSubject(0), BehaviorSubject(0), Renders()
    busy = threading.Event()

    @component
    def Sum() -> Any:
        renders()
        shown = use_subject(one), use_subject(two)
        if shown == (1, 0):
            busy.wait(5)
        return w.Label(value=str(shown))

    with page(Sum()) as shown:
        one.on_next(1)
        pause_until(lambda: renders.count == 2)
        one.on_next(2)
        two.on_next(2)
        busy.set()
        shown.until("(2, 2)")
        one.on_next(3)
        shown.until("(3, 2)")
        assert renders.count == 4


def test_a_burst_does_not_hold_up_the_loop(stage: Stage) -> None:
    renders = Renders()

    @component
    def Counting() -> Any:
        renders()
        return w.Label(value=str(use_subject(store.last_message, n_of)))

    async def main() -> float:
        longest, last = 0.0, time.thread_time()  # a busy machine must not count, a busy loop must
        with page(Counting()) as shown:
            burst = asyncio.get_running_loop().run_in_executor(None, stage.burst)
            while shown.text != str(BURST - 1):
                await asyncio.sleep(0.005)
                now = time.thread_time()
                longest, last = max(longest, now - last), now
            await burst
        return longest

    with stage.store() as store:
        store.wait_connected(5).result()
        longest = asyncio.run(main())
        assert store.stats.received >= BURST
    assert longest < 1.0  # some 0.05 s on an idle machine
    assert renders.threads == {"MainThread"}
    assert 2 <= renders.count < BURST / 20


def test_a_burst_on_the_loop_of_the_components_does_not_hold_it_up(stage: Stage) -> None:
    renders = Renders()

    @component
    def Counting(store: WebSocketStore[Any]) -> Any:
        renders()
        return w.Label(value=str(use_subject(store.last_message, n_of)))

    async def main() -> float:
        longest = 0.0
        async with stage.store("auto") as store:
            await store.wait_connected(5)
            with page(Counting(store)) as shown:
                burst = asyncio.get_running_loop().run_in_executor(None, stage.burst)
                last = time.thread_time()  # of this thread alone: the reader is on it as well
                while shown.text != str(BURST - 1):
                    await asyncio.sleep(0.005)
                    now = time.thread_time()
                    longest, last = max(longest, now - last), now
                await burst
        return longest

    assert asyncio.run(main()) < 0.5  # some 0.06 s
    assert 2 <= renders.count < BURST / 20


def test_a_burst_without_a_loop_shows_the_newest_and_is_rendered_elsewhere(stage: Stage) -> None:
    renders = Renders()

    @component
    def Counting() -> Any:
        renders()
        return w.Label(value=str(use_subject(store.last_message, n_of)))

    with stage.store() as store:
        store.wait_connected(5).result()
        with page(Counting()) as shown:
            stage.burst()
            shown.until(str(BURST - 1), 10)
    assert renders.threads == {"MainThread", "heimdall-ui"}
    assert 2 <= renders.count < BURST / 20


def test_a_history_has_every_value_in_order(stage: Stage) -> None:
    @component
    def Log() -> Any:
        values = use_history(store.messages, 100)
        return w.Label(value=",".join(str(value["n"]) for value in values))

    with stage.store() as store:
        store.wait_connected(5).result()
        with page(Log()) as shown:
            stage.burst(100)
            shown.until(",".join(map(str, range(100))))
            stage.say(100)
            shown.until(",".join(map(str, range(1, 101))))
        assert observers(store) == 0


def test_a_component_is_rendered_once_in_so_many_seconds() -> None:
    subject, numbers = BehaviorSubject(0), Subject[int]()

    @component
    def Slow() -> Any:
        newest = use_subject(subject, every=60.0)
        return w.Label(value=f"{newest} {use_history(numbers, 9, every=60.0)}")

    with page(Slow()) as shown:
        subject.on_next(1)
        numbers.on_next(1)
        shown.until("1 (1,)")  # the first after a pause, at once
        for n in (2, 3):
            subject.on_next(n)
            numbers.on_next(n)
        shown.until("1 (1,)")
        assert shown.text == "1 (1,)"


# What is watched


def test_a_change_between_render_and_mount_is_seen() -> None:
    subject = BehaviorSubject(0)

    @component
    def Eager() -> Any:
        reacton.use_effect(lambda: subject.on_next(1), [])
        return w.Label(value=str(use_subject(subject)))

    with page(Eager()) as shown:
        assert shown.text == "1"


def test_a_source_without_a_value_begins_with_the_initial_one() -> None:
    subject: Subject[int] = Subject()

    @component
    def Doubled() -> Any:
        return w.Label(value=str(use_subject(subject, lambda n: n * 2, initial="nothing")))

    with page(Doubled()) as shown:
        assert shown.text == "nothing"
        subject.on_next(2)
        shown.until("4")
    assert not subject.observers


def test_another_source_and_another_selection_are_shown_at_once() -> None:
    one: BehaviorSubject[tuple[int, int]] = BehaviorSubject((1, 10))
    two: BehaviorSubject[tuple[int, int]] = BehaviorSubject((2, 20))

    @component
    def Part(subject: BehaviorSubject[tuple[int, int]], index: int) -> Any:
        return w.Label(value=str(use_subject(subject, lambda value: value[index])))

    with page(Part(one, 0)) as shown:
        shown.update(Part(one, 1))
        assert shown.text == "10"
        shown.update(Part(two, 1))
        assert shown.text == "20"
        assert not one.observers
        one.on_next((3, 30))
        two.on_next((4, 40))
        shown.until("40")
    assert not two.observers


def test_nothing_is_rendered_after_the_unmount() -> None:
    subject, renders = BehaviorSubject(0), Renders()

    @component
    def Shown() -> Any:
        renders()
        return w.Label(value=str(use_subject(subject)))

    async def main() -> None:
        with page(Shown()):
            subject.on_next(1)  # posted, and not shown yet
        await asyncio.sleep(0.05)

    asyncio.run(main())
    assert renders.count == 1


# Errors


def test_a_failing_selection_is_reported_and_hurts_nobody_else(stage: Stage) -> None:
    def fragile(message: Any) -> Any:
        return 1 // (2 - message["n"]) if message else 0

    @component
    def Fragile() -> Any:
        return w.Label(value=str(use_subject(store.last_message, fragile)))

    @component
    def Both() -> Any:
        with w.VBox() as box:
            Fragile()
            Live(store)
        return box

    with stage.store() as store:
        store.wait_connected(5).result()
        errors: list[object] = []
        store.errors.subscribe(errors.append)
        with page(Both()) as shown:
            stage.say(1)
            shown.until("1 up 1")
            stage.say(2)
            shown.until("1 up 2")
            stage.say(1)
            shown.until("1 up 1")
        assert len(errors) == 1


def test_a_component_that_fails_leaves_other_pages_alone(stage: Stage) -> None:
    @component
    def Broken() -> Any:
        if use_subject(store.last_message) is not None:
            raise ValueError("broken")
        return w.Label(value="whole")

    with stage.store() as store:
        store.wait_connected(5).result()
        with page(Live(store)) as other:
            box, context = cast("tuple[Any, Any]", reacton.render(Broken()))
            stage.say(1)
            other.until("up 1")
            pause_until(lambda: "ValueError: broken" in str(box.children[0]))
            stage.say(2)
            other.until("up 2")
            context.close()
        assert observers(store) == 0


# A store of its own


@component
def Own(url: str, **options: Any) -> Any:
    ws = use_websocket(url, **options)
    return w.Label(value=f"{ws.state.status.value} {n_of(ws.last_message)}")


def url(stage: Stage, path: str = "/v1/ws") -> str:
    return stage.server.url + path


def test_a_store_lives_as_long_as_its_component(stage: Stage) -> None:
    options: dict[str, Any] = {"reconnect_delay": 0.2, "max_reconnect_attempts": None}
    with page(Own(url(stage), **options)) as shown:
        shown.until("connected None")
        stage.say(1)
        shown.until("connected 1")
        stage.server.refuse(503, times=2)
        stage.server.drop()
        shown.until("waiting 1")
        shown.until("connected 1")
        shown.update(Own(url(stage), **options))  # the same again
        assert len(stage.server.dials) == 4
        shown.update(Own(url(stage, "/v1/ws/updates"), **options))
        shown.until("connected None")
        pause_until(lambda: len(stage.server.connections) == 1)
        assert len(stage.server.dials) == 5
    pause_until(lambda: not stage.server.connections)


def test_functions_written_in_place_are_the_same_at_each_render(stage: Stage) -> None:
    stores: list[WebSocketStore[Any]] = []

    @component
    def Inline(n: int, token: str) -> Any:
        ws = use_websocket(url(stage), access_token=lambda: token)
        stores.append(ws.store)
        return w.Label(value=str(n))

    with page(Inline(1, "a")) as shown:
        shown.update(Inline(2, "a"))
        assert stores[-1] is stores[0]
        shown.update(Inline(2, "b"))
        assert stores[-1] is not stores[0]
    pause_until(lambda: all(store.state.value.status is Status.DISCONNECTED for store in stores))


def test_dependencies_decide_over_a_factory(stage: Stage) -> None:
    stores: list[WebSocketStore[Any]] = []

    @component
    def Made(n: int, user: str) -> Any:
        ws = use_websocket(lambda: stage.store(additional_headers={"n": str(n)}), user)
        if ws.store not in stores:
            stores.append(ws.store)
        return w.Label(value=f"{len(stores)} {ws.is_connected}")

    with page(Made(1, "a")) as shown:
        shown.until("1 True")
        shown.update(Made(2, "a"))
        assert shown.text == "1 True"
        shown.update(Made(2, "b"))
        shown.until("2 True")
    pause_until(lambda: not stage.server.connections)


def test_a_store_from_elsewhere_is_only_observed(stage: Stage) -> None:
    @component
    def Shared() -> Any:
        ws = use_websocket(store)
        return w.Label(value=f"{ws.is_connected} {n_of(ws.last_message)}")

    with stage.store() as store:
        store.wait_connected(5).result()
        with page(Shared()) as one, page(Shared()) as two:
            stage.say(3)
            one.until("True 3")
            two.until("True 3")
        assert observers(store) == 0
        assert store.connected


def test_stores_of_components_can_share_a_socket(stage: Stage) -> None:
    with page(Own(url(stage), share=True, share_linger=0.0)) as one:
        with page(Own(url(stage), share=True, share_linger=0.0)) as two:
            one.until("connected None")
            two.until("connected None")
            assert len(stage.server.connections) == 1
        stage.say(1)
        one.until("connected 1")
    pause_until(lambda: not stage.server.connections)


def test_only_values_that_are_read_render(stage: Stage) -> None:
    renders = Renders()
    used: list[WebSocketValues[Any]] = []

    @component
    def Up() -> Any:
        renders()
        used.append(use_websocket(store))
        return w.Label(value=f"up {used[-1].is_connected}")

    @component
    def Both() -> Any:
        with w.VBox() as box:
            Up()
            Live(store)
        return box

    with stage.store() as store:
        store.wait_connected(5).result()
        with page(Both()) as shown:
            for n in range(1, 4):
                stage.say(n)
                shown.until(f"up True up {n}")
            assert renders.count == 1
            assert used[-1].last_message is None  # the value of its render


def test_the_commands_are_the_stores(stage: Stage) -> None:
    used: list[WebSocketValues[Any]] = []

    @component
    def Commands() -> Any:
        ws = use_websocket(url(stage))
        used.append(ws)
        with w.VBox() as box:
            w.Label(value=str(ws.badge))
            w.Button(description="go", on_click=ws.disconnect)
        return box

    with page(Commands()) as shown:
        shown.until("connected")
        assert used[-1].send({"hello": 1}).result(5).state in SENT
        button: Any = shown.context.find(ipywidgets.Button).widget
        button.click()
        shown.until("disconnected")
        used[-1].connect()
        shown.until("connected")


def test_a_badge_counts_the_seconds(stage: Stage) -> None:
    @component
    def Status_() -> Any:
        return w.Label(value=use_badge(store).text)

    with stage.store(reconnect_delay=1.9) as store:
        with page(Status_()) as shown:
            shown.until("connected")
            stage.server.drop()
            seen: set[str] = set()
            while shown.text != "connected" or len(seen) < 2:
                seen.add(shown.text)
                shown.turn()
        assert {"reconnecting in 2 s (attempt 1)", "reconnecting in 1 s (attempt 1)"} <= seen
        assert observers(store) == 0


class Silent:
    """A listener that accepts, and never answers the handshake."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(5)
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/"

    def ends_unanswered(self) -> bool:
        peer, _ = self.listener.accept()
        with peer, self.listener:
            peer.settimeout(5)
            while peer.recv(4096):
                pass
            return True


def test_an_unmount_while_it_connects_leaves_no_socket() -> None:
    silent = Silent()
    shown = Page(Own(silent.url, close_timeout=30))
    shown.until("connecting None")
    before = time.monotonic()
    shown.close()
    assert time.monotonic() - before < 10
    assert silent.ends_unanswered()


def test_an_unmount_does_not_wait_for_the_closing_handshake(stage: Stage) -> None:
    shown = Page(Own(url(stage), close_timeout=3))
    shown.until("connected None")
    stage.server.stall(4.0)
    before = time.monotonic()
    shown.close()
    assert time.monotonic() - before < 2
    pause_until(lambda: not stage.server.connections)


def test_a_render_that_fails_leaves_no_store_behind(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A log record that is kept, as by pytest, keeps the frames of the render and all in them.
    monkeypatch.setattr(logging.getLogger("reacton"), "disabled", True)
    stores: list[Any] = []

    @component
    def Failing() -> Any:
        ws = use_websocket(url(stage))
        stores.append(ws.store.state)
        raise ValueError("no")

    cast("Any", reacton.render(Failing())[1]).close()
    gc.collect()
    pause_until(lambda: all(state.value.status is Status.DISCONNECTED for state in stores))
    assert not stage.server.dials  # and the test fails where the library's thread is left


def test_options_are_refused_where_the_store_has_its_own(stage: Stage) -> None:
    @component
    def Wrong() -> Any:
        use_websocket(stage.store, reconnect_delay=1.0)  # type: ignore[call-overload]
        return w.Label()

    with pytest.raises(ConfigurationError, match="options go with an endpoint"):
        Page(Wrong())


# Solara


@pytest.mark.skipif(kernel_context is None, reason="pip install solara-ui")
def test_renders_stay_inside_the_kernel_context_of_their_user(stage: Stage) -> None:
    """Outside of it, the first render that makes a widget fails."""
    seen: dict[str, set[int]] = {"one": set(), "two": set()}

    @component
    def Mine(name: str) -> Any:
        seen[name].add(id(kernel_context.get_current_context()))
        use_websocket(url(stage))
        return w.Label(value=f"{name} {use_subject(store.last_message, n_of)}")

    with stage.store() as store, asyncio.Runner() as runner:
        runner.get_loop()  # each context keeps the loop of its thread, and would make one
        users = [kernel_context.create_dummy_context() for _ in range(2)]
        store.wait_connected(5).result()
        pages = []
        for user, name in zip(users, seen, strict=True):
            with user:
                pages.append(Page(Mine(name)))
        for n in range(5):
            stage.say(n)
            for shown, name in zip(pages, seen, strict=True):
                shown.until(f"{name} {n}")
        for user, shown in zip(users, pages, strict=True):
            with user:
                shown.close()
    assert list(seen.values()) == [{id(user)} for user in users]


@pytest.mark.leaky
@pytest.mark.skipif(kernel_context is None, reason="pip install solara-ui")
def test_no_thread_is_of_the_user_who_was_the_first_and_a_page_is_painted_as_a_web_page() -> None:
    """Solara's threads inherit the user of who starts them, and keep that one's memory."""
    program = [sys.executable, "-W", "ignore", "-m", "tests.ui.solara_threads"]
    said = subprocess.run(program, capture_output=True, check=True, timeout=50, text=True).stdout
    threads, share = said.strip().splitlines()[-2:]
    assert threads == str(dict.fromkeys(("heimdall-devserver", "heimdall-reactive", "heimdall-ui")))
    assert 0 < float(share) < 1.2
