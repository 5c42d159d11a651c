from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from reactivex import Observable, Subject
from reactivex import operators as ops
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import (
    ConfigurationError,
    HandlerCancelled,
    ObserverError,
    StoreError,
    StreamOverflow,
    WebSocketStore,
    create_websocket,
    use_websocket,
)
from heimdall_reactive.devserver import serve_in_thread
from heimdall_reactive.testing import ScriptedPeer
from tests.peers import peer, quick
from tests.support import record, run, until
from tests.virtual import loop

URL = "ws://localhost/v1/ws"


def test_a_handler_is_awaited_in_order_over_a_reconnection() -> None:
    async def main() -> None:
        sessions: list[ServerConnection] = []

        async def handler(ws: ServerConnection) -> None:
            sessions.append(ws)
            for n in range(50):
                await ws.send(str(100 * len(sessions) + n))
            if len(sessions) == 1:
                ws.transport.abort()
            await ws.wait_closed()

        async with peer(handler) as url, quick(url, message_type=int) as store:
            hot = record(store.messages)
            seen: list[int] = []
            running = 0
            last = asyncio.Event()

            async def slow(message: int) -> None:
                nonlocal running
                running += 1
                assert running == 1
                await asyncio.sleep(0.001 if message % 7 == 0 else 0)
                seen.append(message)
                running -= 1
                if message == 249:
                    last.set()

            store.on_message(slow)
            await asyncio.wait_for(last.wait(), 8)
            assert seen == hot == [*range(100, 150), *range(200, 250)]

    run(main)


@pytest.mark.heimdall_virtual_time
async def test_calls_at_a_time_are_as_many_as_wanted() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        clock = asyncio.get_running_loop().time
        ends: list[float] = []

        async def one_second(_: Any) -> None:
            await asyncio.sleep(1)
            ends.append(clock())

        handler = store.on_message(one_second, concurrency=3, name="three")
        link = await peer.accepted()
        began = clock()
        for n in range(7):
            link.send(n)
        await asyncio.sleep(10)
        assert [round(end - began) for end in ends] == [1, 1, 1, 2, 2, 2, 3]
        assert store.stats.consumers == (handler.stats,)
        assert (handler.stats.name, handler.stats.delivered) == ("three", 7)


@pytest.mark.heimdall_virtual_time
async def test_what_a_handler_raises_is_reported_and_the_next_call_comes() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        errors = record(store.errors)
        seen: list[int] = []

        async def failing(message: Any) -> None:
            if message == 1:
                raise ValueError
            if message == 2:
                raise asyncio.CancelledError  # of something that it awaited
            seen.append(message)

        store.on_message(failing, name="failing")
        link = await peer.accepted()
        for n in range(4):
            link.send(n)
        await asyncio.sleep(1)
        assert seen == [0, 3]
        assert [(type(e), e.subject) for e in errors] == [(ObserverError, "failing")] * 2


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize("raised", [ValueError("x"), StoreError("x")])
@pytest.mark.parametrize("of", [lambda errors: errors, lambda errors: errors.pipe(ops.map(str))])
async def test_a_handler_of_the_errors_that_raises_does_not_feed_itself(
    of: Any, raised: Exception
) -> None:
    async def broken(_: Any) -> None:
        if handler.stats.failed > 9:  # else this would go on without end
            handler.dispose()
        raise raised

    link_of = ScriptedPeer()
    async with use_websocket(URL, transport=link_of) as store:
        handler = store.on_each(of(store.errors), broken)
        link = await link_of.accepted()
        for count in (2, 3):  # its own error comes to it the first time
            link.send("not json")
            await loop().idle()
            assert handler.stats.failed == count
        assert store.connected


@pytest.mark.parametrize(
    ("overflow", "left"),
    [("latest", [0, 99]), ("drop_oldest", [0, 97, 98, 99]), ("drop_newest", [0, 1, 2, 3])],
)
@pytest.mark.heimdall_virtual_time
async def test_a_slow_handler_of_each_policy(overflow: Any, left: list[int]) -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        gate = asyncio.Event()
        seen: list[int] = []

        async def slow(message: Any) -> None:
            seen.append(message)
            await gate.wait()

        handler = store.on_message(slow, overflow=overflow, maxsize=3)
        fast = record(store.messages)
        link = await peer.accepted()
        link.send(0)
        await asyncio.sleep(1)
        for n in range(1, 100):
            link.send(n)
        await asyncio.sleep(1)
        gate.set()
        await asyncio.sleep(1)
        assert fast == list(range(100))
        assert seen == left
        assert handler.stats.dropped + len(seen) == 100


