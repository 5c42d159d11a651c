"""`use_websocket` itself: what it does beside making a store."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from heimdall_reactive import ConfigurationError, Status, WebSocketStore, use_websocket
from heimdall_reactive.devserver import DevServer, serve_in_thread

URL = "/v1/ws/status"


async def test_a_cell_that_runs_again_leaves_one_socket_open() -> None:
    async with DevServer() as server:
        cells = [use_websocket(server.url + URL, key="cell") for _ in range(5)]
        await cells[-1].wait_connected(8)
        await cells[0].aclose()
        await server.wait_for_connections(1, 10)
        assert [cell.state.value.status for cell in cells[:-1]] == [Status.DISCONNECTED] * 4
        other = use_websocket(server.url + URL, key="another")
        await other.wait_connected(8)
        assert cells[-1].is_connected.value
        await cells[-1].aclose()
        await other.aclose()


def test_a_reloaded_script_replaces_its_store_from_any_thread() -> None:
    with serve_in_thread() as server:

        def script() -> WebSocketStore[Any]:
            store = use_websocket(server.url + URL, loop="thread", key="script")
            store.wait_connected(8).result()
            return store

        ended = list[str]()
        first = script()
        first.is_connected.subscribe(on_completed=lambda: ended.append("ended"))
        second = script()
        first.close()  # waits until nothing is left
        assert ended == ["ended"]
        assert second.is_connected.value
        second.close()


async def test_a_key_keeps_no_store_alive() -> None:
    store = use_websocket(URL, immediate=False, key="kept")
    await store.aclose()
    gone = weakref.ref(store)
    del store
    gc.collect()
    assert gone() is None


def test_a_refused_call_closes_nothing() -> None:
    with serve_in_thread() as server:
        store = use_websocket(server.url + URL, loop="thread", key="script")
        with pytest.raises(ConfigurationError):
            use_websocket(server.url + URL, key="script", open_timeout=-1.0)
        store.wait_connected(8).result()
        store.close()
