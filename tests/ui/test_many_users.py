"""Web applications with many visitors: whose messages go where, and what is left of them."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

pytest.importorskip("fastapi.sse", reason="pip install 'fastapi>=0.135'")
httpx = pytest.importorskip("httpx")
uvicorn = pytest.importorskip("uvicorn")

from examples.many_users.relay_app import application  # noqa: E402
from examples.many_users.visitors import Desk, Visitors  # noqa: E402
from heimdall_reactive import WebSocketStore, use_websocket  # noqa: E402
from heimdall_reactive.devserver import DevServer, serve_in_thread  # noqa: E402
from tests.support import record  # noqa: E402

from .chromium import Tab, chromium  # noqa: E402
from .contrast import low_contrasts  # noqa: E402
from .panel_pages import panel_served  # noqa: E402
from .support import wait_until  # noqa: E402


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - servers tell nobody
            await asyncio.sleep(0.01)


@asynccontextmanager
async def relay(server: DevServer) -> AsyncIterator[str]:
    """Serve the relay of a server's messages on this loop; yield its URL."""
    app = application(f"{server.url}/v1/ws/status", f"{server.url}/v1/ws/user", linger=0)
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(web.serve([listener]))
        await until(lambda: web.started or task.done())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            web.should_exit = True
            await task


class Reader:
    """A browser that reads events, as `EventSource` does."""

    def __init__(self, url: str) -> None:
        self.client = httpx.AsyncClient(base_url=url, timeout=10)
        self.seen: list[tuple[str, Any]] = []
        self._reading: asyncio.Task[None] | None = None

    async def log_in(self, name: str, token: str) -> None:
        (await self.client.post("/login", params={"name": name, "token": token})).raise_for_status()

    def read(self, path: str) -> None:
        self._reading = asyncio.create_task(self._read(path))

    async def _read(self, path: str) -> None:
        kind = "message"
        async with self.client.stream("GET", path) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self.seen.append((kind, json.loads(line.removeprefix("data: "))))
                    kind = "message"

    async def leave(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError, httpx.RemoteProtocolError):
                await self._reading
        await self.client.aclose()


def messages(reader: Reader) -> list[Any]:
    return [value for kind, value in reader.seen if kind == "message"]


async def test_visitors_share_the_feed_and_see_none_of_each_other() -> None:
    async with DevServer() as server, relay(server) as url:
        ada, bob, tab = readers = [Reader(url) for _ in range(3)]
        for reader, name in ((ada, "ada"), (bob, "bob"), (tab, "ada")):
            await reader.log_in(name, server.issue(name))
            reader.read("/private")
        await until(lambda: all(("status", "connected") in each.seen for each in readers))
        assert len(server.connections) == 3  # the feed, Ada's two tabs, Bob's one
        server.fire("rolesUpdated", user_id="ada", roles=["of ada"])
        server.fire("rolesUpdated", user_id="bob", roles=["of bob"])
        await until(lambda: all(messages(each) for each in readers))
        assert [each["userId"] for each in messages(ada)] == ["ada"]
        assert [each["userId"] for each in messages(tab)] == ["ada"]
        assert [each["userId"] for each in messages(bob)] == ["bob"]
        await ada.leave()
        await bob.leave()
        await until(lambda: len(server.connections) == 2)
        late = Reader(url)  # while a tab is open, another one begins with what was there
        await late.log_in("ada", server.issue("ada"))
        late.read("/private")
        await until(lambda: messages(late) == messages(tab))
        await tab.leave()
        await late.leave()
        await until(lambda: len(server.connections) == 1)


async def test_a_second_tab_and_a_reload_begin_with_the_history() -> None:
    async with DevServer() as server:
        visitors = Visitors(f"{server.url}/v1/ws/user", linger=0.05, message_type=dict)
        ada = visitors.find(visitors.log_in("ada", server.issue("ada")))
        assert ada is not None
        with visitors.tab(ada) as desk:
            await desk.store.wait_connected(5)
            for n in range(30):
                server.fire("rolesUpdated", user_id="ada", roles=[str(n)])
            await until(lambda: desk.newest.value.get("rolesUpdated", {}).get("roles") == ["29"])
            with visitors.tab(ada) as second:
                assert begins(second) == (20, 1)
        with visitors.tab(ada) as reloaded:  # within the time that the desk lingers
            assert reloaded is desk
            assert begins(reloaded) == (20, 1)
            await asyncio.sleep(0.1)  # longer than that time
            assert reloaded.store.connected
        await until(lambda: not server.connections)
        with visitors.tab(ada) as later:
            assert begins(later) == (0, 0)
        visitors.close()
        await later.store.aclose()


def begins(desk: Desk) -> tuple[int, int]:
    """Return how many lines and rows a tab begins with."""
    return len(record(desk.last)), len(record(desk.newest)[0].added)


async def test_nothing_is_left_of_readers_that_came_and_went() -> None:
    async with DevServer() as server, relay(server) as url:
        tokens = {name: server.issue(name) for name in ("ada", "bob", "eve")}
        await until(lambda: len(server.connections) == 1)
        before = alive()
        for _ in range(2):
            readers = [Reader(url) for _ in range(15)]
            for reader, name in zip(readers, [*tokens] * 5, strict=True):
                await reader.log_in(name, tokens[name])
                reader.read("/private")
            await until(lambda: all(("status", "connected") in each.seen for each in readers))  # noqa: B023
            assert len(server.connections) == 4
            for reader in readers:
                await reader.leave()
            await until(lambda: len(server.connections) == 1)
        await until(lambda: alive() <= before)  # a store ends a turn after its connection


