"""The example for Chrome DevTools against Debian's chromium, which is started again, too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from examples.protocols.devtools import DevTools
from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.testing import FaultProxy, Reset
from tests.support import beyond_doubt, record

from .programs import free_port, program, running


class Browser(NamedTuple):
    url: str
    run: Callable[[], AbstractContextManager[str]]


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    port = free_port()
    command = [
        *(program("chromium", "chromium"), "--headless", "--no-sandbox", "--disable-gpu"),
        *("--log-level=3", f"--user-data-dir={tmp_path}", f"--remote-debugging-port={port}"),
    ]
    return Browser(f"ws://127.0.0.1:{port}", lambda: running(command, "DevTools listening on "))


class Page:
    """A store's page, and what its console said."""

    def __init__(self, store: WebSocketStore[Any]) -> None:
        self._store = store
        self.said: list[Any] = []
        self.console = store.channel("Runtime").subscribe(self._note)

    def _note(self, event: Any) -> None:
        if event["method"] == "Runtime.consoleAPICalled":
            self.said.append(event["params"]["args"][0]["value"])

    async def ask(self, method: str, **params: Any) -> Any:
        return await self._store.request({"method": method, "params": params}, timeout=20)

    async def evaluate(self, expression: str) -> Any:
        answer = await self.ask("Runtime.evaluate", expression=expression)
        return answer["result"]["result"].get("value")


async def test_a_page_is_kept_over_a_drop_and_opened_again_after_a_restart(
    browser: Browser,
) -> None:
    options: Any = {"message_type": Any, "max_reconnect_attempts": None}
    async with FaultProxy(browser.url) as proxy:
        protocol = DevTools(proxy.url.removeprefix("ws://"))
        with browser.run():
            store = use_websocket(proxy.url, protocol=protocol, reconnect_delay=0.05, **options)
            errors, page = record(store.errors), Page(store)
            assert await page.evaluate("console.log('one'); document.title = 'Here'") == "Here"
            proxy.now(Reset())
            await store.wait_for(lambda state: not state.is_connected, 5)
            queued = page.ask("Browser.getVersion")
            assert (await queued)["result"]["product"].startswith("Chrome/")
            assert await page.evaluate("console.log('two'); document.title") == "Here"
            assert page.said == ["one", "one", "two"]  # each `Runtime.enable` tells all of them
            assert "wasn't found" in (await page.ask("Nothing.at_all"))["error"]["message"]
        await store.wait_for(lambda state: not state.is_connected, 5)
        queued = page.ask("Browser.getVersion")
        with browser.run():
            assert (await queued)["result"]["product"].startswith("Chrome/")
            assert await page.evaluate("console.log('three'); document.title") == ""
            page.console.dispose()
            for _ in range(2):
                await page.evaluate("console.log('not heard')")
            assert page.said == ["one", "one", "two", "three"]
            assert (beyond_doubt(errors), store.stats.invalid) == ([], 0)
            assert store.state.value.session == 3
            await store.aclose()


async def test_a_page_that_is_closed_is_opened_again(browser: Browser) -> None:
    options: Any = {"message_type": Any, "reconnect_delay": 0.05}
    protocol = DevTools(browser.url.removeprefix("ws://"))
    with browser.run():
        async with use_websocket(browser.url, protocol=protocol, **options) as store:
            page = Page(store)
            await page.evaluate("document.title = 'Here'")
            store.send({"method": "Page.close"})
            await store.wait_for(lambda state: state.session == 2, 20)
            assert await page.evaluate("document.title") == ""