@pytest.mark.heimdall_virtual_time
async def test_a_handler_that_must_miss_nothing_is_ended_and_reported_if_it_is_too_slow() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        errors = record(store.errors)
        seen: list[int] = []

        async def slow(message: Any) -> None:
            await asyncio.sleep(1)
            seen.append(message)

        store.on_message(slow, overflow="error", maxsize=2, name="ledger")
        link = await peer.accepted()
        for n in range(5):
            link.send(n)
        await asyncio.sleep(5)
        link.send(5)
        await asyncio.sleep(5)
        assert seen == [0, 1]
        (error,) = errors
        assert isinstance(error, StreamOverflow)
        assert error.dropped == 3
        assert store.stats.consumers == ()


@pytest.mark.heimdall_virtual_time
async def test_a_handler_that_was_disposed_of_ends_its_call_and_gets_no_other() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        seen: list[int] = []

        async def slow(message: Any) -> None:
            await asyncio.sleep(1)
            seen.append(message)

        handler = store.on_message(slow)
        link = await peer.accepted()
        for n in range(3):
            link.send(n)
        await asyncio.sleep(0.5)
        handler.dispose()
        handler.dispose()
        await asyncio.sleep(5)
        assert seen == [0]
        assert handler.stats.dropped == 0
        assert store.stats.consumers == ()


@pytest.mark.heimdall_virtual_time
async def test_at_the_end_handlers_go_on_for_a_grace_and_are_then_cancelled() -> None:
    peer = ScriptedPeer()
    store = use_websocket(URL, transport=peer)
    seen: list[int] = []
    ends: list[float] = []
    errors = record(store.errors)
    clock = asyncio.get_running_loop().time

    async def slow(message: Any) -> None:
        try:
            await asyncio.sleep(0.75)
        finally:
            ends.append(clock() - closed)
        seen.append(message)

    handler = store.on_message(slow)
    link = await peer.accepted()
    for n in range(9):
        link.send(n)
    await asyncio.sleep(0.5)
    closed = clock()
    await store.aclose()
    assert seen == [0, 1, 2]
    assert ends == pytest.approx([0.25, 1.0, 1.75, 2.0], abs=0.1)
    stats = handler.stats
    assert (stats.delivered, stats.failed, stats.dropped, stats.waiting) == (3, 1, 5, 0)
    (error,) = errors
    assert isinstance(error, HandlerCancelled)
    assert (error.cancelled, error.dropped) == (1, 5)
    assert str(error) == (
        "'handler 1' was not done 2 s after the store closed: calls cancelled: 1, "
        "values dropped: 5; give it more time by grace="
    )


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("disconnects", [False, True])
async def test_the_last_batch_of_a_pipeline_is_handled_at_the_end(
    share: bool, disconnects: bool
) -> None:
    peer = ScriptedPeer()
    store = use_websocket(URL, transport=peer, share=share, share_linger=0.0)
    errors, batches, flushed = record(store.errors), list[list[int]](), list[list[int]]()

    async def write(batch: list[int]) -> None:
        await asyncio.sleep(0.5)
        batches.append(batch)

    every: Observable[list[int]] = store.messages.pipe(
        ops.buffer_with_time_or_count(60, 3, scheduler=store.scheduler), ops.filter(bool)
    )
    handler = store.on_each(every, write, overflow="error")
    every.subscribe(flushed.append)
    link = await peer.accepted()
    for n in range(5):
        link.send(n)
    await asyncio.sleep(0.1)
    if disconnects:
        store.disconnect()
    await store.aclose()
    assert batches == flushed == [[0, 1, 2], [3, 4]]
    assert (handler.stats.delivered, handler.stats.dropped, errors) == (2, 0, [])


@pytest.mark.heimdall_virtual_time
async def test_the_last_batch_of_a_channel_is_handled_at_the_end() -> None:
    peer = ScriptedPeer()
    store = use_websocket(URL, transport=peer)
    batches: list[Any] = []

    async def write(batch: list[Any]) -> None:
        batches.append(batch)

    store.on_each(store.channel("a").pipe(ops.to_list()), write)
    link = await peer.accepted()
    await asyncio.sleep(0.1)
    link.send({"type": "Message", "channel": "a", "data": "1"})
    await asyncio.sleep(0.1)
    await store.aclose()
    assert [len(batch) for batch in batches] == [1]


