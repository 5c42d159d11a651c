"""Pages in a real browser: hidden tabs are painted nothing, and nothing is left of closed ones."""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from benchmarks.live import AGE, BOKEH, GRID, Feed
from examples.live.feed import Market, market
from heimdall_reactive.bindings.pages import PageClock

from .chromium import Chromium, Tab, chromium
from .held import left_of
from .panel_pages import panel_served
from .support import wait_until
from .test_live import watching

TABS = int(os.environ.get("HEIMDALL_TABS", "6"))


class Served(NamedTuple):
    """A page that is served.

    Attributes:
        url: of the page.
        read: a function of JavaScript that returns the prices it shows.
        ready: an expression that is true when it shows what is new.
    """

    url: str
    read: str
    ready: str = "window.age && age(prices()) < 1000"


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed()
    yield feed
    feed.close()


@pytest.fixture
def live(feed: Feed) -> Iterator[Market]:
    with market(url=feed.url) as live:
        yield live


@pytest.fixture
def browser() -> Iterator[Chromium]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=["nicegui", "panel"])
def page(request: pytest.FixtureRequest, live: Market) -> Iterator[Served]:
    """Serve a live example."""
    name = request.param
    pytest.importorskip(name)
    pytest.importorskip("playwright", reason="pip install playwright")
    with nicegui_page(live) if name == "nicegui" else panel_page(live) as url:
        if name == "nicegui":
            # A page that is closed before is kept for as long as one that was never opened.
            yield Served(url, GRID, f"window.did_handshake && {Served._field_defaults['ready']}")
        else:
            yield Served(url, BOKEH)


@contextmanager
def nicegui_page(live: Market) -> Iterator[str]:
    from nicegui.testing.general import nicegui_reset_globals

    from examples.live import nicegui_app
    from examples.screenshots.browser import web

    with nicegui_reset_globals(), web(lambda: nicegui_app.page(live)) as url:
        yield url


@contextmanager
def panel_page(live: Market) -> Iterator[str]:
    pytest.importorskip("panel")

    from examples.live import panel_app

    with panel_served(lambda: panel_app.page(live)) as url:
        yield url


def opened(browser: Chromium, page: Served) -> Tab:
    """Open a page that shows what is new."""
    tab = browser.open(page.url, f"window.prices = {page.read}; window.age = {AGE};")
    tab.until(page.ready)
    return tab


def paints(tab: Tab) -> list[str]:
    """Return what came since somebody cleared it, without the heartbeat of the connection."""
    tab.look("1")
    return [frame for frame in tab.frames if len(frame) > 8]


def hides(browser: Chromium, tab: Tab) -> None:
    """Put a tab behind another; what was on the way to it arrives."""
    browser.open("about:blank")
    tab.until("document.hidden")
    wait_for_silence(tab)


def wait_for_silence(tab: Tab) -> None:
    end = time.monotonic() + 10
    while True:
        tab.frames.clear()
        time.sleep(0.3)
        if not paints(tab):
            return
        assert time.monotonic() < end, "a hidden page is painted"


def test_a_hidden_page_is_painted_nothing_and_once_when_it_is_seen(
    feed: Feed, live: Market, page: Served, browser: Chromium
) -> None:
    tab = opened(browser, page)
    hides(browser, tab)
    received = live.store.stats.received
    time.sleep(1)
    assert paints(tab) == []
    assert live.store.stats.received > received + 200
    tab.show()
    tab.until("age(prices()) < 1000")
    last = json.dumps(feed.stop())
    tab.until(f"Object.entries({last}).every(([symbol, price]) => prices()[symbol] === price)")


def closed(tab: Tab, live: Market, others: int) -> None:
    """Close a tab, and wait until its page is gone, and only others' clocks are left."""
    tab.close()
    # A look at all objects is slow on a busy machine, and the page is served in this process.
    wait_until(lambda: watching(live) == 0 and clocks() <= others, lambda: time.sleep(0.5), 60)


def clocks() -> int:
    """Return how many clocks of pages there are, with those of servers that ended before."""
    gc.collect()
    return sum(isinstance(thing, PageClock) for thing in gc.get_objects())


def left(visit: Callable[[], object], times: int) -> dict[str, int]:
    """Visit a page again and again; return what is held more than before."""
    found = left_of(visit, times)
    found.pop("objects", None)  # those of the frameworks: `python -m benchmarks.live` counts them
    return found


def test_nothing_is_left_of_tabs_that_were_closed(
    live: Market, page: Served, browser: Chromium
) -> None:
    others = clocks()

    def visit() -> None:
        closed(opened(browser, page), live, others)

    assert left(visit, TABS) == {}


def test_nothing_is_left_of_pages_that_were_loaded_again(
    live: Market, page: Served, browser: Chromium
) -> None:
    others = clocks()

    def visits() -> None:
        tab = opened(browser, page)
        for _ in range(2):
            tab.look("window.age = null")
            tab.reload()
            tab.until(page.ready)
        closed(tab, live, others)

    assert left(visits, TABS // 3) == {}
