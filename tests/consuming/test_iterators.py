"""`store.iterate()`: the messages as a blocking iterator, on a thread without an event loop."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from heimdall_reactive import (
    ConfigurationError,
    MessageIterator,
    StreamOverflow,
    WaitTimeout,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.devserver import serve_in_thread
from tests.support import errors_in, run, threads


@contextmanager
def connected(**options: Any) -> Iterator[WebSocketStore[Any]]:
    before = threads()
    with (
        serve_in_thread(echo=True) as server,
        use_websocket(f"{server.url}/v1/ws/status", message_type=Any, **options) as store,
    ):
        store.wait_connected(5.0).result()
        yield store
    assert threads() <= before


def say(store: WebSocketStore[Any], *numbers: int) -> None:
    """Have numbers come in, in order; return when the last was told to those before us."""
    *early, last = numbers
    for number in early:
        store.send(number)
    store.request(last, match=lambda message: message == last, timeout=5.0).result()


def test_it_gives_each_message_in_order_and_ends_with_the_store() -> None:
    with connected() as store, ThreadPoolExecutor(1) as pool:
        messages = store.iterate()
        got = pool.submit(list, messages)
        say(store, *range(100))
        store.close()
        assert got.result(5.0) == [*range(100)]
        assert messages.stats.delivered == 100
        assert store.stats.consumers == ()
        assert list(messages) == []
        assert list(store.iterate()) == []  # of a store that is closed


def test_no_message_in_time_raises_and_the_iteration_may_go_on() -> None:
    with connected() as store:
        messages = store.iterate(timeout=0.01)
        with pytest.raises(WaitTimeout, match=r"no valid message was received within 0\.01 s"):
            next(messages)
        say(store, 7)
        assert next(messages) == 7


def test_a_slow_iteration_drops_by_its_policy_and_counts() -> None:
    with connected() as store:
        oldest = store.iterate(2, name="oldest")
        strict = store.iterate(2, "error")
        newest = store.iterate(2, overflow="latest")
        say(store, 1, 2, 3)
        counters = {each.name: each for each in store.stats.consumers}
        assert (counters["oldest"].dropped, counters["oldest"].waiting) == (1, 2)
        assert next(newest) == 3
        assert [next(strict), next(strict)] == [1, 2]
        with pytest.raises(StreamOverflow):
            next(strict)
        assert [next(oldest), next(oldest)] == [2, 3]
        with pytest.raises(ConfigurationError, match="maxsize"):
            store.iterate(0)


def test_it_is_refused_on_a_thread_that_runs_an_event_loop() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"async for message in store\.stream\(\)"):
            store.iterate()
        with pytest.raises(RuntimeError, match=r"async for message in store\.stream\(\)"):
            next(messages)

    with connected() as store:
        messages = store.iterate()
        run(main)


def test_threads_that_share_an_iteration_get_each_message_once() -> None:
    with connected() as store, ThreadPoolExecutor(3) as pool:
        messages = store.iterate()
        parts = [pool.submit(list, messages) for _ in range(3)]
        say(store, *range(300))
        store.close()
        assert sorted(each for part in parts for each in part.result(5.0)) == [*range(300)]


@pytest.mark.parametrize("how", ["dropped", "closed", "with"])
def test_one_that_is_left_is_detached(how: str) -> None:
    with connected() as store:
        messages: MessageIterator[Any] = store.iterate()
        gone = weakref.ref(messages)
        say(store, 1)
        if how == "closed":
            messages.close()
            assert list(messages) == []
        elif how == "with":
            with messages:
                pass
        del messages
        gc.collect()
        assert gone() is None
        assert store.stats.consumers == ()


def test_closing_it_ends_a_wait_on_another_thread() -> None:
    with connected() as store, ThreadPoolExecutor(1) as pool:
        messages = store.iterate()
        began = threading.Event()

        def take() -> list[Any]:
            began.set()
            return list(messages)

        got = pool.submit(take)
        began.wait(5.0)
        messages.close()
        assert got.result(5.0) == []


SCRIPT = """
import json, sys, threading, traceback
from heimdall_reactive import use_websocket

store = use_websocket(sys.argv[1], message_type=dict)

def messages():  # nobody else has it: an interrupt may come in the body of the loop as well
    iteration = store.iterate(timeout=10)
    store.send({"type": "Ping"})
    return iteration

with store:
    try:
        for message in messages():
            print(json.dumps(message), flush=True)
    except KeyboardInterrupt as error:
        print(json.dumps(store.stats.consumers), flush=True)
print(threading.active_count(), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl-C alone")
def test_an_interrupt_leaves_the_loop_at_once_and_nothing_behind() -> None:
    with serve_in_thread(echo=True) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, f"{server.url}/v1/ws/status"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline()) == {"type": "Pong"}
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (out.split("\n"), errors_in(err)) == (["[]", "1", ""], "")
