"""A wait ends after every observer of the same change was told, on every Python."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import pytest

from heimdall_reactive import (
    ConnectTimeout,
    Pong,
    RequestLost,
    Status,
    StoreClosed,
    WaitTimeout,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.base.receipt import refuse_on_loop
from heimdall_reactive.devserver import serve_in_thread
from heimdall_reactive.requests import Request
from heimdall_reactive.testing import Hang, ScriptedPeer
from tests.virtual import store_of

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 0.2  # seconds in which a wait that ends too early is seen


def posted(source: Any) -> list[Any]:
    """Note the values of a source in turns of the event loop of their own."""
    seen: list[Any] = []
    loop = asyncio.get_running_loop()
    source.subscribe(lambda value: loop.call_soon_threadsafe(seen.append, value))
    return seen


@pytest.mark.heimdall_virtual_time
async def test_a_wait_ends_after_what_the_observers_of_the_same_change_have_posted() -> None:
    async with store_of(ScriptedPeer(), immediate=False) as store:
        seen = [posted(store.is_connected)]

        def connect() -> None:  # in the next turn, when the wait watches
            seen.extend(map(posted, (store.state, store.is_connected, store.transitions)))
            store.connect()

        asyncio.get_running_loop().call_soon(connect)
        state = await store.wait_connected()
        before, states, late, transitions = (values[-1] for values in seen)
        assert (before, states, late, transitions[1]) == (True, state, True, state)


@pytest.mark.heimdall_virtual_time
async def test_a_wait_for_a_store_that_is_closed_ends_after_the_observers_of_its_end() -> None:
    store, ended = store_of(ScriptedPeer()), list[str]()
    loop = asyncio.get_running_loop()
    await store.wait_connected()

    def end() -> None:
        loop.call_soon(ended.append, "errors")

    def close() -> None:  # in the next turn, when the wait watches
        store.errors.subscribe(on_completed=end)
        store.close()

    loop.call_soon(close)
    with pytest.raises(StoreClosed):
        await store.wait_for(lambda state: state.status is Status.FAILED)
    assert ended == ["errors"]
    await store.aclose()


@pytest.mark.heimdall_virtual_time
async def test_a_request_ends_after_what_the_observers_of_its_answer_have_posted() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        link = await peer.accepted()
        await store.wait_connected()
        request = store.request({"ask": 1}, match=lambda m: m.get("answer") == 1)
        late = posted(store.messages), posted(store.last_message)
        link.send({"answer": 1})
        assert await request == {"answer": 1}
        assert [seen[-1] for seen in late] == [{"answer": 1}] * 2
        lost = store.request({"ask": 2}, match=lambda m: m.get("answer") == 2)
        assert [await link.receive() for _ in range(2)] == [{"ask": 1}, {"ask": 2}]
        late = posted(store.is_connected), posted(store.transitions)
        link.drop()
        with pytest.raises(RequestLost):
            await lost
        assert late[0] == [True, False]
        assert len(late[1]) == 1


@pytest.mark.heimdall_virtual_time
async def test_a_close_that_an_observer_began_is_waited_for() -> None:
    peer = ScriptedPeer()
    store = use_websocket("ws://localhost/v1/ws", transport=peer, share=True, share_linger=0)
    store.messages.subscribe(lambda _: store.close())
    (await peer.accepted()).send({"n": 1})
    async with asyncio.timeout(5):
        while not store._life.ended:  # noqa: ASYNC110 - the turn of its end is looked for
            await asyncio.sleep(0)
    await store.aclose()
    assert peer.live == []


@pytest.fixture
def threaded() -> Iterator[WebSocketStore[Any]]:
    """Make a store on the background thread, not yet connected."""
    with (
        serve_in_thread(require_token=False) as server,
        use_websocket(f"{server.url}/v1/ws", immediate=False, loop="thread") as store,
    ):
        yield store


def watched(store: WebSocketStore[Any], resumed: threading.Event) -> list[bool]:
    """Have the store's last observer note whether a wait had ended before it."""
    early: list[bool] = []
    watching = threading.Event()

    def look(pair: tuple[Any, Any]) -> None:
        if pair[1].is_connected:
            early.append(resumed.wait(PATIENCE))

    def subscribe() -> None:
        store.transitions.subscribe(look)
        watching.set()

    store._life.call(subscribe)  # behind the wait, which has begun there
    assert watching.wait(5)
    return early


