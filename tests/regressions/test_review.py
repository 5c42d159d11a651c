"""What a review has found: each test failed before it was fixed."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import (
    ChannelProtocol,
    ConnectionState,
    Receipt,
    Status,
    use_websocket,
)
from heimdall_reactive.base.exceptions import (
    ConfigurationError,
    EncodeError,
    ObserverError,
    StoreClosed,
)
from heimdall_reactive.connecting.suspend import suspend_watch
from heimdall_reactive.reactive.bus import Bus
from heimdall_reactive.reactive.subjects import State
from heimdall_reactive.testing import ScriptedPeer, run
from tests import support
from tests.peers import peer, quick, raw_peer
from tests.support import fate, record, until
from tests.virtual import loop, store_of


class Interrupted:
    """A lock that lets something happen just before its first owner gets it."""

    def __init__(self, lock: Any, meanwhile: Any) -> None:
        self._lock = lock
        self._meanwhile = meanwhile

    def __enter__(self) -> None:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_an_emission_that_another_thread_has_committed_first_is_told_first() -> None:
    bus = Bus(lambda error, name, ended=False: None)
    state: State[str] = State(bus, "state", "")
    posted: list[Any] = []
    bus.bind(threading.get_ident(), posted.append)
    seen = record(state)

    def emit_elsewhere() -> None:
        thread = threading.Thread(target=lambda: bus.emit(state, "theirs"))
        thread.start()
        thread.join()

    bus.lock = Interrupted(bus.lock, emit_elsewhere)  # type: ignore[assignment]
    bus.emit(state, "ours")
    for call in posted:
        call()
    assert seen == ["", "theirs", "ours"]
    assert state.value == "ours"


def test_many_observers_cost_each_newcomer_little() -> None:
    state: State[int] = State(Bus(lambda error, name, ended=False: None), "state", 0)

    def seconds(count: int) -> float:
        gc.collect()
        start = time.process_time()
        subscriptions = [state.subscribe(lambda _: None) for _ in range(count)]
        for subscription in reversed(subscriptions):
            subscription.dispose()
        return time.process_time() - start

    seconds(100)
    assert seconds(3000) < 1.5  # it was 5


@pytest.mark.heimdall_virtual_time
async def test_what_callbacks_of_receipts_send_is_written_without_recursion() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, immediate=False) as store:
        answers: list[Receipt] = []
        for number in range(500):
            receipt = store.send(number)
            receipt.add_done_callback(lambda _: answers.append(store.send("ack")))
        store.connect()
        await store.wait_connected()
        await loop().idle()
        assert peer.links[0].received == [*range(500), *["ack"] * 500]
        assert [fate(receipt) for receipt in answers] == ["written"] * 500


def test_a_finaliser_may_send_while_a_receipt_is_made_waitable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = threading.Event()

    class Sender:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            Receipt().settle("written")
            done.set()

    def collecting() -> Future[Receipt]:
        gc.collect()  # as any allocation may
        return Future()

    monkeypatch.setattr("heimdall_reactive.base.receipt.Future", collecting)
    gc.collect()
    Sender()
    thread = threading.Thread(target=lambda: Receipt().add_done_callback(print), daemon=True)
    thread.start()
    assert done.wait(8)
    thread.join(8)


def test_words_for_a_channel_that_raise_end_no_attempt() -> None:
    def words(name: str) -> dict[str, str]:
        return {"sub": {"known": "known"}[name]}

    async def main() -> None:
        peer = ScriptedPeer()
        protocol = ChannelProtocol(subscribe=words, unsubscribe=words)
        async with store_of(peer, channel_protocol=protocol, immediate=False) as store:
            errors = record(store.errors)
            subscription = store.channel("unknown").subscribe(print)
            store.channel("known").subscribe(print)
            store.connect()
            await store.wait_connected(8)
            subscription.dispose()
            await loop().idle()
            assert peer.links[0].received == [{"sub": "known"}]
            assert [str(error) for error in errors] == [
                "the option channel_protocol raised KeyError; fix it"
            ]

    run(main)


@pytest.mark.heimdall_virtual_time
async def test_a_request_that_can_not_be_sent_leaves_nothing() -> None:
    peer = ScriptedPeer()
    async with store_of(peer, ping_interval=None) as store:
        await store.wait_connected()
        timers, asked = len(loop().timers), list[Any]()
        with pytest.raises(EncodeError):
            store.request(object(), match=asked.append, timeout=600)  # type: ignore[arg-type]
        await loop().idle()
        assert len(loop().timers) == timers
        peer.links[0].send("hello")
        await loop().idle()
        assert not asked


def test_a_request_to_a_closed_store_says_so() -> None:
    store = use_websocket("ws://localhost/x", transport=ScriptedPeer(), immediate=False)
    store.close()
    with pytest.raises(StoreClosed):
        store.request("x", match=bool)


class Many(asyncio.SelectorEventLoop):
    """An event loop that holds no sockets: many are made."""

    def __init__(self) -> None:
        pass

    def is_closed(self) -> bool:
        return False

    def __del__(self) -> None:
        pass


def test_event_loops_of_several_threads_are_watched_at_once() -> None:
    kept: list[Many] = []
    failed: list[Exception] = []

    def watch_some() -> None:
        try:
            for _ in range(60):
                kept.append(Many())
                suspend_watch(kept[-1], lambda _: 0.0)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=watch_some) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failed


def test_an_interrupt_leaves_a_delivering_loop_in_a_step_of_its_own() -> None:
    async def stay(connection: ServerConnection) -> None:
        await connection.send('{"n": 1}')
        await connection.wait_closed()

    def leave(state: ConnectionState) -> None:
        if state.status in (Status.CONNECTED, Status.DISCONNECTING):
            raise SystemExit(1)

    async def main() -> None:
        async with peer(stay) as url, quick(url, loop="thread", immediate=False) as store:
            store.state.subscribe(leave)
            store.connect()
            await until(store, lambda: store.last_message.value == {"n": 1})
            store.disconnect()
            await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 8)

    support.run(main)


def test_a_transport_that_is_not_implemented_fails_the_store() -> None:
    async def dial(*_: object) -> Any:
        raise NotImplementedError

    async def main() -> None:
        async with use_websocket("ws://localhost/x", transport=dial) as store:
            state = await store.wait_for(lambda state: state.status is Status.FAILED, 8)
            assert isinstance(state.error, ConfigurationError)

    support.run(main)


@pytest.mark.heimdall_virtual_time
async def test_who_gives_up_waiting_for_an_answer_takes_it_from_nobody_else() -> None:
    peer = ScriptedPeer()
    async with store_of(peer) as store:
        await store.wait_connected()
        request = store.request("question", match=bool, timeout=60)
        patient = asyncio.ensure_future(request)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(request, 1)
        peer.links[0].send({"answer": 42})
        assert await patient == {"answer": 42}


def test_what_an_observer_of_a_request_raises_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def raising(message: Any) -> None:
        raise ValueError(f"not what I asked for: {message}")

    async def main() -> None:
        peer = ScriptedPeer()
        async with store_of(peer) as store:
            errors = record(store.errors)
            await store.wait_connected()
            store.request("question", match=bool).subscribe(raising)
            peer.links[0].send(["secret"])
            await loop().idle()
            assert [type(error) for error in errors] == [ObserverError]

    run(main)
    assert "secret" not in caplog.text


def test_disconnect_in_the_callback_of_a_doubtful_receipt_leaves_no_timer() -> None:
    async def vanish(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.transport.abort()

    async def main() -> None:
        async with raw_peer(vanish) as url, quick(url, close_timeout=60) as store:
            await store.wait_connected()
            receipt = store.send(bytes(8_000_000))
            receipt.add_done_callback(lambda _: store.disconnect())
            await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 8)
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert not [timer for timer in timers if not timer.cancelled() and "abort" in repr(timer)]

    support.run(main)
