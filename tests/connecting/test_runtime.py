"""Where stores run: loops that somebody has replaced or closed, and the thread of the stores."""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from heimdall_reactive import (
    ConfigurationError,
    InvalidEndpoint,
    QueueHop,
    Status,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.connecting.runtime import Runtime, chosen
from heimdall_reactive.devserver import serve_in_thread
from tests.support import SENT, no_more_threads, record, run, threads

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # policies, since Python 3.14
    if not hasattr(asyncio, "DefaultEventLoopPolicy"):  # since Python 3.16
        pytest.skip("this Python has no event loop policies", allow_module_level=True)
    Default = asyncio.DefaultEventLoopPolicy
    get_policy, set_policy = asyncio.get_event_loop_policy, asyncio.set_event_loop_policy


class OfTheGui(Default):
    """As `qasync.run` and `QtAsyncio.run` install it: its loops work on one thread only."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        raise AssertionError("a loop of the user interface, on a thread that is not its own")

    def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        raise AssertionError("the loop of the user interface is replaced")


@pytest.fixture
def policy_of_a_gui() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        before = get_policy()
        set_policy(OfTheGui())
        yield
        set_policy(before)


@pytest.mark.usefixtures("policy_of_a_gui")
def test_the_thread_has_a_loop_of_asyncio_itself() -> None:
    with serve_in_thread(require_token=False) as server:
        store = use_websocket(f"{server.url}/v1/ws", loop="thread")
        with store:
            assert store.send("hello").result(8).state in SENT


# Which loop


async def running() -> tuple[asyncio.AbstractEventLoop | None, ...]:
    here = asyncio.get_running_loop()
    assert chosen("auto") is chosen(here) is here
    return chosen("thread"), here


def test_a_store_runs_on_the_loop_that_is_there_else_on_the_thread() -> None:
    assert chosen("auto") is chosen("thread") is None
    thread, closed = run(running)
    assert thread is None
    assert closed is not None
    assert chosen(closed) is None
    for wrong in (None, "process", 1):
        with pytest.raises(ConfigurationError) as caught:
            chosen(wrong)  # type: ignore[arg-type]
        assert str(caught.value) == "loop must be 'auto', 'thread' or an event loop"


def test_the_loop_of_the_thread_is_shared_and_ends_with_its_last_user() -> None:
    before = threads()
    one, other = (Runtime("thread", lambda: None, lambda: None) for _ in range(2))
    assert (one.background, one.loop) == (True, other.loop)
    assert chosen(one.loop) is None  # a user of the thread, as any other
    third = Runtime(one.loop, lambda: None, lambda: None)
    assert (third.background, third.loop) == (True, one.loop)
    for runtime in (one, third):
        runtime.release()
        runtime.release()  # once for each
        assert not one.loop.is_closed()
    other.release()
    assert one.loop.is_closed()
    assert threads() == before
    fresh = Runtime("thread", lambda: None, lambda: None)
    assert fresh.loop is not one.loop
    fresh.release()
    assert threads() == before


def test_a_call_knows_where_it_is() -> None:
    runtime = Runtime("thread", lambda: None, lambda: None)
    by: SimpleQueue[tuple[bool, str]] = SimpleQueue()
    runtime.post(lambda: by.put((runtime.here(), threading.current_thread().name)))
    assert by.get(timeout=8) == (True, "heimdall-reactive")
    assert not runtime.here()
    runtime.release()


def test_another_threads_loop_sees_a_store_that_is_whole() -> None:
    found: list[str] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: found.append(str(context)))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(300):
            use_websocket("ws://localhost:9/", loop=loop, immediate=False).close()
    finally:
        sys.setswitchinterval(before)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert found == []


# A loop that is closed


def runtime_that_ended(moves: list[str]) -> Runtime:
    """Return the runtime of a store whose event loop was closed."""

    async def main() -> Runtime:
        return Runtime("auto", lambda: None, lambda: moves.append("moved"))

    return run(main)


def test_a_call_that_comes_after_the_release_goes_nowhere() -> None:
    moves: list[str] = []
    runtime = runtime_that_ended(moves)
    before = threads()
    runtime.release()
    runtime.post(lambda: moves.append("called"))
    assert (runtime.background, moves, threads() - before) == (False, [], set())


def test_a_call_that_comes_before_it_runs_on_the_background_thread() -> None:
    moves: list[str] = []
    runtime = runtime_that_ended(moves)
    by: SimpleQueue[str] = SimpleQueue()
    runtime.post(lambda: by.put(threading.current_thread().name))
    try:
        assert by.get(timeout=8) == "heimdall-reactive"
        assert (runtime.background, moves) == (True, ["moved"])
    finally:
        runtime.release()
    runtime.post(lambda: moves.append("called"))  # the thread's loop is closed by now, too
    assert (runtime.background, moves) == (False, ["moved"])


READS: dict[str, Callable[[WebSocketStore[Any]], object]] = {
    "connected": lambda store: store.connected,
    "is_connected": lambda store: store.is_connected.value,
    "state": lambda store: store.state.value.is_connected,
    "select": lambda store: store.select(lambda state: state.is_connected).value,
    "view": lambda store: store.observe_on(QueueHop()).connected,
    "observer": lambda store: record(store.is_connected)[0],
    "observer of a selection": lambda store: record(store.select(lambda s: s.is_connected))[0],
}


def of_a_loop_that_has_ended(url: str, **options: Any) -> WebSocketStore[Any]:
    """Return a store that was connected when its event loop ended."""

    async def leave() -> WebSocketStore[Any]:
        store = use_websocket(url, **options)
        await store.wait_connected(8)
        return store

    return asyncio.run(leave())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of asyncio: the transport is left open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("share", [False, True])
def test_a_store_whose_loop_has_ended_says_so_when_it_is_only_read(
    read: Callable[[WebSocketStore[Any]], object], share: bool
) -> None:
    with serve_in_thread(require_token=False) as server:
        store = of_a_loop_that_has_ended(f"{server.url}/v1/ws", share=share, share_linger=0)
        assert read(store) is False
        state = store.state.value
        assert (state.status, state.connected_at, state.session) == ("disconnected", None, 1)
        assert "the event loop was closed" in str(state.error)
        assert store.latency.value is None
        assert "disconnected" in repr(store)
        store.close()
        assert store.state.value.status == "disconnected"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_wait_brings_a_store_back_whose_loop_has_ended() -> None:
    with serve_in_thread(require_token=False) as server:
        store = of_a_loop_that_has_ended(f"{server.url}/v1/ws", reconnect_delay=0.1)
        selected = store.select(lambda state: state.status)
        assert selected.value == "disconnected"
        state = store.wait_connected().result(8)
        assert (state.session, store.connected, selected.value) == (2, True, "connected")
        store.close()


def test_what_ended_before_its_loop_stays_as_it_was() -> None:
    async def fail() -> WebSocketStore[Any]:
        store = use_websocket("no URL")
        await store.wait_for(lambda state: state.status is Status.FAILED)
        return store

    store = asyncio.run(fail())
    assert isinstance(store.state.value.error, InvalidEndpoint)
    assert store.state.value.status is Status.FAILED
    store.close()


# No thread can be started


def test_a_store_that_needs_a_thread_says_why_it_cannot_be() -> None:
    with no_more_threads(), pytest.raises(ConfigurationError, match="no thread with an event loop"):
        use_websocket("ws://localhost:9/", loop="thread")


async def no_sockets(*_: Any) -> Any:
    raise NotImplementedError  # as `create_connection` of a loop without sockets


async def test_a_store_without_sockets_and_without_threads_fails_with_its_reason() -> None:
    async with use_websocket("ws://localhost:9/", transport=no_sockets, immediate=False) as store:
        with no_more_threads():
            store.connect()
            state = await store.wait_for(lambda state: state.status is Status.FAILED, timeout=8)
        assert isinstance(state.error, ConfigurationError)
        assert "no thread with an event loop" in str(state.error)
        store.connect()  # threads can be had again: it goes on as ever
        await store.wait_for(
            lambda state: state.status is Status.FAILED and "another one" in str(state.error),
            timeout=8,
        )
