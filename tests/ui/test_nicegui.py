"""The adapter for NiceGUI: with its user simulation, and with a real browser."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import bind
from heimdall_reactive.devserver import DevServer, serve_in_thread
from tests.support import run

from .support import BURST, Stage, observers

pytest.importorskip("nicegui", reason="pip install 'heimdall-reactive[nicegui]'")

from nicegui import Client, ui
from nicegui.testing import User, user_simulation
from nicegui.testing.general import nicegui_reset_globals

from examples.first import nicegui_app
from heimdall_reactive.bindings.nicegui import (
    bind_enabled,
    bind_text,
    bind_value,
    bind_visibility,
    scope,
)

Loop = Literal["auto", "thread"]
LOOPS = pytest.mark.parametrize("loop", ["auto", "thread"])


async def until(condition: Callable[[], bool], timeout: float = 5.0) -> None:
    """Let the event loop turn until a condition holds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - conditions of elements, which tell nobody
            await asyncio.sleep(0.005)


@asynccontextmanager
async def shown(stage: Stage, loop: Loop, page: Callable[[WebSocketStore[Any]], object]
                ) -> AsyncIterator[tuple[User, WebSocketStore[Any]]]:  # fmt: skip
    """Open a page of a connected store as a simulated user."""
    store = stage.store(loop)
    try:
        await store.wait_connected(5)
        async with user_simulation(lambda: page(store)) as user:
            await user.open("/")
            yield user, store
            if user.client is not None and user.client.id in Client.instances:
                user.client.delete()
            assert observers(store) == 0
    finally:
        await store.aclose()


@LOOPS
async def test_a_page_lives_with_its_store_and_leaves_it(stage: Stage, loop: Loop) -> None:
    labels: list[ui.label] = []

    def page(store: WebSocketStore[Any]) -> None:
        labels.append(label := ui.label())
        bind_text(label, store.last_message, lambda message: f"message {message}")
        labels.append(status := ui.label())
        bind_text(status, store.state, lambda state: state.status)
        bind_enabled(ui.input("say"), store.is_connected)

    async with shown(stage, loop, page) as (user, store):
        assert labels[0].text == "message None"  # with the first paint
        assert observers(store) == 3
        box = next(iter(user.find(ui.input).elements))
        stage.say(7)
        await until(lambda: labels[0].text == "message {'n': 7}")
        stage.go_offline(store)
        await until(lambda: labels[1].text == "waiting")
        assert not box.enabled
        await until(lambda: labels[1].text == "connected")
        await until(lambda: box.enabled)
        stage.say(8)
        await until(lambda: labels[0].text == "message {'n': 8}")
        assert user.client is not None
        user.client.delete()
        assert observers(store) == 0
        stage.say(9)
        await until(lambda: store.last_message.value == {"n": 9})
        assert labels[0].text == "message {'n': 8}"


@LOOPS
def test_a_burst_blocks_no_page_and_the_newest_is_shown(stage: Stage, loop: Loop) -> None:
    renders = 0
    gaps: list[float] = []

    def fmt(message: Any) -> str:
        nonlocal renders
        renders += 1
        return str(message)

    async def beat() -> None:
        last = time.thread_time()  # a busy machine must not count, a busy loop must
        while True:
            await asyncio.sleep(0.005)
            gaps.append(time.thread_time() - last)
            last = time.thread_time()

    async def main() -> None:
        labels: list[ui.label] = []

        def page(store: WebSocketStore[Any]) -> None:
            labels.append(label := ui.label())
            bind_text(label, store.last_message, fmt)

        async with shown(stage, loop, page):
            heart = asyncio.create_task(beat())
            await asyncio.to_thread(stage.burst)
            await until(lambda: labels[0].text == f"{{'n': {BURST - 1}}}", 20)
            heart.cancel()

    run(main, 40)
    assert len(gaps) > 5
    assert max(gaps) < 1.0
    assert renders < BURST / 2  # a busy machine brings the burst in smaller pieces


def test_setters_run_on_the_loop_of_nicegui_only(stage: Stage) -> None:
    on: set[int] = set()

    async def main() -> None:
        def page(store: WebSocketStore[Any]) -> None:
            bind_text(ui.label(), store.last_message, lambda _: on.add(threading.get_ident()))

        async with shown(stage, "thread", page) as (_, store):
            for n in range(50):
                stage.say(n)
            await until(lambda: store.last_message.value == {"n": 49})
            await asyncio.sleep(0)

    run(main)
    assert on == {threading.get_ident()}


