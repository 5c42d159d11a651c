"""The example in Panel, in a real browser; the store on Panel's own loop, and on its own thread."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Literal

import pytest

pytest.importorskip("panel", reason="pip install panel")
pytest.importorskip("playwright", reason="pip install playwright, and install chromium")
if shutil.which("chromium") is None:
    pytest.skip("Debian's chromium is not installed", allow_module_level=True)

from examples.first.panel_app import page
from examples.screenshots.browser import browser_page
from examples.screenshots.param import say, tab_of
from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import DevServer, serve_in_thread

from .contrast import low_contrasts
from .panel_pages import panel_served
from .support import observers


@pytest.fixture
def echo() -> Iterator[DevServer]:
    with serve_in_thread(require_token=False, echo=True) as server:
        yield server


async def until(condition: Callable[[], bool], timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - sessions end without telling anybody
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("loop", ["auto", "thread"])
def test_it_lives_through_all_of_it(echo: DevServer, loop: Literal["auto", "thread"]) -> None:
    async def work() -> None:
        async with use_websocket(f"{echo.url}/v1/ws", loop=loop, reconnect_delay=1.5) as store:
            before = observers(store)
            async with tab_of(store) as tab:
                await tab.get_by_text("connected").wait_for()
                await say(tab, "hello <b>")
                await tab.get_by_text("delivered").wait_for()
                assert observers(store) > before
                echo.refuse(503, times=2)
                echo.drop()
                await tab.get_by_text("reconnecting in 1 s").wait_for()
                assert await tab.get_by_placeholder("say something").is_disabled()
                await tab.get_by_text("connected").wait_for()
                await say(tab, "again")
                await tab.close()
                await until(lambda: observers(store) == before)

    asyncio.run(work())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_light_or_dark_as_the_system_is(
    echo: DevServer, scheme: Literal["light", "dark"]
) -> None:
    with (
        use_websocket(f"{echo.url}/v1/ws", loop="thread") as store,
        panel_served(lambda: page(store)) as url,
        browser_page(url, width=390, scheme=scheme) as tab,
    ):
        tab.get_by_text("connected").wait_for(timeout=20_000)
        paper = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 18, 18)"}[scheme]
        tab.wait_for_function(f"getComputedStyle(document.body).backgroundColor === '{paper}'")
        tab.get_by_placeholder("say something").fill("hello")
        until = time.monotonic() + 10
        while low_contrasts(tab, 1) and time.monotonic() < until:
            tab.wait_for_timeout(100)  # the colours change gradually
        assert low_contrasts(tab, 1) == []
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
