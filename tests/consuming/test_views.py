from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import (
    ConfigurationError,
    InvalidMessage,
    ObserverError,
    ReadOnlyError,
    Receipt,
    use_websocket,
)
from heimdall_reactive.consuming.hops import QueueHop, loop_hop
from heimdall_reactive.consuming.views import KEPT_LIMIT
from heimdall_reactive.devserver import serve_in_thread
from heimdall_reactive.testing import ScriptedPeer
from tests.peers import peer, quick
from tests.support import record, run, until

URL = "ws://localhost/v1/ws"


@contextmanager
def window() -> Iterator[QueueHop]:
    """Run a thread that does what is posted to it, as the one of a window system."""
    hop = QueueHop()
    thread = threading.Thread(target=hop.run, name="window")
    thread.start()
    try:
        yield hop
    finally:
        hop.stop()
        thread.join(8)


def log_of(view: Any) -> list[Any]:
    """Record messages and states in one list, each with the thread and the values it was told."""
    log: list[Any] = []

    def note(what: Any) -> None:
        consistent = view.is_connected.value is view.state.value.is_connected
        log.append((what, consistent, threading.current_thread().name))

    view.messages.subscribe(note)
    view.transitions.subscribe(lambda pair: note(pair[1].status.value))
    return log


def test_a_view_tells_on_its_thread_what_the_store_told_and_in_its_order() -> None:
    async def main(hop: QueueHop) -> None:
        sessions: list[ServerConnection] = []

        async def handler(ws: ServerConnection) -> None:
            sessions.append(ws)
            for n in range(300):
                await ws.send(str(1000 * len(sessions) + n))
            if len(sessions) == 1:
                ws.transport.abort()
            await ws.wait_closed()

        async with peer(handler) as url, quick(url, message_type=int, immediate=False) as store:
            view = store.observe_on(hop)
            mine, theirs = log_of(store), log_of(view)
            ended = threading.Event()
            view.state.subscribe(on_completed=ended.set)
            store.connect()
            await until(store, lambda: store.last_message.value == 2299)
        assert await asyncio.to_thread(ended.wait, 5)
        assert [what for what, _, _ in theirs] == [what for what, _, _ in mine]
        assert {(consistent, name) for _, consistent, name in theirs} == {(True, "window")}
        assert view.stats.dropped == 0
        assert view.last_message.value == 2299

    with window() as hop:
        run(lambda: main(hop))


@pytest.mark.heimdall_virtual_time
async def test_one_wake_up_brings_all_that_waits() -> None:
    peer = ScriptedPeer()
    posted: list[Callable[[], None]] = []
    async with use_websocket(URL, transport=peer) as store:
        link = await peer.accepted()
        await store.wait_connected()
        view = store.observe_on(posted.append)
        seen = record(view.messages)
        for n in range(500):
            link.send(n)
        await asyncio.sleep(1)
        assert (len(posted), seen) == (1, [])
        posted.pop()()
        assert (posted, seen) == ([], list(range(500)))
        link.send(500)
        await asyncio.sleep(1)
        assert len(posted) == 1


@pytest.mark.heimdall_virtual_time
async def test_what_an_observer_causes_comes_in_another_turn_of_the_hop() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        await store.wait_connected()
        hop = QueueHop()
        view = store.observe_on(hop)
        seen = record(view.send)

        def echo(n: Any) -> None:
            if n:
                view.send(n + 1)

        view.send.subscribe(echo)
        view.send(1)
        turns = [hop.run_pending() for _ in range(4)]
        assert turns == [1, 1, 1, 1]
        assert seen == [None, 1, 2, 3, 4]


@pytest.mark.heimdall_virtual_time
async def test_a_full_view_drops_messages_and_counts_them_but_never_states() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer, reconnect_delay=1) as store:
        hop = QueueHop()
        view = store.observe_on(hop, maxsize=3)
        fast = record(store.messages)
        log = log_of(view)
        for _ in range(2):
            link = await peer.accepted()
            for n in range(10):
                link.send(n)
            await asyncio.sleep(1)
            link.drop()
        await asyncio.sleep(0.5)
        (counters,) = store.stats.consumers
        assert counters.dropped == 17
        hop.run_pending()
        assert fast == [*range(10)] * 2
        assert [what for what, _, _ in log] == [
            "connected", "waiting", "connecting", "connected", 7, 8, 9, "waiting",
        ]  # fmt: skip
        assert all(consistent for _, consistent, _ in log)


@pytest.mark.heimdall_virtual_time
async def test_a_hop_that_stands_still_for_ever_has_a_bounded_queue_and_the_last_state() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer, ping_interval=1) as store:
        hop = QueueHop()
        link = await peer.accepted()
        view = store.observe_on(hop)
        link.send("1")
        await asyncio.sleep(2 * KEPT_LIMIT)
        assert view.stats.high_water <= KEPT_LIMIT + 1
        store.disconnect()
        await asyncio.sleep(1)
        transitions = record(view.transitions)
        hop.run_pending()
        assert view.state.value is store.state.value
        assert transitions[-1][1] is store.state.value
        assert view.latency.value is None


@pytest.mark.heimdall_virtual_time
async def test_a_new_view_has_the_values_at_once_and_replays_no_message() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        link = await peer.accepted()
        link.send(1)
        store.send("x")
        await asyncio.sleep(1)
        hop = QueueHop()
        view = store.observe_on(hop)
        assert view.connected
        assert view.state.value is store.state.value
        assert view.last_message.value == 1
        assert view.latency.value == store.latency.value
        assert view.send.value == "x"
        assert view.select(lambda state: state.session).value == 1
        assert hop.run_pending() == 0