def begins(store: WebSocketStore[Any], begin: Callable[[], object]) -> None:
    """Return when a wait that another thread begins watches the state."""
    states: Any = store.state
    before = len(states._records)
    begin()
    while len(states._records) == before:
        done = threading.Event()
        store._life.call(done.set)
        assert done.wait(5)


async def test_a_wait_on_another_loop_ends_after_the_observers(
    threaded: WebSocketStore[Any],
) -> None:
    resumed, waiter = threading.Event(), threaded.wait_connected(5)
    waiting = asyncio.ensure_future(waiter._wait())
    await asyncio.sleep(0)
    early = watched(threaded, resumed)
    threaded.connect()
    await waiting
    resumed.set()
    assert early == [False]


def test_a_wait_of_a_thread_ends_after_the_observers(threaded: WebSocketStore[Any]) -> None:
    resumed, waiter = threading.Event(), threaded.wait_connected(5)

    def wait() -> None:
        waiter.result()
        resumed.set()

    thread = threading.Thread(target=wait)
    begins(threaded, thread.start)
    early = watched(threaded, resumed)
    threaded.connect()
    thread.join()
    assert early == [False]


def test_a_request_of_a_thread_ends_after_the_observers(threaded: WebSocketStore[Any]) -> None:
    threaded.connect()
    threaded.wait_connected(5).result()
    made: Future[Request[Any]] = Future()
    resumed, early = threading.Event(), list[bool]()

    def ask() -> None:
        made.set_result(threaded.request({"type": "Ping"}, match=lambda m: isinstance(m, Pong)))
        threaded.messages.subscribe(lambda _: early.append(resumed.wait(PATIENCE)))

    threaded._life.call(ask)
    made.result(5).result(5)
    resumed.set()
    assert early == [False]


@pytest.mark.heimdall_virtual_time
async def test_a_wait_leaves_no_observer_however_it_ends() -> None:
    peer = ScriptedPeer()
    async with use_websocket("ws://localhost/", transport=peer) as store:
        await store.wait_connected()
        with pytest.raises(WaitTimeout) as caught:
            await store.wait_for(lambda state: state.session == 2, 5)
        assert str(caught.value) == "not reached within 5 s; the store is connected"
        with pytest.raises(ZeroDivisionError):
            await store.wait_for(lambda state: state.session / 0 > 1)
        waiting = asyncio.ensure_future(_wait(store))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert store.state.observers == []
        with pytest.raises(
            RuntimeError, match=r"^result\(\) would block this event loop; await it"
        ):
            store.wait_connected().result()


async def _wait(store: WebSocketStore[Any]) -> None:
    await store.wait_for(lambda state: state.session == 2)


def test_a_wait_of_a_thread_leaves_no_observer_either(threaded: WebSocketStore[Any]) -> None:
    before = len(threaded.state.observers)
    with pytest.raises(WaitTimeout, match=r"not reached within 0\.01 s"):
        threaded.wait_for(lambda state: state.session == 99, 60).result(0.01)
    threaded.wait_for(lambda state: True).result(8)
    assert len(threaded.state.observers) == before


@pytest.mark.heimdall_virtual_time
async def test_a_store_that_gave_up_after_a_timeout_of_its_own_says_so() -> None:
    peer = ScriptedPeer(Hang())
    async with store_of(peer, open_timeout=2.0, max_reconnect_attempts=0) as store:
        with pytest.raises(ConnectTimeout) as caught:
            await store.wait_connected(5)
        assert caught.value is store.state.value.error


