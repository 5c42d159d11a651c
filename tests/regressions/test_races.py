"""Orders of events that were wrong once: each test failed before its cause was fixed."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import sys
import threading
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import (
    ConfigurationError,
    HeimdallError,
    Status,
    StoreClosed,
    ws_config,
)
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.receipt import Receipt
from heimdall_reactive.connecting import loop_thread, runtime
from heimdall_reactive.devserver import serve_in_thread
from tests.peers import peer, quick
from tests.support import SENT, fate, record, run, threads

END = Status.DISCONNECTED


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


async def test_disconnect_in_an_observer_of_the_errors_wins() -> None:
    calls: list[int] = []

    async def provider() -> str:
        calls.append(1)
        raise OSError

    async with quick("ws://127.0.0.1:9", access_token=provider) as store:
        store.errors.subscribe(lambda _: store.disconnect())
        seen = record(store.state)
        await store.wait_for(lambda s: s.status is END, 8)
        await asyncio.sleep(0.05)  # longer than the delay: nothing may happen
        assert [s.status for s in seen] == ["connecting", "disconnected"]
        assert len(calls) == 1


@pytest.mark.parametrize("option", ["should_reconnect", "reconnect_delay"])
@pytest.mark.parametrize("opened", [True, False])
async def test_disconnect_in_an_options_callable_wins(option: str, opened: bool) -> None:
    stores: list[Any] = []

    def decide(_: object) -> float:
        stores[0].disconnect()
        return 0.01

    async with peer(lambda ws: ws.close(1011)) as url:
        stores.append(quick(url if opened else "ws://127.0.0.1:9", **{option: decide}))
        async with stores[0] as store:
            await store.wait_for(lambda s: s.status is END, 8)
            await asyncio.sleep(0.05)  # longer than the delay: nothing may happen
            assert store.state.value.status is END
            assert store.stats.attempts == 1


def test_a_store_made_in_anothers_callback_survives_it() -> None:
    with serve_in_thread(echo=True) as server:
        url = f"{server.url}/v1/ws/status"
        first, made = quick(url), threading.Event()
        stores: list[Any] = []

        def make(_: object) -> None:
            stores.append(quick(url))
            made.set()

        first.messages.subscribe(make)
        first.send("1")
        assert made.wait(8)
        first.close()
        assert stores[0].wait_connected(8).result().session == 1
        server.drop()
        assert stores[0].wait_for(lambda s: s.session == 2).result(8)
        stores[0].close()


def test_what_a_thread_sends_after_disconnect_and_connect_is_sent() -> None:
    with serve_in_thread(echo=True) as server, quick(f"{server.url}/v1/ws/status") as store:
        store.wait_connected(8).result()
        for n in range(20):
            store.disconnect()
            store.connect()
            assert store.send(n).result(8).state in SENT


async def test_what_is_sent_after_a_new_token_was_set_is_that_users() -> None:
    async with peer(echo) as url, quick(url, access_token="ada") as store:
        await store.wait_connected(8)
        store.disconnect()
        await store.wait_for(lambda s: s.status is END, 8)
        before = store.send("from ada")
        store.set_access_token(None)
        after = store.send("from nobody")
        store.connect()
        assert (await after).state in SENT
        assert before.state == "dropped"


async def test_what_waits_for_one_url_does_not_reach_another() -> None:
    async with peer(echo) as one, peer(echo) as two:
        try:
            ws_config.ws_url = one
            async with quick("/x") as store:
                await store.wait_connected(8)
                store.disconnect()
                await store.wait_for(lambda s: s.status is END, 8)
                receipt = store.send("for one")
                ws_config.ws_url = two
                store.connect()
                await store.wait_connected(8)
                assert receipt.state == "dropped"
        finally:
            ws_config.ws_url = None


def test_a_thread_that_sends_faster_than_the_loop_waits_for_room() -> None:
    with (
        serve_in_thread(echo=True) as server,
        quick(f"{server.url}/v1/ws/status", outbox_limit=64) as store,
    ):
        store.wait_connected(8).result()
        receipts = [store.send(n) for n in range(5000)]
        assert receipts[-1].result(8).state in SENT
        assert {fate(receipt) for receipt in receipts} == {"written"}


def test_connecting_while_it_closes_leaves_nothing_connecting() -> None:
    with serve_in_thread() as server:
        url = f"{server.url}/v1/ws/status"
        for _ in range(15):
            store, stop = quick(url), threading.Event()

            def toggle(store: Any = store, stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    try:
                        store.connect()
                        store.disconnect()
                    except StoreClosed:
                        return

            workers = [threading.Thread(target=toggle) for _ in range(3)]
            for worker in workers:
                worker.start()
            store.close()
            stop.set()
            for worker in workers:
                worker.join(8)
            assert store.state.value.status is END


async def test_a_provider_that_swallows_its_cancellation_leaves_no_connection() -> None:
    opened: list[ServerConnection] = []

    async def handler(ws: ServerConnection) -> None:
        opened.append(ws)
        await ws.wait_closed()

    asked = asyncio.Event()

    async def provider() -> str:
        asked.set()
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            return "cached"
        raise AssertionError

    async with peer(handler) as url:
        store = quick(url, access_token=provider)
        await asked.wait()
        store.disconnect()
        await asyncio.wait_for(store.aclose(), 8)
        assert store.state.value.status is END
    assert opened == []


def test_a_finaliser_that_disposes_does_not_deadlock() -> None:
    class View:
        def __init__(self, store: Any) -> None:
            self.me = self  # so that only the garbage collector frees it
            self.subscription = store.state.subscribe(lambda _: None)

        def __del__(self) -> None:
            self.subscription.dispose()

    def work() -> None:
        for _ in range(3000):
            View(store)
            _junk = [[] for _ in range(random.randrange(40))]  # type: ignore[var-annotated]

    store = quick("ws://127.0.0.1:9", immediate=False)
    before = gc.get_threshold()
    gc.set_threshold(20)
    try:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), "deadlock"
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert store.state.observers == []
    store.close()


def test_an_observer_that_exits_does_not_end_the_stores_of_others() -> None:
    with serve_in_thread(echo=True) as server:
        url = f"{server.url}/v1/ws/status"
        with quick(url) as one, quick(url) as two:
            one.messages.subscribe(lambda _: sys.exit(1))
            one.wait_connected(8).result()
            two.wait_connected(8).result()
            one.send("1").result(8)
            got = threading.Event()
            two.messages.subscribe(lambda _: got.set())
            two.send("2").result(8)
            assert got.wait(8)


def test_a_close_that_nobody_waits_out_releases_the_thread() -> None:
    before = threads()

    async def main() -> None:
        held = asyncio.Event()

        async def handler(ws: ServerConnection) -> None:
            ws.transport.pause_reading()  # no close frame is ever read
            held.set()
            await asyncio.sleep(0.5)

        async with peer(handler) as url:
            store = quick(url, loop="thread", close_timeout=0.2)
            await store.wait_connected(8)
            await held.wait()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(store.aclose(), 0.01)
            left = threads() - before
            for thread in left:
                await asyncio.to_thread(thread.join, 3)
            assert store.state.value.status is END
        await asyncio.get_running_loop().shutdown_default_executor()

    run(main)
    assert threads() == before


def test_a_close_timeout_without_end_closes_all_the_same() -> None:
    with serve_in_thread() as server:
        store = quick(f"{server.url}/v1/ws/status", close_timeout=math.inf)
        store.wait_connected(8).result()
        store.close()


def test_a_send_that_meets_the_end_is_settled() -> None:
    store = quick("ws://127.0.0.1:9", immediate=False)
    store.close()
    # A thread may pass the check for the end just before it, and queue just after.
    assert store._core.outbox.put(Frame(b"x", True)).state == "dropped"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_flush_that_a_closing_loop_swallowed_is_made_up_for() -> None:
    with serve_in_thread(echo=True) as server:
        loop = asyncio.new_event_loop()

        async def make() -> Any:
            store = quick(f"{server.url}/v1/ws/status")
            await store.wait_connected(8)
            return store

        store = loop.run_until_complete(make())
        thread = threading.Thread(target=store.send, args=("lost",))
        thread.start()
        thread.join()
        loop.close()  # with the posted flush in it
        assert store.send("2").result(8).state in SENT
        store.close()
        gc.collect()


async def test_waiting_often_for_a_failed_store_grows_nothing() -> None:
    async with quick("ws://127.0.0.1:9", max_reconnect_attempts=0) as store:
        for _ in range(20):
            with pytest.raises(HeimdallError):
                await store.wait_connected(1)
        depth, step = 0, store.state.value.error.__traceback__  # type: ignore[union-attr]
        while step is not None:
            depth, step = depth + 1, step.tb_next
        assert depth < 15


def test_impossible_values_are_refused_in_words() -> None:
    with pytest.raises(ConfigurationError, match="endpoint must be"):
        quick(None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="subprotocols"):
        quick("/", subprotocols="chat")


@pytest.mark.parametrize("headers", [3, "ab", {"X-A": "a\r\nb"}])
async def test_impossible_headers_fail_with_a_clear_error(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="additional_headers"):
        quick("ws://127.0.0.1:9", additional_headers=headers)
    async with quick("ws://127.0.0.1:9", additional_headers=lambda: headers) as store:
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert "additional_headers" in str(state.error)


def test_a_finaliser_that_needs_the_background_thread_while_it_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The collector may run it in the middle: a plain lock stood still forever.
    background, make = runtime._Background(), loop_thread.plain_loop
    nested: list[tuple[asyncio.AbstractEventLoop, int]] = []

    def collect() -> asyncio.AbstractEventLoop:
        if not nested:
            nested.append((asyncio.new_event_loop(), 0))
            nested[0][0].close()
            nested[0] = background.acquire()
        return make()

    monkeypatch.setattr(loop_thread, "plain_loop", collect)
    outer = background.acquire()
    assert outer == nested[0]
    background.release(outer[0])
    background.release(outer[0])
    assert outer[0].is_closed()


def test_what_a_receipts_callback_raises_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receipt = Receipt()

    def fail(_: Receipt) -> None:
        raise ValueError("a payload")

    receipt.add_done_callback(fail)
    seen: list[Receipt] = []
    receipt.add_done_callback(seen.append)
    receipt.settle("written")
    assert seen == [receipt]
    assert "ValueError" in caplog.text
    assert "a payload" not in caplog.text