@pytest.mark.heimdall_virtual_time
async def test_a_handler_that_must_miss_nothing_is_reported_at_the_end_as_well() -> None:
    peer = ScriptedPeer()
    store = use_websocket(URL, transport=peer)
    errors = record(store.errors)

    async def slow(_: Any) -> None:
        await asyncio.sleep(50)

    store.on_message(slow, overflow="error", maxsize=2)
    link = await peer.accepted()
    for n in range(5):
        link.send(n)
    await asyncio.sleep(1)
    await store.aclose()
    assert [type(error) for error in errors] == [StreamOverflow, HandlerCancelled]


@pytest.mark.heimdall_virtual_time
async def test_a_handler_has_as_long_as_it_was_given() -> None:
    peer = ScriptedPeer()
    store = use_websocket(URL, transport=peer)
    errors, seen = record(store.errors), list[Any]()

    def taking(seconds: float) -> Any:
        async def slow(message: Any) -> None:
            await asyncio.sleep(seconds)
            seen.append((seconds, message))

        return slow

    store.on_message(taking(3.0))
    store.on_message(taking(7.0), grace=30.0)
    store.on_message(taking(0.1), grace=0.0)
    link = await peer.accepted()
    link.send(1)
    link.send(2)
    await asyncio.sleep(0.05)
    await store.aclose()
    assert seen == [(7.0, 1), (7.0, 2)]
    assert [error.args[0].partition(":")[0] for error in errors] == [
        "'handler 3' was not done 0 s after the store closed",
        "'handler 1' was not done 2 s after the store closed",
    ]
    store = use_websocket(URL, transport=peer)
    with pytest.raises(ConfigurationError, match="grace must be a number of seconds, not -1"):
        store.on_message(taking(0.1), grace=-1)
    await store.aclose()


def test_a_blocking_close_waits_as_long_as_its_slowest_handler_may_take() -> None:
    seen = threading.Event()

    async def slow(_: Any) -> None:
        await asyncio.sleep(0.5)
        seen.set()

    with serve_in_thread(require_token=False, echo=True) as server:
        store = use_websocket(server.url + "/v1/ws", close_timeout=0.1)
        store.wait_connected(8).result()
        handler = store.on_each(store.is_connected, slow, grace=20.0)
        assert store._life._grace + store._life._allowed > 20.0
        store.close()
    assert seen.is_set()
    assert handler.stats.dropped == 0


@pytest.mark.heimdall_virtual_time
async def test_a_pipeline_that_raises_says_that_it_has_ended() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        errors, seen = record(store.errors), list[float]()

        def inverse(number: int) -> float:
            return 1 / number

        async def take(value: float) -> None:
            await asyncio.sleep(0.1)
            seen.append(value)

        handler = store.on_each(store.messages.pipe(ops.map(inverse)), take, name="db")
        link = await peer.accepted()
        for n in (1, 2, 0, 4):
            link.send(n)
        await asyncio.sleep(1)
        assert seen == [1.0, 0.5]  # what it gave is still handled
        (error,) = errors
        assert isinstance(error, ObserverError)
        assert str(error).startswith("a pipeline of 'db' raised ZeroDivisionError and has ended")
        assert store.stats.consumers == ()
        assert handler.stats.delivered == 2


@pytest.mark.heimdall_virtual_time
async def test_a_handler_that_will_not_end_delays_the_close_by_a_bound() -> None:
    peer = ScriptedPeer()
    store = use_websocket(URL, transport=peer)
    free = asyncio.Event()
    done = asyncio.Event()

    async def stubborn(_: Any) -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue
        done.set()

    store.on_message(stubborn)
    (await peer.accepted()).send(1)
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()
    await store.aclose()
    assert asyncio.get_running_loop().time() - began < 4
    free.set()
    await done.wait()


@pytest.mark.heimdall_virtual_time
async def test_a_handler_may_close_its_own_store() -> None:
    peer = ScriptedPeer()
    store = use_websocket(URL, transport=peer)
    clock = asyncio.get_running_loop().time
    seen: list[Any] = []
    closed = asyncio.Event()

    async def end(message: Any) -> None:
        began = clock()
        await store.aclose()
        seen.append((message, round(clock() - began)))
        closed.set()

    store.on_message(end)
    link = await peer.accepted()
    link.send({"n": 1})
    link.send({"n": 2})
    await closed.wait()
    assert seen == [({"n": 1}, 0)]