def test_a_thread_is_told_of_it_as_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"ws://127.0.0.1:{mute.getsockname()[1]}"
        with (
            use_websocket(url, open_timeout=0.05, max_reconnect_attempts=0) as store,
            pytest.raises(ConnectTimeout),
        ):
            store.wait_connected().result(10)


@pytest.mark.heimdall_virtual_time
async def test_a_state_that_is_there_is_found_without_any_time() -> None:
    async with store_of(ScriptedPeer()) as store:
        await store.wait_connected()
        assert (await store.wait_connected(0)).is_connected
        with pytest.raises(WaitTimeout, match="not reached within 0 s"):
            await store.wait_for(lambda state: state.session == 2, 0)


@pytest.mark.heimdall_virtual_time
async def test_a_predicate_that_finds_nothing_to_iterate_over_ends_its_wait() -> None:
    async with store_of(ScriptedPeer(), immediate=False) as store:
        waiting = asyncio.ensure_future(
            _found(store, lambda state: state.is_connected and next(iter(())))
        )
        await asyncio.sleep(0)
        store.connect()
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            await waiting


async def _found(store: WebSocketStore[Any], predicate: Callable[[Any], bool]) -> None:
    await store.wait_for(predicate)


PATCHED: Final = """
import sys
if sys.argv[2] == "gevent":
    from gevent import monkey
    monkey.patch_all()
else:
    import eventlet
    eventlet.monkey_patch()
import time
from heimdall_reactive import use_websocket

store, seen = use_websocket(sys.argv[1]), []
store.messages.subscribe(seen.append)
for wait in (
    store.wait_connected().result, store.send({"n": 1}).result, store.iterate,
    store.send({"n": 2}).delivered().result, store.request({"n": 3}, match=bool).result,
):
    try:
        wait()
    except RuntimeError as error:
        print(str(error).partition(" cannot wait ")[2])
until = time.monotonic() + 20
while len(seen) < 3 and time.monotonic() < until:
    time.sleep(0.01)
print(store.connected, seen)
store.close()
while store.state.value.status != "disconnected" and time.monotonic() < until:
    time.sleep(0.01)
"""


@pytest.mark.parametrize("patch", ["gevent", "eventlet"])
def test_a_wait_among_patched_threads_says_why_it_cannot_be(patch: str) -> None:
    if importlib.util.find_spec(patch) is None:
        pytest.skip(f"pip install {patch}")
    with serve_in_thread(require_token=False, echo=True) as server:
        command = [sys.executable, "-c", PATCHED, f"{server.url}/v1/ws", patch]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    why = (
        f"where {patch} has patched threads: they are one thread, which runs the store's event "
        "loop; observe the store, or make it in a process without that patch"
    )
    seen = [{"n": n} for n in (1, 2, 3)]
    assert done.stdout.splitlines() == [why] * 5 + [f"True {seen}"], done.stderr


async def test_a_patch_that_is_only_installed_changes_no_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The modules as they are where they were imported and patch nothing, or everything."""
    for name, question in (("gevent", "is_module_patched"), ("eventlet", "is_monkey_patched")):
        for patched, words in ((False, "event loop; await it"), (True, f"where {name} has")):
            module: Any = types.ModuleType(name)
            setattr(module, question, lambda _, patched=patched: patched)
            path = "gevent.monkey" if name == "gevent" else "eventlet.patcher"
            monkeypatch.setitem(sys.modules, path, module)
            with pytest.raises(RuntimeError, match=words):
                refuse_on_loop("result()", "await it")
        monkeypatch.delitem(sys.modules, path)


async def test_a_wait_that_nobody_waits_for_warns_and_says_what_to_write() -> None:
    async with use_websocket("/v1/ws", immediate=False) as store:
        waiter = store.wait_connected()
        assert "await it, or call result()" in repr(waiter)
        with pytest.warns(RuntimeWarning, match=r"await store\.wait_connected") as caught:
            del waiter
        assert caught[0].filename == __file__
        await store.wait_for(lambda state: True)  # says nothing
