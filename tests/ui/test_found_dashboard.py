"""What a hostile server can do to the dashboard: nothing but fill its lines."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from random import Random
from string import ascii_letters, digits
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr

from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import DevServer, serve_in_thread

pytest.importorskip("nicegui", reason="pip install 'heimdall-reactive[dashboard]'")

from nicegui.testing.general import nicegui_reset_globals

from heimdall_reactive.dashboard import Board, BoardConnection, MessageFeed, serving
from heimdall_reactive.dashboard.feed_view import WHOLE, _pretty

TOKEN = "s3cr3t-" + "0123456789abcdefghij" * 2
HIT = "window.pwned=1"
EVIL = (
    f"<script>{HIT}</script>",
    f'<img src=x onerror="{HIT}">',
    f"</script></textarea></pre><svg onload={HIT}>",
    '<iframe srcdoc="<script>top.pwned=1</script>"></iframe>',
    f"\"' onmouseover={HIT} autofocus onfocus={HIT} x='",
    f"&lt;img src=x onerror={HIT}&gt;",
    '{{constructor.constructor("window.pwned=1")()}}',
    f"`${{{HIT}}}`",
    f"<template><img src=x onerror={HIT}></template>",
)


# Its parts


def test_a_server_with_many_types_pushes_out_no_errors() -> None:
    # They were `other` together with the flood, and 200 messages later they were gone.
    feed = MessageFeed()
    for n in range(10_000):
        feed.add(1.0, "a", f"kind {n}", "")
    feed.add(1.0, "a", "error", "the real one", "error")
    for _ in range(1000):
        feed.add(1.0, "a", "error", "forged")
        feed.add(1.0, "a", "more", "")
    assert "the real one" in [line.text for line in feed.newest(10_000)]
    assert "the real one" in [line.text for line in feed.newest(10_000, {"error"})]
    assert len(feed.counts) <= 44


def test_what_a_page_may_have_holds_no_secret_in_any_writing_of_ours() -> None:
    board = Board([], [SecretStr(TOKEN)])
    assert TOKEN[:8].encode().hex(" ") not in board.masked(f"9 bytes: {TOKEN.encode().hex(' ')}")
    assert board.masked(f"it was {TOKEN}") == "it was ***"
    assert Board([]).masked("half a pair: \ud800") == "half a pair: ?"


def test_a_long_token_costs_a_drawing_little() -> None:
    # The loop was held 0.3 s for each drawing, four times a second and tab.
    chance = Random(1)
    board = Board([], [SecretStr("".join(chance.choices(ascii_letters + digits, k=1000)))])
    rows = ["".join(chance.choices(ascii_letters, k=240)) for _ in range(60)]
    began = time.process_time()
    assert [board.masked(row) for row in rows] == rows
    assert time.process_time() - began < 0.15


def test_a_deep_list_in_full_stays_small() -> None:
    # 4 KB became 3.6 MB of blanks; with a token it held the loop for 12 s.
    deep = "[" * 900 + "1," * 1000 + "1" + "]" * 900
    assert len(_pretty(deep)) <= WHOLE
    assert _pretty('{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'


# Its page, in a browser


class Hostile(NamedTuple):
    """A dashboard of one connection, whose server says what the test wants."""

    url: str
    server: DevServer

    def say(self, *texts: str | bytes) -> None:
        for text in texts:
            self.server.send_raw(text)


@contextmanager
def dashboard_of(server: DevServer) -> Iterator[str]:
    """Run a dashboard, as `--endpoint` makes it, in a thread; yield its URL."""
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        stop = asyncio.Event()
        store: Any = use_websocket(
            f"{server.url}/v1/ws", message_type=str | bytes, access_token=TOKEN,
            max_reconnect_attempts=None, reconnect_delay=0.2,
        )  # fmt: skip
        board = Board([BoardConnection(EVIL[1], EVIL[0], store)], [SecretStr(TOKEN)])
        try:
            async with serving(board, port=0, reconnect_timeout=0.3) as url:
                started.set_result((url, asyncio.get_running_loop(), stop))
                await stop.wait()
        finally:
            await board.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="dashboard")
    thread.start()
    url, loop, stop = started.result(30)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    pytest.importorskip("playwright", reason="pip install playwright")
    if shutil.which("chromium") is None:
        pytest.skip("this test looks at a page with chromium: apt-get install chromium")
    with (
        serve_in_thread(require_token=False) as server,
        nicegui_reset_globals(),
        dashboard_of(server) as url,
    ):
        server.call(server.wait_for_connections(1, 10))
        yield Hostile(url, server)


@contextmanager
def tab_of(url: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page()
        look(tab, url)
        yield tab
        browser.close()


def look(tab: Any, url: str) -> None:
    """Open the page, and wait for its socket."""
    answer = tab.goto(url)
    assert answer.status == 200
    assert answer.headers["x-frame-options"] == "DENY"
    tab.wait_for_selector(".badge.good", timeout=15_000)
    tab.wait_for_function("() => window.socket?.connected", timeout=15_000)


def check_harmless(tab: Any) -> None:
    assert tab.evaluate("window.pwned") is None
    found = ".dashboard :is(img, iframe, script, template, [onerror], [onload], [onfocus])"
    assert tab.locator(found).count() == 0
    assert TOKEN[:8] not in tab.content()
    assert TOKEN[:8].encode().hex(" ") not in tab.content()


def test_no_text_of_the_wire_is_ever_html_and_no_secret_is_ever_shown(hostile: Hostile) -> None:
    from playwright.sync_api import expect

    with tab_of(hostile.url) as tab:
        for text in EVIL:
            hostile.say(text, json.dumps({"type": text, "text": text}), text.encode())
            hostile.say(json.dumps({"type": "Message", "channel": text, "data": text}))
        hostile.say(json.dumps({"type": TOKEN}), f"it was {TOKEN}", TOKEN.encode())
        last = tab.locator(".line", has_text="binary").first
        expect(last).to_contain_text("***")
        check_harmless(tab)
        for text in EVIL[:2]:  # in full, with its kind as the title
            row = tab.locator(".line", has_text=json.dumps({"text": text})).first
            row.click()
            expect(tab.locator(".dialog pre")).to_contain_text(json.dumps(text))
            check_harmless(tab)
            tab.get_by_role("button", name="Close").click()
        look(tab, hostile.url)  # now all of it is in the page as it is loaded
        expect(tab.locator(".line").first).to_be_visible()
        check_harmless(tab)


def test_half_a_surrogate_pair_stops_no_page(hostile: Hostile) -> None:
    # No tab was updated any more, and every load of the page was an error 500.
    from playwright.sync_api import expect

    with tab_of(hostile.url) as tab:
        hostile.say('{"type":"\\ud800","text":"\\udfff"}', "and after")
        expect(tab.locator(".line", has_text="and after")).to_be_visible()
        tab.locator(".line", has_text='{"text": "?"}').click()
        expect(tab.locator(".dialog pre")).to_contain_text('"text": "?"')
        look(tab, hostile.url)
        expect(tab.locator(".line", has_text="and after")).to_be_visible()
