"""The adapter for Textual: apps that run without a terminal, on a real event loop."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from reactivex.subject import BehaviorSubject

from heimdall_reactive import ConfigurationError, ConnectionState, Status, WebSocketStore
from heimdall_reactive.bindings import badge, badge_of, bind
from tests.support import record, run

from .support import BURST, Stage, observers, wait_until

pytest.importorskip("textual", reason="pip install 'heimdall-reactive[textual]'")

from textual.app import App, ComposeResult
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Label, Static

from heimdall_reactive.bindings.textual import Bound, scope

Loop = Literal["auto", "thread"]
LOOPS = pytest.mark.parametrize("loop", ["auto", "thread"])


class Panel(Bound, Static):
    """Shows the number of the last message, and whether the store is connected."""

    number = reactive(-1)
    online = reactive(False)

    def __init__(self, store: WebSocketStore[Any]) -> None:
        super().__init__()
        self.store = store
        self.first: tuple[int, bool] | None = None  # what was there before the first paint
        self.painted: list[int] = []

    def on_mount(self) -> None:
        self.bind_subject(self.store.last_message, "number", select=number)
        self.bind_subject(self.store.is_connected, "online")
        self.first = self.number, self.online

    def render(self) -> str:
        self.painted.append(self.number)
        return f"{self.number} {'online' if self.online else 'offline'}"


class Page(Bound, App[None]):
    """An app of the given widgets; `mounted` is called in its `on_mount`."""

    def __init__(self, *widgets: Static, mounted: Callable[[Any], object] | None = None) -> None:
        super().__init__()
        self.widgets = widgets
        self.mounted = mounted

    def compose(self) -> ComposeResult:
        yield from self.widgets

    def on_mount(self) -> None:
        if self.mounted is not None:
            self.mounted(self)


def number(message: Any) -> int:
    return message["n"] if message else -1


async def until(condition: Callable[[], bool], timeout: float = 10.0) -> None:
    """Let the event loop turn until a condition holds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - what is looked at is Textual's
            await asyncio.sleep(0.002)


@asynccontextmanager
async def connected(stage: Stage, loop: Loop = "thread") -> AsyncIterator[WebSocketStore[Any]]:
    async with stage.store(loop) as store:
        await store.wait_connected(5)
        yield store


@LOOPS
async def test_a_widget_lives_with_its_store_and_leaves_it(stage: Stage, loop: Loop) -> None:
    async with connected(stage, loop) as store:
        panel, before = Panel(store), observers(store)
        async with Page(panel).run_test():
            assert panel.first == (-1, True)
            assert observers(store) == before + 2
            stage.say(7)
            await until(lambda: panel.number == 7)
            stage.go_offline(store)
            await until(lambda: not panel.online)
            assert panel.render() == "7 offline"
            await until(lambda: panel.online)
            stage.say(8)
            await until(lambda: panel.painted[-1] == 8)
            await panel.remove()
            assert observers(store) == before
            stage.say(9)
            await until(lambda: store.last_message.value == {"n": 9})
            assert panel.number == 8


@LOOPS
async def test_the_end_of_the_app_is_the_end_of_all_its_bindings(stage: Stage, loop: Loop) -> None:
    async with connected(stage, loop) as store:
        seen = record(store.messages)
        before = observers(store)
        app = Page(Panel(store), mounted=lambda app: app.bind_subject(store.state, bool))
        async with app.run_test():
            await until(lambda: observers(store) == before + 3)
        assert observers(store) == before
        stage.say(1)
        await until(lambda: seen == [{"n": 1}])


class Around(Bound, Static):
    """Has a child that binds to it, once for good."""

    def __init__(self, store: WebSocketStore[Any]) -> None:
        super().__init__()
        self.store = store

    def compose(self) -> ComposeResult:
        yield Within()


