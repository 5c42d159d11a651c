"""The life of a page: it is put away, hidden, frozen and shown, and its network goes."""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import Any

from websockets.sync.server import ServerConnection, serve

from heimdall_reactive.devserver import DevServer

from .pages import Page, TabPage


def test_a_store_that_waits_dials_at_once_when_the_device_is_online(
    page: Page, server: DevServer
) -> None:
    found = page.run("life.online", f"{server.url}/v1/ws", lambda _: server.drop())
    assert found == [1, 0]


def test_a_page_that_is_back_asks_the_peer_for_a_sign_of_life(
    page: Page, server: DevServer
) -> None:
    found = page.run("life.probed", f"{server.url}/v1/ws", lambda _: server.stall(8.0))
    assert found == [1, None, "heartbeat timeout"]


def test_a_page_that_goes_away_closes_and_connects_again_if_it_is_back(page: Page) -> None:
    closes: SimpleQueue[tuple[int | None, str | None]] = SimpleQueue()

    def handle(link: ServerConnection) -> None:
        for _ in link:
            pass
        closes.put((link.close_code, link.close_reason))

    with serve(handle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        assert page.run("life.away", f"ws://127.0.0.1:{port}/") == ["connecting", 2, "written"]
        assert closes.get(timeout=8) == (1000, "the page goes away")
        server.shutdown()
        thread.join()


def test_no_listener_is_left_of_stores_that_are_closed(page: Page, server: DevServer) -> None:
    added, removed, destroyed = page.run(
        "life.listeners", f"{server.url}/v1/ws", lambda _: server.drop()
    )
    assert added >= 5
    assert (removed, destroyed) == (True, True)


def numbers(server: DevServer) -> None:
    """Send a hundred messages in some seconds."""
    for number in range(100):
        server.send_raw(f'{{"n":{number}}}')
        time.sleep(0.03)


def test_the_late_timers_of_a_hidden_tab_lose_no_connection(
    tab: TabPage, server: DevServer
) -> None:
    def hide(_: str) -> None:
        tab.hide()
        numbers(server)

    try:
        session, in_order, gap = tab.run("life.beating", f"{server.url}/v1/ws", hide)
    finally:
        tab.tab.show()
    assert (session, in_order) == (1, True)
    assert gap > 0.9  # the timers were late, as those of hidden tabs are


def test_a_frozen_tab_whose_connection_chromium_ends_is_back_by_itself(
    tab: TabPage, server: DevServer
) -> None:
    def freeze(_: str) -> None:
        tab.hide()
        tab.tab.call("Page.setWebLifecycleState", state="frozen")
        numbers(server)
        tab.tab.call("Page.setWebLifecycleState", state="active")

    try:
        assert tab.run("life.frozen", f"{server.url}/v1/ws", freeze) == [2, True]
    finally:
        tab.tab.show()


def test_a_page_in_the_back_forward_cache_closes_and_is_back(
    tab: TabPage, server: DevServer
) -> None:
    def leave(_: str) -> None:
        here = tab.tab.call("Page.getNavigationHistory")
        entry: Any = here["entries"][here["currentIndex"]]["id"]
        tab.tab.call("Page.navigate", url=f"{tab.base}/harness.mjs")
        tab.tab.until("location.pathname == '/harness.mjs'")
        tab.tab.call("Page.navigateToHistoryEntry", entryId=entry)
        tab.tab.until("location.pathname == '/page.html'")

    assert tab.run("life.left_and_back", f"{server.url}/v1/ws", leave) == [True, 2]


def test_a_network_that_comes_back_is_used_at_once(tab: TabPage, server: DevServer) -> None:
    def network(what: str) -> None:
        tab.tab.call(
            "Network.emulateNetworkConditions",
            offline=what == "offline", latency=0, downloadThroughput=-1, uploadThroughput=-1,
        )  # fmt: skip

    tab.tab.call("Network.enable")
    error, attempt = tab.run("life.offline", f"{server.url}/v1/ws", network)
    tab.tab.call("Network.disable")
    assert "browsers do not tell why" in error
    assert attempt == 0