async def test_an_error_in_one_element_leaves_the_others(stage: Stage) -> None:
    labels: list[ui.label] = []
    errors: list[object] = []

    def page(store: WebSocketStore[Any]) -> None:
        store.errors.subscribe(errors.append)
        bind_text(ui.label(), store.last_message, lambda message: message["n"])
        labels.append(label := ui.label())
        bind_text(label, store.last_message)

    store = stage.store("thread")
    await store.wait_connected(5)
    async with user_simulation(lambda: page(store)) as user:
        await user.open("/")
        await until(lambda: len(errors) == 1)  # None has no "n"
        stage.say(3)
        await user.should_see("3")
        await until(lambda: labels[0].text == "{'n': 3}")
        assert store.connected
        assert len(errors) == 1
    await store.aclose()


async def test_a_refreshed_part_of_a_page_leaves_no_observer(stage: Stage) -> None:
    seen: list[Any] = []

    def page(store: WebSocketStore[Any]) -> None:
        @ui.refreshable
        def part() -> None:
            bind_text(ui.label(), store.last_message)
            bind(store.last_message, seen.append, scope())  # owned by where it stands

        part()
        ui.button("again", on_click=part.refresh)

    async with shown(stage, "thread", page) as (user, store):
        for _ in range(5):
            user.find("again").click()
        await until(lambda: len(seen) == 6)
        assert observers(store) == 2
        stage.say(1)
        await until(lambda: seen[-1] == {"n": 1})
        assert len(seen) == 7


async def test_an_element_takes_its_bindings_along(stage: Stage) -> None:
    parts: list[Any] = []

    def page(store: WebSocketStore[Any]) -> None:
        with ui.card() as card:
            bind_text(ui.label(), store.last_message)
            bind_visibility(ui.label("on"), store.is_connected)
        with ui.row() as row:
            bind_value(ui.switch(), store.is_connected)
        lone = ui.label()
        parts.extend((card, row, lone, bind_text(lone, store.last_message)))

    async with shown(stage, "thread", page) as (_, store):
        card, row, lone, binding = parts
        assert observers(store) == 4
        card.delete()
        assert observers(store) == 2
        row.clear()
        assert observers(store) == 1
        binding.dispose()
        assert observers(store) == 0
        lone.delete()


async def test_two_tabs_share_a_store_and_each_leaves_alone(stage: Stage) -> None:
    labels: list[ui.label] = []

    def page(store: WebSocketStore[Any]) -> None:
        labels.append(label := ui.label())
        bind_text(label, store.last_message)

    async with shown(stage, "thread", page) as (user, store):
        first = user.client
        await user.open("/")
        assert observers(store) == 2
        stage.say(1)
        await until(lambda: {label.text for label in labels} == {"{'n': 1}"})
        assert first is not None
        first.delete()
        assert observers(store) == 1
        stage.say(2)
        await until(lambda: labels[1].text == "{'n': 2}")
        assert labels[0].text == "{'n': 1}"


async def test_every_message_in_order_and_equal_ones_too(stage: Stage) -> None:
    newest: list[Any] = []
    every: list[Any] = []

    def page(store: WebSocketStore[Any]) -> None:
        bind(store.last_message, newest.append, scope())
        bind(store.messages, every.append, scope(), buffer=1000)

    async with shown(stage, "thread", page):
        for n in range(500):
            stage.say(n)
        await until(lambda: len(every) == 500)
        assert every == [{"n": n} for n in range(500)]
        await until(lambda: newest[-1] == {"n": 499})
        count = len(newest)
        stage.say(499)
        await until(lambda: len(newest) == count + 1)
        assert newest[-2:] == [{"n": 499}, {"n": 499}]


def test_a_setter_may_create_elements_and_notify(stage: Stage) -> None:
    def tell(message: Any) -> None:
        ui.label(f"news {message['n']}")
        ui.notify(f"told {message['n']}")

    async def main() -> None:
        def page(store: WebSocketStore[Any]) -> None:
            with ui.column().mark("feed"):
                bind(store.messages, tell, scope())

        async with shown(stage, "thread", page) as (user, _):
            stage.say(1)
            await user.should_see("news 1")
            await user.should_see("told 1")
            (feed,) = user.find(marker="feed").elements
            assert [label.text for label in feed.descendants() if isinstance(label, ui.label)] == [
                "news 1"
            ]

    run(main)