class Within(Static):
    def on_mount(self) -> None:
        around = self.parent
        assert isinstance(around, Around)
        bind(around.store.state, lambda _: None, scope(around)).dispose()
        bind(around.store.state, lambda _: None, scope(around))


@asynccontextmanager
async def running(app: App[None]) -> AsyncIterator[None]:
    """Run an app as a terminal does; unlike `run_test()`, that makes tasks eager on 3.12+."""
    task = asyncio.create_task(app.run_async(headless=True))
    try:
        yield
    finally:
        app.exit()
        await task
        if sys.version_info >= (3, 12):
            factory = asyncio.get_running_loop().get_task_factory()
            assert factory is asyncio.eager_task_factory


@LOOPS
async def test_a_store_that_is_made_in_on_mount_connects(stage: Stage, loop: Loop) -> None:
    stores: list[WebSocketStore[Any]] = []

    def mounted(app: Page) -> None:
        store = stage.store(loop)
        stores.append(store)
        app.bind_subject(store.state, lambda _: None)
        app.mount(Panel(store))

    app = Page(mounted=mounted)
    async with running(app):
        await until(lambda: bool(stores) and bool(app.query(Panel)))
        panel = app.query_one(Panel)
        await until(lambda: panel.online)
        stage.say(7)
        await until(lambda: panel.painted[-1:] == [7])
    [store] = stores
    assert observers(store) == 0
    await store.aclose()


@LOOPS
async def test_the_end_of_a_widget_of_a_running_app_is_noticed(stage: Stage, loop: Loop) -> None:
    async with connected(stage, loop) as store:
        before, panel, around = observers(store), Panel(store), Around(store)
        async with running(Page(panel, around)):
            await until(lambda: panel.online and observers(store) == before + 3)
            await panel.remove()
            assert observers(store) == before + 1
            await around.query_one(Within).remove()
            assert observers(store) == before + 1  # the parent owns it
            await around.remove()
            assert observers(store) == before


@LOOPS
async def test_the_end_of_a_running_app_ends_its_bindings(stage: Stage, loop: Loop) -> None:
    async with connected(stage, loop) as store:
        before, panel = observers(store), Panel(store)
        async with running(Page(panel, mounted=lambda app: app.bind_subject(store.state, bool))):
            await until(lambda: panel.online and observers(store) == before + 3)
        assert observers(store) == before


def test_a_widget_that_fails_in_on_mount_leaves_its_store(stage: Stage) -> None:
    class Failing(Panel):
        def on_mount(self) -> None:
            super().on_mount()
            raise ZeroDivisionError

    async def main() -> None:
        async with connected(stage) as store:
            before = observers(store)
            await Page(Failing(store)).run_async(headless=True)
            await until(lambda: observers(store) == before)

    run(main)


def test_an_app_that_is_cancelled_leaves_its_store(stage: Stage) -> None:
    async def main(store: WebSocketStore[Any], panel: Panel) -> None:
        task = asyncio.create_task(Page(panel).run_async(headless=True))
        await until(lambda: panel.online)
        assert observers(store) == 2
        task.cancel()

    with stage.store() as store:
        store.wait_connected(5).result()
        asyncio.run(main(store, Panel(store)))
        assert observers(store) == 0
        seen = record(store.messages)
        stage.say(1)
        wait_until(lambda: seen == [{"n": 1}], lambda: time.sleep(0.002), 5)