@pytest.mark.heimdall_virtual_time
async def test_any_observable_of_a_store_has_async_handlers() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        seen: list[int] = []

        async def session(state: Any) -> None:
            seen.append(state.session)

        opened = store.state.filter(lambda state: state.is_connected)
        store.on_each(opened, session)
        (await peer.accepted()).drop()
        await peer.accepted()
        await asyncio.sleep(1)
        assert seen == [1, 2]


@pytest.mark.heimdall_virtual_time
async def test_a_concurrency_that_can_not_work_is_refused() -> None:
    async def nothing(_: Any) -> None: ...

    async with use_websocket(URL, transport=ScriptedPeer()) as store:
        for wrong in (0, True, 1.5):
            number: Any = wrong
            with pytest.raises(ConfigurationError, match="concurrency must be 1 or more"):
                store.on_message(nothing, number)
        assert store.stats.consumers == ()


async def test_the_busy_handler_of_a_client_leaves_no_task_behind() -> None:
    async def echo(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)

    ended: list[str] = []

    async def busy(_: Any) -> None:
        try:
            await asyncio.sleep(0.1)
            ended.append("done")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async with peer(echo) as url:
        client = create_websocket(url, on_message=busy)
        await client.socket.wait_connected(8)
        await client.send(1)
        await until(client.socket, lambda: client.socket.last_message.value == 1)
        await client.aclose()
        assert ended == ["done"]


def test_a_handler_runs_on_the_background_loop_of_a_synchronous_program() -> None:
    seen: list[tuple[Any, str]] = []

    async def handler(message: Any) -> None:
        await asyncio.sleep(0.01)
        seen.append((message, threading.current_thread().name))

    with serve_in_thread(echo=True) as server:
        with use_websocket(f"{server.url}/v1/ws/status", message_type=int) as store:
            store.on_message(handler)
            store.wait_connected(8).result()
            came = threading.Event()
            store.messages.subscribe(lambda _: came.set())
            store.send(1).result(8)
            assert came.wait(8)
        assert seen == [(1, "heimdall-reactive")]


@pytest.mark.heimdall_virtual_time
async def test_each_store_that_shares_a_connection_has_consumers_of_its_own() -> None:
    peer = ScriptedPeer()
    options: Any = {"transport": peer, "share": True, "share_linger": 0}
    seen: list[int] = []

    async def slow(message: Any) -> None:
        await asyncio.sleep(0.5)
        seen.append(message)

    async with use_websocket(URL, **options) as first:
        stream = first.stream(name="mine")
        async with use_websocket(URL, **options) as second:
            second.on_message(slow, name="other")
            link = await peer.accepted()
            link.send(1)
            link.send(2)
            await asyncio.sleep(0.1)
            assert [stats.name for stats in first.stats.consumers] == ["mine"]
            assert [stats.name for stats in second.stats.consumers] == ["other"]
        assert seen == [1, 2]
        link.send(3)
        assert [await anext(stream) for _ in range(3)] == [1, 2, 3]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_handler_goes_on_where_its_store_had_to_leave_a_closed_loop() -> None:
    seen: list[int] = []
    came = threading.Event()
    stuck = asyncio.Event()

    async def handler(message: int) -> None:
        seen.append(message)
        if message == 1:
            stuck.set()
            await asyncio.Event().wait()
        came.set()

    with serve_in_thread(echo=True) as server:

        async def begin() -> WebSocketStore[int]:
            store = use_websocket(f"{server.url}/v1/ws/status", message_type=int)
            store.on_message(handler)
            await store.wait_connected(8)
            await store.send(1)
            await asyncio.wait_for(stuck.wait(), 8)
            return store

        with asyncio.run(begin()) as store:
            store.connect()
            store.wait_for(lambda state: state.session == 2, 8).result()
            store.send(2)
            assert came.wait(8)
    assert seen == [1, 2]


def test_a_replay_on_another_thread_is_handled_on_the_loop() -> None:
    seen: list[tuple[bool, str]] = []
    came = threading.Event()

    async def look(connected: bool) -> None:
        seen.append((connected, threading.current_thread().name))
        came.set()

    with (
        serve_in_thread() as server,
        use_websocket(f"{server.url}/v1/ws/status", loop="thread") as store,
    ):
        store.wait_connected(8).result()
        store.on_each(store.is_connected, look)
        assert came.wait(8)
    assert seen == [(True, "heimdall-reactive"), (False, "heimdall-reactive")]