def test_a_loop_that_is_gone_ends_the_bindings(stage: Stage) -> None:
    kept: list[Any] = []
    store = stage.store("thread")

    async def main() -> None:
        def page() -> None:
            label = ui.label()
            kept.extend((label, bind_text(label, store.last_message)))

        async with user_simulation(page) as user:
            await user.open("/")
            stage.say(1)
            await until(lambda: kept[0].text == "{'n': 1}")

    store.wait_connected(5).result()
    errors: list[object] = []
    store.errors.subscribe(errors.append)
    asyncio.run(main())
    seen = threading.Event()
    store.messages.subscribe(lambda message: seen.set() if message == {"n": 3} else None)
    stage.say(2)
    stage.say(3)
    assert seen.wait(5)
    assert store.connected
    assert not errors
    assert kept[1].is_disposed
    assert kept[0].text == "{'n': 1}"
    store.close()


async def test_without_a_page_there_is_no_scope() -> None:
    async with user_simulation(lambda: ui.label("a page")):
        with pytest.raises(RuntimeError, match="slot"):
            scope()


# The example


async def test_the_example_shows_a_drop_and_its_end() -> None:
    with serve_in_thread(require_token=False, echo=True) as server:
        store = use_websocket(f"{server.url}/v1/ws", loop="thread", reconnect_delay=0.3)
        async with store, user_simulation(lambda: nicegui_app.page(store)) as user:
            await user.open("/")
            await drive(user, server)
            assert user.client is not None
            user.client.delete()
            assert observers(store) == 0


async def drive(user: User, server: DevServer) -> None:
    """Do with the example what a person would."""
    await user.should_see("connected", retries=20)
    box = next(iter(user.find(ui.input).elements))
    user.find(ui.input).type("hello").trigger("keydown.enter")
    await user.should_see('{"text": "hello"}', retries=20)
    assert box.value == ""
    await user.should_see("delivered", retries=20)
    server.refuse(503, times=2)
    server.drop()
    await user.should_see("reconnecting in 1 s", retries=20)
    assert not box.enabled
    await user.should_see("connected", retries=30)
    await until(lambda: box.enabled)
    assert [dial.status for dial in server.dials] == [101, 503, 503, 101]


def knock(port: int, patience: float = 10.0) -> None:
    """Wait until a port is open: NiceGUI says that it is ready a little too soon."""
    until = time.monotonic() + patience
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.02)
        else:
            return


@pytest.mark.leaky
def test_the_example_runs_and_ends_by_ctrl_c() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    root = Path(__file__).parent.parent.parent
    text = (root / "examples/first/nicegui_app.py").read_text(encoding="utf-8")
    code = text.replace("port=8080", f"port={port}, show=False")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code], cwd=root, env=env, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as program:  # fmt: skip
        assert program.stdout is not None
        try:
            while "ready to go" not in (line := program.stdout.readline()):
                assert line, "it ended too soon"
            knock(port)
            program.send_signal(signal.SIGINT)
            rest, _ = program.communicate(timeout=20)
        finally:
            program.kill()
    assert "Traceback" not in rest
    assert program.returncode == 0


def test_the_example_in_a_browser() -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if shutil.which("chromium") is None:
        pytest.skip("this test looks at a page with chromium: apt-get install chromium")
    from examples.screenshots.browser import browser_page, web
    from examples.screenshots.nicegui import say

    expect = sync_api.expect
    with (
        nicegui_reset_globals(),
        serve_in_thread(require_token=False, echo=True) as server,
        use_websocket(f"{server.url}/v1/ws", loop="thread", reconnect_delay=0.5) as store,
        web(lambda: nicegui_app.page(store)) as url,
    ):
        gone = threading.Event()
        with browser_page(url) as tab:
            expect(tab.get_by_text("connected", exact=True)).to_be_visible()
            say(tab, "hello")
            server.refuse(503, times=2)
            server.drop()
            expect(tab.get_by_text("reconnecting in 1 s")).to_be_visible()
            expect(tab.get_by_label("say something")).to_be_disabled()
            expect(tab.get_by_text("connected", exact=True)).to_be_visible(timeout=10_000)
            expect(tab.get_by_label("say something")).to_be_enabled()
            tab.reload()
            say(tab, "again")  # opened: a page that is only fetched is kept for 60 s
        for _ in range(500):
            if observers(store) == 0:
                break
            gone.wait(0.01)
        assert observers(store) == 0