@LOOPS
def test_a_burst_blocks_no_app_and_the_newest_is_shown(stage: Stage, loop: Loop) -> None:
    gaps: list[float] = []
    shown: list[int] = []
    where: set[int] = set()

    def show(value: int) -> None:
        where.add(threading.get_ident())
        shown.append(value)

    async def main() -> None:
        clock = time.thread_time  # a busy machine must not count, a busy loop must
        last = clock()

        def beat() -> None:
            nonlocal last
            now = clock()
            gaps.append(now - last)
            last = now

        def mounted(app: Page) -> None:
            nonlocal last
            app.bind_subject(store.last_message, show, select=number)
            last = clock()
            app.set_interval(0.005, beat)

        async with connected(stage, loop) as store:
            panel = Panel(store)
            async with Page(panel, mounted=mounted).run_test():
                await until(lambda: len(gaps) > 2)
                gaps.clear()
                await asyncio.to_thread(stage.burst)
                await until(lambda: shown[-1] == BURST - 1, 20)
                await until(lambda: panel.painted[-1] == BURST - 1)
        assert where == {threading.get_ident()}
        assert len(panel.painted) < BURST / 10

    run(main, 40)
    assert len(gaps) > 2
    assert max(gaps) < 1.0
    assert len(shown) < BURST / 4


def test_an_error_in_one_widget_leaves_the_others(stage: Stage) -> None:
    class Faulty(Panel):
        def watch_number(self, number: int) -> None:
            if number == 1:
                raise ValueError("no ones")

    async def main() -> None:
        async with connected(stage) as store:
            errors = record(store.errors)
            faulty, panel = Faulty(store), Panel(store)
            async with Page(faulty, panel).run_test():
                stage.say(1)
                await until(lambda: panel.number == 1 and len(errors) == 1)
                stage.say(2)
                await until(lambda: panel.number == faulty.number == 2)
        assert isinstance(errors[0].error, ValueError)

    run(main)


@LOOPS
async def test_equal_messages_are_shown_again_and_a_buffer_gives_all_in_order(
    stage: Stage, loop: Loop
) -> None:
    newest: list[Any] = []
    everything: list[Any] = []

    def mounted(app: Page) -> None:
        app.bind_subject(store.last_message, newest.append)
        app.bind_subject(store.messages, everything.append, buffer=500)

    async with connected(stage, loop) as store, Page(mounted=mounted).run_test():
        for times in (1, 2):
            stage.say(5)
            await until(lambda n=times: newest.count({"n": 5}) == n)  # type: ignore[misc]
        await asyncio.to_thread(stage.burst, 400)
        await until(lambda: len(everything) == 402)
    assert everything[2:] == [{"n": n} for n in range(400)]


def test_a_store_outlives_the_app_it_was_made_under(stage: Stage) -> None:
    """The store's tasks keep the context of the first app, whose loop is closed by then."""
    made: list[WebSocketStore[Any]] = []

    async def first() -> None:
        async with Page(mounted=lambda _: made.append(stage.store())).run_test():
            await until(lambda: made[0].connected)

    async def second() -> None:
        panel = Panel(made[0])
        async with Page(panel).run_test():
            stage.say(3)
            await until(lambda: panel.number == 3)

    asyncio.run(first())
    with made[0]:
        asyncio.run(second())


def test_a_widget_that_fails_to_mount_leaves_nothing_behind(stage: Stage) -> None:
    class Broken(Panel):
        def on_mount(self) -> None:
            super().on_mount()
            raise LookupError("broken")

    async def main() -> None:
        async with connected(stage) as store:
            before = observers(store)
            with pytest.raises(LookupError, match="broken"):
                async with Page(Broken(store)).run_test():
                    pass
            assert observers(store) <= before  # whoever waited for the connection may go yet

    run(main)


def test_any_widget_has_a_scope_and_an_installed_screen_goes_on_in_the_background() -> None:
    class Board(Screen[None]):
        def compose(self) -> ComposeResult:
            yield Static(id="value")

        def on_mount(self) -> None:
            value = self.query_one("#value", Static)
            bind(source, lambda n: value.update(str(n)), scope(value))
            bind(source, background.append, scope(self))

    source, background = BehaviorSubject(0), list[int]()

    async def main() -> None:
        app = Page()
        async with app.run_test():
            app.install_screen(board := Board(), "board")
            await app.push_screen("board")
            await app.pop_screen()
            source.on_next(1)
            await until(lambda: background == [0, 1])
            await app.push_screen("board")
            assert str(board.query_one("#value", Static).visual) == "1"
        assert not source.observers

    run(main)