@pytest.mark.heimdall_virtual_time
async def test_a_call_that_somebody_cancelled_costs_no_other() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        seen: list[Any] = []

        async def cancel_itself(message: Any) -> None:
            if message == 0:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            await asyncio.sleep(1)
            seen.append(message)

        store.on_message(cancel_itself)
        link = await peer.accepted()
        for n in range(3):
            link.send(n)
        await asyncio.sleep(5)
        assert seen == [1, 2]


@pytest.mark.heimdall_virtual_time
async def test_calls_that_fail_or_are_cancelled_are_counted_by_themselves() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer, message_type=str) as store:
        running: list[asyncio.Task[Any]] = []

        async def handle(message: Any) -> None:
            task = asyncio.current_task()
            assert task is not None
            if message == "raises":
                raise LookupError
            if message == "is cancelled by what it awaits":
                raise asyncio.CancelledError
            if message == "is cancelled":
                running.append(task)
                await asyncio.sleep(60)
            if message == "takes its time":
                await asyncio.sleep(60)

        handler = store.on_message(handle)
        link = await peer.accepted()
        link.send("is fine")
        for message in ("raises", "is cancelled by what it awaits", "is cancelled"):
            link.send(message)
        await asyncio.sleep(1)
        assert repr(handler) == "<AsyncHandler handler 1: 0 waiting, 2 delivered, 2 failed>"
        running[0].cancel()
        await asyncio.sleep(1)
        link.send("takes its time")
        await asyncio.sleep(1)
        stats = handler.stats
        assert (stats.delivered, stats.failed, stats.waiting, stats.dropped) == (2, 3, 0, 0)
        assert store.stats.consumers == (stats,)


@pytest.mark.heimdall_virtual_time
async def test_what_comes_after_the_end_is_dropped_and_counted() -> None:
    store = use_websocket(URL, transport=ScriptedPeer())
    await store.wait_connected()
    source: Subject[int] = Subject()
    seen: list[int] = []

    async def take(value: int) -> None:
        seen.append(value)

    handler = store.on_each(source, take)
    source.on_next(1)
    await store.aclose()
    source.on_next(2)
    await asyncio.sleep(1)
    assert seen == [1]
    assert (handler.stats.delivered, handler.stats.dropped) == (1, 1)


def test_what_a_thread_emits_is_handled_after_the_event_loop_was_closed() -> None:
    loop = asyncio.new_event_loop()
    source: Subject[int] = Subject()
    seen: list[int] = []
    came = threading.Event()

    async def handler(value: int) -> None:
        seen.append(value)
        if value == 2:
            came.set()

    with use_websocket("ws://127.0.0.1:9", loop=loop, immediate=False) as store:
        store.on_each(source, handler)
        source.on_next(1)  # posted to an event loop that never runs it
        loop.close()
        source.on_next(2)
        assert came.wait(8)
    assert seen == [1, 2]


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize("share", [False, True])
async def test_a_consumer_that_is_too_slow_is_in_the_log_once_a_burst(
    share: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow(_: object) -> None:
        await asyncio.sleep(60)

    caplog.set_level(logging.WARNING, "heimdall_reactive")
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer, share=share, share_linger=0.0) as store:
        stream = store.stream(maxsize=3, name="log")
        newest = store.stream(overflow="latest")
        store.on_message(slow, maxsize=2, overflow="drop_newest")
        view = store.observe_on(lambda _: None, maxsize=4)
        link = await peer.accepted()
        for n in range(10):
            link.send(n)
        await asyncio.sleep(1)
        assert [await anext(stream) for _ in range(3)] == [7, 8, 9]
        for n in range(10):
            link.send(n)
        await asyncio.sleep(1)
        assert (newest.stats.dropped, view.stats.dropped) == (19, 16)
    told = [entry.getMessage() for entry in caplog.records if vars(entry)["event"] == "overflow"]
    assert [line.removeprefix(f"{URL}: ").partition(" so far; ")[0] for line in told] == [
        "'handler 3' is too slow: 8 values dropped",
        "'log' is too slow: 7 values dropped",
        "'view 4' is too slow: 6 values dropped",
        "'log' is too slow: 14 values dropped",
    ]
    assert "raise maxsize=2, or pass overflow='latest'" in told[0]
