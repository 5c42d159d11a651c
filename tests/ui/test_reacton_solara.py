"""The hooks in Solara's server, and a real browser with two tabs."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest

from examples.live.feed import ROWS
from heimdall_reactive.devserver import DevServer, serve_in_thread

from .contrast import low_contrasts
from .support import BURST
from .test_live import keeps_up

pytest.importorskip("solara", reason="pip install solara-ui")
pytest.importorskip("playwright", reason="pip install playwright")
if shutil.which("chromium") is None:
    pytest.skip("a browser is missing: apt install chromium", allow_module_level=True)

from playwright.sync_api import Browser, Page, WebSocketRoute, expect, sync_playwright

from examples.screenshots.reacton import chat
from examples.screenshots.solara import FrontEndMissing, front_end, served

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
TABS = int(os.environ.get("HEIMDALL_TABS", "2"))

pytestmark = pytest.mark.leaky  # a browser, and Solara in a process of its own


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return front_end()
    except FrontEndMissing as error:
        pytest.skip(f"Solara's front end is missing: {error}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server() -> Iterator[DevServer]:
    with serve_in_thread(require_token=False, echo=True) as server:
        yield server


@pytest.fixture(scope="module")
def url(folder: Path, server: DevServer) -> Iterator[str]:
    environ = {"HEIMDALL_WS_URL": server.url, "SOLARA_KERNEL_CULL_TIMEOUT": "2s"}
    with served("tests.ui.solara_page", folder, **environ) as url:
        yield url


def tab_of(browser: Browser, url: str) -> Page:
    tab = browser.new_page()
    expect.set_options(timeout=15_000)
    tab.goto(url)
    shows(tab, "own connected")
    return tab


def shows(tab: Page, text: str) -> None:
    tab.get_by_text(text, exact=True).wait_for(timeout=15_000)  # looks in each frame


def readable(tab: Page, texts: int = 20) -> None:
    """Expect that every text is readable, once the colours have changed from light to dark."""
    until = time.monotonic() + 10
    while low_contrasts(tab, texts) and time.monotonic() < until:
        tab.wait_for_timeout(100)
    assert low_contrasts(tab, texts) == []


def sockets(server: DevServer, number: int) -> None:
    server.call(server.wait_for_connections(number, 10))


def test_two_tabs_have_a_store_each_and_share_another(
    browser: Browser, url: str, server: DevServer
) -> None:
    one, two = tab_of(browser, url), tab_of(browser, url)
    sockets(server, 3)
    for n in range(1, 6):
        server.send_raw('{"n": %d}' % n)  # noqa: UP031 - braces
        for tab in (one, two):
            shows(tab, f"shared {n}")
            shows(tab, f"{min(n, 3) - 1}: {{'n': {n}}}")
    for tab in (one, two):
        shows(tab, "sibling rendered 1")
        shows(tab, "shared rendered 6")

    one.get_by_role("button", name="send").click()
    shows(one, "2: {'hello': 1}")  # the echo has come, and to this tab only
    expect(two.get_by_text("hello")).to_have_count(0)

    server.refuse(503, times=3)
    server.drop()
    shows(one, "own waiting")
    shows(two, "own waiting")
    shows(one, "own connected")
    shows(two, "own connected")
    sockets(server, 3)

    one.get_by_role("button", name="toggle").click()
    sockets(server, 2)
    one.get_by_role("button", name="toggle").click()
    shows(one, "own connected")
    two.close()
    sockets(server, 2)
    shows(one, "sibling rendered 1")
    one.close()
    sockets(server, 1)


def test_closed_and_reloaded_tabs_leave_nothing(
    browser: Browser, url: str, server: DevServer
) -> None:
    stays = tab_of(browser, url)
    alone = counted(stays)
    assert "RenderQueue 1" in alone
    for _ in range(TABS):
        tab_of(browser, url).close()
        sockets(server, 2)
    other = tab_of(browser, url)
    for _ in range(TABS):
        other.reload()
        shows(other, "own connected")
        sockets(server, 3)
    other.close()
    until = time.monotonic() + 15
    while time.monotonic() < until and counted(stays) != alone:
        stays.wait_for_timeout(100)
    assert counted(stays) == alone
    stays.close()
    sockets(server, 1)


def counted(tab: Page) -> str:
    """Return what a tab says of the objects of its server, once it has counted again."""
    counts = tab.get_by_text(re.compile(r"^count \d+:"))
    times, _, _ = counts.inner_text().partition(":")
    tab.get_by_role("button", name="count").click()
    expect(counts).not_to_have_text(re.compile(f"^{times}:"))
    return counts.inner_text().partition(": ")[2]


def test_a_burst_leaves_the_browser_and_the_server_alive(
    browser: Browser, url: str, server: DevServer
) -> None:
    async def burst() -> None:
        for n in range(BURST):
            server.send_raw('{"n": %d}' % n)  # noqa: UP031 - braces

    tab = tab_of(browser, url)
    tab.evaluate(
        "() => { let last = performance.now(); window.longest = 0; setInterval(() => {"
        "const now = performance.now(); longest = Math.max(longest, now - last); last = now}, 5) }"
    )
    server.call(burst())
    shows(tab, f"shared {BURST - 1}")
    shows(tab, f"2: {{'n': {BURST - 1}}}")
    assert tab.evaluate("window.longest") < 1000  # milliseconds
    renders = re.search(r"\d+", tab.locator(".renders").inner_text())
    assert renders is not None
    assert int(renders[0]) < BURST / 20
    tab.get_by_role("button", name="send").click()
    shows(tab, "2: {'hello': 1}")
    tab.close()


def test_components_outlive_the_connection_of_their_browser(
    browser: Browser, url: str, server: DevServer
) -> None:
    routes: list[WebSocketRoute] = []

    def route(ws: WebSocketRoute) -> None:
        routes.append(ws)
        ws.connect_to_server()

    tab = browser.new_page()
    expect.set_options(timeout=15_000)
    tab.route_web_socket(re.compile("/jupyter/api/kernels/"), route)
    tab.goto(url)
    shows(tab, "own connected")
    before = len(routes)
    routes[-1].close()
    until = time.monotonic() + 15
    while len(routes) == before and time.monotonic() < until:
        tab.wait_for_timeout(20)
    server.send_raw('{"n": 99}')
    shows(tab, "shared 99")
    shows(tab, "0: {'n': 99}")
    shows(tab, "sibling rendered 1")
    tab.close()


def test_the_live_page_keeps_up_and_a_new_tab_begins_with_everything(
    browser: Browser, folder: Path
) -> None:
    with served("examples.live.solara_app", folder) as url:
        tab = browser.new_page()
        tab.goto(url)
        keeps_up(tab)
        tab.close()
        for scheme in SCHEMES:  # of the system; the page follows it
            tab = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 640})
            tab.goto(url)
            tab.locator(f".v-application.v-theme--{scheme}").wait_for(timeout=15_000)
            tab.locator(".market tbody tr").nth(ROWS - 1).wait_for(state="attached")
            readable(tab)
            assert tab.evaluate("document.documentElement.scrollWidth") == 390
            tab.emulate_media(color_scheme="dark" if scheme == "light" else "light")
            tab.locator(f".v-application:not(.v-theme--{scheme})").first.wait_for(timeout=15_000)
            tab.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_example(browser: Browser, folder: Path, scheme: Literal["light", "dark"]) -> None:
    with chat(folder) as (server, url):
        tab = browser.new_page(color_scheme=scheme)
        expect.set_options(timeout=15_000)
        tab.goto(url)
        shows(tab, "connected")
        tab.locator(f".v-application.v-theme--{scheme}").wait_for()
        box, newest = tab.get_by_label("say something"), tab.locator("pre")
        box.fill("hello")
        box.press("Enter")
        shows(tab, '{"text": "hello"}')
        expect(box).to_have_value("")
        shows(tab, "delivered")
        server.refuse(503, times=1)
        server.drop()
        shows(tab, "reconnecting in 2 s (attempt 1)")
        expect(box).to_be_disabled()
        shows(tab, "connected")
        box.fill("<img src=x onerror=window.pwned=1>")
        box.press("Enter")
        expect(newest).to_contain_text("<img src=x")  # a text, no picture that runs it
        assert newest.locator("img").count() == 0
        assert tab.evaluate("window.pwned") is None
        readable(tab, 3)
        tab.close()