def test_what_can_not_be_bound_says_why() -> None:
    class Plain(App[None]):
        def compose(self) -> ComposeResult:
            yield Static(id="value")

    async def main() -> None:
        source = BehaviorSubject(0)
        with pytest.raises(ConfigurationError, match="bind in on_mount"):
            scope(Static())
        async with Plain().run_test() as pilot:
            with pytest.raises(ConfigurationError, match="mixin"):
                scope(pilot.app)
            with pytest.raises(ConfigurationError, match="thread of the app"):
                await asyncio.to_thread(scope, pilot.app.query_one("#value"))
        async with Page().run_test() as second:
            with pytest.raises(AttributeError, match="nubmer"):
                second.app.bind_subject(source, "nubmer")  # type: ignore[attr-defined]
        assert not source.observers

    run(main)


def test_a_label_shows_a_badge_itself(stage: Stage) -> None:
    async def main() -> None:
        async with connected(stage) as store:
            label = Label()
            page = Page(label, mounted=lambda app: app.bind_subject(badge(store), label.update))
            async with page.run_test():
                await until(lambda: shown(page) == "connected")

    run(main)


def test_a_badge_is_shown_without_the_markup_of_a_server() -> None:
    state = ConnectionState(status=Status.FAILED, error=OSError("[b]no[/b] [/x]"))

    async def main() -> None:
        label = Label()
        page = Page(label, mounted=lambda app: label.update(badge_of(state, 0.0)))
        async with page.run_test():
            await until(lambda: shown(page) == "failed: [b]no[/b] [/x]")

    run(main)


@pytest.mark.parametrize("value", [{"n": 1}, 5, "[/b]"])
def test_what_a_label_cannot_show_is_reported_and_the_app_goes_on(
    value: object, caplog: pytest.LogCaptureFixture
) -> None:
    source: BehaviorSubject[Any] = BehaviorSubject(value)

    async def main() -> None:
        label = Label()
        page = Page(label, mounted=lambda app: app.bind_subject(source, label.update))
        async with page.run_test() as pilot:
            await pilot.pause()
            source.on_next("good")
            await until(lambda: shown(page) == "good")
            source.on_next(value)
            await until(lambda: len(caplog.messages) == 2)
            assert shown(page) == "good"
            source.on_next(None)  # as `last_message` is at first
            await until(lambda: shown(page) == "")

    run(main)
    first, second = caplog.messages
    assert first == second
    if isinstance(value, str):
        assert "MarkupError" in first
    else:
        name = type(value).__name__
        assert first == (
            f"a binding raised ConfigurationError: a Label shows no {name}; give a select= that "
            "makes a text of it, such as select=str"
        )


def shown(app: App[None]) -> str:
    """Return what the first line of a screen has."""
    return app.screen._compositor.render_strips()[0].text.strip()


def test_a_binding_can_end_before_its_widget() -> None:
    source = BehaviorSubject(0)
    seen: list[int] = []

    async def main() -> None:
        app = Page(Static(id="value"))
        async with app.run_test():
            value = app.query_one("#value")
            binding = bind(source, seen.append, scope(value))
            source.on_next(1)  # posted, and never shown
            binding.dispose()
            app.bind_subject(source, seen.append).dispose()
            await value.remove()
        assert seen == [0, 1]
        assert not source.observers

    run(main)


def test_a_value_that_was_posted_before_the_removal_is_not_shown_after_it() -> None:
    source = BehaviorSubject(0)
    seen: list[int] = []

    async def main() -> None:
        app = Page(Static(id="value"))
        async with app.run_test():
            value = app.query_one("#value")
            bind(source, seen.append, scope(value))
            removed = value.remove()
            source.on_next(1)
            await removed
        assert seen == [0]
        assert not source.observers

    run(main)
