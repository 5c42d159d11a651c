"""`store.history(n)`: every observer gets the last n messages and then all later ones, once."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import operators as ops

from heimdall_reactive import ConfigurationError, use_websocket
from heimdall_reactive.reactive.bus import Bus
from heimdall_reactive.reactive.history import Histories, History
from heimdall_reactive.reactive.subjects import State
from heimdall_reactive.testing import ScriptedPeer
from tests.socket_peer import SocketPeer
from tests.support import record, until

URL = "ws://localhost/v1/ws"


class Bench:
    """A bus with one source of numbers, without a store."""

    def __init__(self) -> None:
        self.reports: list[BaseException] = []
        self.bus = Bus(lambda error, name, ended=False: self.reports.append(error))
        self.source: State[int] = State(self.bus, "numbers", -1)
        self.histories: Histories[int] = Histories(self.source)
        self.emitted = 0

    def emit(self) -> None:
        self.emitted += 1
        self.bus.emit(self.source, self.emitted)


class Walk(Bench):
    """What hypothesis does to a bench; each step takes a number."""

    def __init__(self) -> None:
        super().__init__()
        self.began: dict[History[int], int] = {}  # what was emitted before it
        self.seen: list[tuple[list[int], History[int]]] = []
        self._chores: list[Any] = []
        self.source.subscribe(self._work)

    def _work(self, _: int) -> None:
        while self._chores:
            self._chores.pop()()

    def emit_one(self, _: int) -> None:
        self.emit()

    def begin(self, number: int) -> None:
        self.began.setdefault(self.histories.of(1 + number), self.emitted)

    def subscribe(self, number: int, inside: Any = None) -> None:
        if not self.began:
            return
        history = list(self.began)[number % len(self.began)]
        values: list[int] = []
        self.seen.append((values, history))

        def on_next(value: int) -> None:
            values.append(value)
            if inside is not None and len(values) == 1:
                inside()

        history.subscribe(on_next)

    def emit_in_the_replay(self, number: int) -> None:
        self.subscribe(number, self.emit)

    def emit_in_an_observer(self, _: int) -> None:
        self._chores.append(self.emit)
        self.emit()

    def subscribe_in_an_observer(self, number: int) -> None:
        self._chores.append(lambda: self.subscribe(number))
        self.emit()


STEPS = st.tuples(
    st.sampled_from([
        Walk.emit_one, Walk.begin, Walk.subscribe, Walk.emit_in_the_replay,
        Walk.emit_in_an_observer, Walk.subscribe_in_an_observer,
    ]),
    st.integers(0, 3),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_each_observer_gets_a_suffix_under_any_interleaving(steps: list[tuple[Any, int]]) -> None:
    walk = Walk()
    for step, number in steps:
        step(walk, number)
    assert not walk.reports
    for values, history in walk.seen:
        assert values == list(range(walk.emitted - len(values) + 1, walk.emitted + 1))
        assert all(value > walk.began[history] for value in values)
        assert len(values) >= min((history._kept.maxlen or 0), walk.emitted - walk.began[history])


@settings(max_examples=100, deadline=None)
@given(limit=st.integers(1, 6), before=st.integers(0, 12), after=st.integers(0, 12))
def test_a_late_observer_gets_the_last_n_and_all_later(limit: int, before: int, after: int) -> None:
    bench = Bench()
    history = bench.histories.of(limit)
    for _ in range(before):
        bench.emit()
    values = record(history)
    for _ in range(after):
        bench.emit()
    first = max(1, before - limit + 1)
    assert values == list(range(first, before + after + 1))
    assert len(record(history)) <= limit


def test_threads_that_subscribe_while_others_emit_miss_nothing_and_see_nothing_twice() -> None:
    bench = Bench()
    history = bench.histories.of(8)
    seen: list[list[int]] = []
    ready = threading.Barrier(3)

    def subscribe() -> None:
        ready.wait()
        for _ in range(100):
            values: list[int] = []
            seen.append(values)
            history.subscribe(values.append)

    threads = [threading.Thread(target=subscribe) for _ in range(2)]
    for thread in threads:
        thread.start()
    ready.wait()
    while any(thread.is_alive() for thread in threads):
        bench.emit()
    for thread in threads:
        thread.join()
    bench.emit()
    assert len(seen) == 200
    for values in seen:
        assert values == list(range(bench.emitted - len(values) + 1, bench.emitted + 1))


def test_who_subscribes_between_the_keeping_and_the_telling_sees_a_value_once() -> None:
    bench = Bench()
    history = bench.histories.of(3)
    bench.emit()
    with bench.bus.lock:  # as `accept` does it on another thread
        version = history._commit(2)
    values = record(history)
    history._deliver(version, 2)
    bench.emitted = 2
    bench.emit()
    assert values == [1, 2, 3]


def test_an_observer_that_leaves_in_its_replay_gets_no_more() -> None:
    bench = Bench()
    history = bench.histories.of(3)
    for _ in range(3):
        bench.emit()
    values: list[int] = []
    history.pipe(ops.take(2)).subscribe(values.append)
    bench.emit()
    assert values == [1, 2]
    assert history._records == ()


def test_an_observer_that_raises_in_its_replay_is_reported_and_goes_on() -> None:
    bench = Bench()
    history = bench.histories.of(3)
    bench.emit()
    bench.emit()
    values: list[int] = []

    def on_next(value: int) -> None:
        values.append(value)
        raise LookupError

    history.subscribe(on_next)
    bench.emit()
    assert values == [1, 2, 3]
    assert len(bench.reports) == 3


def test_memory_is_given_back_when_nobody_holds_it() -> None:
    bench = Bench()
    history = bench.histories.of(5)
    assert bench.histories.of(5) is history
    gone = weakref.ref(history)
    subscription = history.subscribe(lambda _: None)
    del history
    gc.collect()
    assert gone() is not None  # it is observed
    subscription.dispose()
    del subscription
    gc.collect()
    assert gone() is None
    assert (len(bench.histories), bench.source._records) == (0, ())
    bench.emit()
    assert record(bench.histories.of(5)) == []


@pytest.mark.parametrize("count", [0, -1, 2.5, "3", None])
@pytest.mark.heimdall_virtual_time
async def test_a_length_that_is_none_is_refused(count: Any) -> None:
    async with use_websocket(URL, transport=ScriptedPeer(), immediate=False) as store:
        with pytest.raises(ConfigurationError, match="keeps 1 message or more"):
            store.history(count)


async def test_a_history_goes_on_over_a_reconnection_and_ends_with_its_store() -> None:
    async with SocketPeer() as peer:
        store = use_websocket(peer.url, reconnect_delay=0.02)
        history = store.history(3)
        link = await peer.accepted()
        for n in range(4):
            link.send({"n": n})
        await until(store, lambda: store.last_message.value == {"n": 3})
        link.drop()
        (await peer.accepted()).send({"n": 4})
        await until(store, lambda: store.last_message.value == {"n": 4})
        ended: list[str] = []
        values: list[Any] = []
        history.subscribe(values.append, on_completed=lambda: ended.append("early"))
        peer.links[-1].send({"n": 5})
        await until(store, lambda: store.last_message.value == {"n": 5})
        assert [m["n"] for m in values] == [2, 3, 4, 5]
        await store.aclose()
        late: list[Any] = []
        history.subscribe(late.append, on_completed=lambda: ended.append("late"))
        assert [m["n"] for m in late] == [3, 4, 5]
        assert ended == ["early", "late"]
        assert record(store.history(2)) == []


@pytest.mark.heimdall_virtual_time
async def test_a_message_is_in_the_history_when_its_observers_are_told() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        history, found = store.history(2), list[list[Any]]()
        store.messages.subscribe(lambda _: found.append(record(history)))
        link = await peer.accepted()
        link.send({"n": 1})
        link.send({"n": 2})
        await asyncio.sleep(1)
        assert [[m["n"] for m in values] for values in found] == [[1, 2], [1, 2]]


@pytest.mark.heimdall_virtual_time
async def test_a_shared_stores_history_is_its_own() -> None:
    peer = ScriptedPeer()
    options: dict[str, Any] = {"transport": peer, "share": True, "share_linger": 0}
    async with use_websocket(URL, **options) as first:
        second = use_websocket(URL, **options)
        ended: list[str] = []
        second.history(1).subscribe(on_completed=lambda: ended.append("second"))
        first.history(1).subscribe(on_completed=lambda: ended.append("first"))
        await second.aclose()
        assert ended == ["second"]


def test_a_history_that_is_observed_lives_though_nobody_has_it() -> None:
    bus = Bus(lambda error, name, ended=False: None)
    state: State[Any] = State(bus, "state", None)
    histories: Histories[Any] = Histories(state)
    seen: list[Any] = []
    observing = histories.of(3).subscribe(seen.append)
    gc.collect()
    bus.emit(state, 1)
    assert (seen, len(histories)) == ([1], 1)
    observing.dispose()
    del observing
    gc.collect()
    assert len(histories) == 0