async def test_who_has_to_log_in_again_is_told_and_goes_on_in_every_tab() -> None:
    async with DevServer() as server, relay(server) as url:
        old, tab, again = readers = [Reader(url) for _ in range(3)]
        token = server.issue("ada")
        for reader in (old, tab):
            await reader.log_in("ada", token)
            reader.read("/private")
        await until(lambda: all(("status", "connected") in each.seen for each in (old, tab)))
        server.expire(token)
        server.drop()
        await until(lambda: all("access token" in str(each.seen[-1]) for each in (old, tab)))
        await again.log_in("ada", server.issue("ada"))
        again.read("/private")
        await until(lambda: all(each.seen[-1:] == [("status", "connected")] for each in readers))
        for reader in readers:
            await reader.leave()


async def test_who_has_not_logged_in_gets_the_public_feed_only() -> None:
    async with DevServer() as server, relay(server) as url:
        reader = Reader(url)
        assert (await reader.client.get("/private")).status_code == 401
        reader.read("/public")
        await until(lambda: len(server.connections) == 1)

        def heard() -> bool:
            server.send_raw('{"n": 1}')
            return messages(reader)[:1] == [{"n": 1}]

        await until(heard)
        await reader.leave()


def test_visitors_of_nicegui_have_a_store_each_for_all_of_their_tabs() -> None:
    pytest.importorskip("nicegui")
    pytest.importorskip("playwright", reason="pip install playwright")
    from nicegui.testing.general import nicegui_reset_globals

    from examples.many_users import nicegui_app
    from examples.screenshots.browser import web

    def page() -> None:
        nicegui_app.page(feed, visitors, issue)

    def issue(name: str) -> str:
        tokens.append(server.issue(name))
        return tokens[-1]

    def log_in(name: str, person: str) -> Tab:
        tab = browser.open(url, person=person)
        tab.until("document.querySelector('input') != null && window.did_handshake")
        tab.look("document.querySelector('input').focus()")
        tab.call("Input.insertText", text=name)
        tab.press("Log in")
        tab.until(shows("connected"))
        return tab

    def shows(text: str) -> str:
        return f"document.body.innerText.includes({text!r})"

    tokens: list[str] = []
    with (
        nicegui_reset_globals(),
        serve_in_thread() as server,
        use_websocket(f"{server.url}/v1/ws/status") as feed,
        web(page, "a secret") as url,
        chromium() as browser,
    ):
        visitors = Visitors(f"{server.url}/v1/ws/user", message_type=dict, linger=0)
        first, second = browser.person(), browser.person()
        ada, bob = log_in("ada", first), log_in("bob", second)
        server.fire("rolesUpdated", user_id="ada", roles=["before"])
        ada.until(shows("before"))
        tab = browser.open(url, person=first)
        tab.until(shows("connected"))
        tab.until(shows("before"))
        assert len(server.connections) == 3  # the feed, Ada's two tabs, Bob's one
        server.fire("rolesUpdated", user_id="ada", roles=["of Ada"])
        server.fire("rolesUpdated", user_id="bob", roles=["of Bob"])
        for each, own, other in ((tab, "of Ada", "of Bob"), (bob, "of Bob", "of Ada")):
            each.show()
            each.until(shows(own))
            assert not each.look(shows(other))
        for token in tokens:
            server.expire(token)
        server.drop()
        bob.until(shows("access token"))
        bob.press("Log in again")
        bob.until(shows("connected"))
        for each in (ada, bob, tab):
            each.close()
        wait_until(lambda: len(server.connections) == 1, lambda: time.sleep(0.02), 10)


def alive() -> int:
    """Count the stores of this process."""
    gc.collect()
    return sum(issubclass(type(each), WebSocketStore) for each in gc.get_objects())


def test_visitors_of_panel_log_in_and_have_a_store_each_for_all_of_their_tabs() -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    pytest.importorskip("panel")
    if shutil.which("chromium") is None:
        pytest.skip("this test looks at a page with chromium: apt-get install chromium")

    from examples.many_users import panel_app

    with (
        serve_in_thread() as server,
        use_websocket(f"{server.url}/v1/ws/status") as feed,
    ):
        visitors = Visitors(f"{server.url}/v1/ws/user", message_type=dict, linger=0)
        with panel_served(
            lambda: panel_app.page(feed, visitors, server.issue),
            basic_auth=panel_app.PASSWORDS,
            cookie_secret="a secret",
        ) as url:
            with sync_api.sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
                pages: dict[str, Any] = {}
                for name, word in panel_app.PASSWORDS.items():
                    scheme = "dark" if name == "ada" else "light"
                    pages[name] = tab = browser.new_context(color_scheme=scheme).new_page()
                    tab.goto(url)
                    tab.fill("input[name=username]", name)
                    tab.fill("input[name=password]", word)
                    tab.keyboard.press("Enter")
                    tab.get_by_text(f"Logged in as {name}").wait_for()
                    tab.get_by_text("connected", exact=True).wait_for()
                    server.fire("rolesUpdated", user_id=name, roles=[f"of {name} <b>"])
                    tab.get_by_text(f"of {name} <b>").first.wait_for()  # a text, never HTML
                    assert low_contrasts(tab, 4) == []
                second = pages["ada"].context.new_page()  # begins with what is kept
                second.goto(url)
                second.get_by_text("of ada").first.wait_for()
                assert len(server.connections) == 3  # the feed, Ada's two tabs, Bob's one
                assert "of bob" not in second.inner_text("body")
                browser.close()
            server.call(server.wait_until(lambda: len(server.connections) == 1, 20))