@pytest.mark.heimdall_virtual_time
async def test_a_view_made_in_an_observer_misses_nothing_and_repeats_nothing() -> None:
    peer = ScriptedPeer()
    hop = QueueHop()
    async with use_websocket(URL, transport=peer) as store:
        views: list[Any] = []
        seen: list[Any] = []

        def make(message: Any) -> None:
            if message == 3:
                views.append(store.observe_on(hop))
                views[0].messages.subscribe(seen.append)

        store.messages.subscribe(make)
        link = await peer.accepted()
        for n in range(6):
            link.send(n)
        await asyncio.sleep(1)
        hop.run_pending()
        assert seen == [4, 5]


@pytest.mark.heimdall_virtual_time
async def test_a_reset_of_the_last_message_is_none_and_no_message() -> None:
    peer = ScriptedPeer()
    hop = QueueHop()
    async with use_websocket(URL, transport=peer, access_token="a") as store:
        view = store.observe_on(hop)
        values, messages = record(view.last_message), record(view.messages)
        link = await peer.accepted()
        link.send(1)
        link.send(None)  # a message, as any JSON
        await asyncio.sleep(1)
        store.disconnect()
        store.set_access_token("b")
        store.connect()
        (await peer.accepted()).send(2)
        await asyncio.sleep(1)
        hop.run_pending()
        assert messages == [1, None, 2]
        assert values == [None, 1, None, None, 2]


@pytest.mark.heimdall_virtual_time
async def test_commands_of_a_view_go_to_the_store_and_its_errors_to_the_stores() -> None:
    peer = ScriptedPeer()
    hop = QueueHop()
    async with use_websocket(URL, transport=peer) as store:
        view = store.observe_on(hop, name="window")
        errors, theirs = record(store.errors), record(view.errors)
        link = await peer.accepted()
        await store.wait_connected()
        receipt = view.send({"n": 1})
        assert isinstance(receipt, Receipt)
        assert await link.receive() == {"n": 1}

        def fail(_: Any) -> None:
            raise ValueError

        view.messages.subscribe(fail)
        seen = record(view.messages)
        link.send(1)
        link.send("{")
        await asyncio.sleep(1)
        hop.run_pending()
        assert seen[0] == 1
        assert type(errors[-1]) is ObserverError
        hop.run_pending()
        assert theirs == errors
        assert {type(e) for e in errors} == {ObserverError, InvalidMessage}
        with pytest.raises(ReadOnlyError):
            view.state.on_next(store.state.value)
        view.disconnect()
        await asyncio.sleep(1)
        hop.run_pending()
        assert view.state.value.status.value == "disconnected"
        view.connect()
        await peer.accepted()
        assert store.stats.observer_errors == 1


@pytest.mark.heimdall_virtual_time
async def test_a_view_that_was_disposed_of_tells_nothing_more() -> None:
    peer = ScriptedPeer()
    hop = QueueHop()
    async with use_websocket(URL, transport=peer) as store:
        view = store.observe_on(hop)
        log = log_of(view)
        await peer.accepted()
        view.dispose()
        view.dispose()
        hop.run_pending()
        assert log == []
        assert store.stats.consumers == ()
        assert not store.state.observers


@pytest.mark.heimdall_virtual_time
async def test_a_hop_that_fails_costs_the_view_and_nothing_else() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        errors = record(store.errors)
        other = asyncio.new_event_loop()
        view = store.observe_on(loop_hop(other), name="window")  # held, or it may be collected
        other.close()
        seen = record(store.messages)
        link = await peer.accepted()
        link.send(1)
        link.send(2)
        await asyncio.sleep(1)
        assert seen == [1, 2]
        (error,) = errors
        assert (error.subject, type(error.error)) == ("window", RuntimeError)
        assert store.stats.consumers == ()
        view.dispose()


@pytest.mark.heimdall_virtual_time
async def test_a_view_of_a_closed_store_has_the_last_values_and_completes() -> None:
    hop = QueueHop()
    async with use_websocket(URL, transport=ScriptedPeer()) as store:
        await store.wait_connected()
    view = store.observe_on(hop)
    ended: list[int] = []
    view.messages.subscribe(on_completed=lambda: ended.append(1))
    view.send.subscribe(on_completed=lambda: ended.append(2))
    assert view.state.value is store.state.value
    hop.run_pending()
    assert ended == [1, 2]
    view.state.subscribe(on_completed=lambda: ended.append(3))
    assert ended == [1, 2, 3]


def test_a_view_on_another_event_loop() -> None:
    with serve_in_thread(echo=True) as server:
        store = use_websocket(f"{server.url}/v1/ws/status", loop="thread", message_type=int)

        async def main() -> None:
            view = store.observe_on(loop_hop())
            names: set[str] = set()
            seen: list[int] = []
            done = asyncio.Event()

            def take(message: int) -> None:
                names.add(threading.current_thread().name)
                seen.append(message)
                if len(seen) == 1000:
                    done.set()

            view.messages.subscribe(take)
            for n in range(1000):
                store.send(n)
            await asyncio.wait_for(done.wait(), 8)
            assert seen == list(range(1000))
            assert names == {"MainThread"}
            view.dispose()

        with store:
            store.wait_connected(8).result()
            asyncio.run(main())


@pytest.mark.heimdall_virtual_time
async def test_a_view_has_no_end_by_an_overflow() -> None:
    async with use_websocket(URL, transport=ScriptedPeer()) as store:
        with pytest.raises(ConfigurationError, match="must drop messages"):
            store.observe_on(QueueHop(), overflow="error")
        assert store.stats.consumers == ()
