"""Marbles: scripts of a peer, records of observables, and RxPY's test scheduler on the loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import reactivex
import reactivex.operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, Recorded, TestScheduler

from heimdall_reactive import ConfigurationError, Status, use_websocket
from heimdall_reactive.testing import (
    LoopTestScheduler,
    ScriptedPeer,
    VirtualTimeLoop,
    expect_marbles,
    record_marbles,
    run,
)

URL = "ws://localhost/v1/ws"
# RxPY calls its ticks int, and computes with any number.
on_next: Any = ReactiveTest.on_next
on_error: Any = ReactiveTest.on_error
on_completed: Any = ReactiveTest.on_completed


# What a peer plays


@pytest.mark.heimdall_virtual_time
async def test_a_peer_plays_messages_drops_and_closes_at_their_times() -> None:
    peer = ScriptedPeer()
    values = {"a": {"celsius": 31}, "b": {"celsius": 35}}
    async with use_websocket(URL, transport=peer, reconnect_delay=lambda _: 1.0) as store:
        await store.wait_connected()
        messages = record_marbles(store.messages)
        status = record_marbles(store.select(lambda state: state.status))
        await peer.play("--a-b--(drop)----a|", values, step=0.5)
    assert messages.marbles(values, step=0.5) == "--a-b------------a-|"  # the store's end
    assert status.messages[:4] == [
        on_next(0, Status.CONNECTED),
        on_next(3.5, Status.WAITING),
        on_next(4.5, Status.CONNECTING),
        on_next(4.5, Status.CONNECTED),
    ]
    assert on_next(9, Status.WAITING) in status.messages


@pytest.mark.heimdall_virtual_time
async def test_a_diagram_lasts_to_its_end() -> None:
    peer = ScriptedPeer()
    loop = asyncio.get_running_loop()
    async with use_websocket(URL, transport=peer, ping_interval=None) as store:
        await store.wait_connected()
        await peer.play("- 1 -- (2,3) ---", step=2)
        assert loop.time() == 24
        assert store.last_message.value == 3


@pytest.mark.parametrize(
    ("marbles", "reason"),
    [("-#", "the socket ended without a close frame"), ("-(drop)", "the socket ended"), ("-|", "")],
)
@pytest.mark.heimdall_virtual_time
async def test_the_end_of_a_diagram_is_an_end_of_the_link(marbles: str, reason: str) -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer, auto_reconnect=False) as store:
        await store.wait_connected()
        await peer.play(marbles)
        state = await store.wait_for(lambda state: not state.is_connected)
        assert state.close is not None
        assert state.close.code == (1000 if marbles == "-|" else 1006)
        assert reason in state.close.reason


@pytest.mark.heimdall_virtual_time
async def test_calls_of_the_link_are_played() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer, ping_interval=None) as store:
        await store.wait_connected()
        record = record_marbles(store.messages)
        await peer.play("(silence)-a--b-(resume)--")
        assert record.messages == [on_next(15, "a"), on_next(15, "b")]


@pytest.mark.parametrize("name", ["dorp", "(dorp)", "(a,accepted)"])
@pytest.mark.heimdall_virtual_time
async def test_a_name_that_is_nothing_is_refused_before_anything_is_played(name: str) -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        await store.wait_connected()
        with pytest.raises(ConfigurationError, match="none of close, drop"):
            await peer.play(f"a-{name}")
        assert store.last_message.value is None


@pytest.mark.heimdall_virtual_time
async def test_a_value_may_have_the_name_of_a_call() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer) as store:
        await store.wait_connected()
        await peer.play("(drop)", {"drop": {"type": "word"}})
        assert store.connected
        assert store.last_message.value == {"type": "word"}


@pytest.mark.heimdall_virtual_time
async def test_a_peer_that_plays_to_nobody_fails() -> None:
    with pytest.raises(ConnectionError, match=r"send at 2\.0 s of '--a': nobody is connected"):
        await ScriptedPeer().play("--a")


# What an observable emits


@pytest.mark.heimdall_virtual_time
async def test_a_record_is_compared_with_marbles_or_recorded_notifications() -> None:
    source: Subject[Any] = Subject()
    record = record_marbles(source)
    await asyncio.sleep(1)
    source.on_next({"x": 1})
    await asyncio.sleep(2)
    for value in (2, "word"):
        source.on_next(value)
    await asyncio.sleep(9)
    source.on_completed()
    values = {"a": {"x": 1}}
    assert record.messages == expect_marbles("-a-(2,word)-|", values)
    assert record.messages == [
        on_next(1, {"x": 1}),
        on_next(3, 2),
        on_next(3, "word"),
        on_completed(12),
    ]
    assert record.marbles(values) == "-a-(2,word)-|"
    assert expect_marbles(record.marbles(values), values) == record.messages
    assert "word" in repr(record)


@pytest.mark.heimdall_virtual_time
async def test_fractions_and_errors() -> None:
    source: Subject[int] = Subject()
    await asyncio.sleep(0.7)  # times count from the subscription
    record = record_marbles(source)
    for number in range(3):
        await asyncio.sleep(0.1)
        source.on_next(number)
    await asyncio.sleep(0.1)
    source.on_error(ValueError("no"))
    assert record.messages == [
        on_next(0.1, 0),
        on_next(0.2, 1),
        on_next(0.3, 2),
        on_error(0.4, ValueError("no")),
    ]
    assert record.marbles(step=0.1) == "-012#"
    assert record.marbles(step=0.05) == "--0-1-2-#"


@pytest.mark.parametrize(("step", "values"), [(1.0, {}), (0.3, {}), (0.1, {"long": 1})])
@pytest.mark.heimdall_virtual_time
async def test_what_has_no_room_in_a_diagram_is_not_drawn_wrongly(
    step: float, values: dict[str, Any]
) -> None:
    source: Subject[int] = Subject()
    record = record_marbles(source)
    for number in (1, 2):
        await asyncio.sleep(0.1)
        source.on_next(number)
    with pytest.raises(ConfigurationError, match="smaller step"):
        record.marbles(values, step=step)


@pytest.mark.heimdall_virtual_time
async def test_a_value_without_a_drawable_name_needs_one() -> None:
    record = record_marbles(reactivex.of("two words"))
    await asyncio.sleep(1)
    with pytest.raises(ConfigurationError, match="give it a name"):
        record.marbles()
    assert record.marbles({"w": "two words"}) == "(w,|)"


@pytest.mark.heimdall_virtual_time
async def test_a_disposed_record_records_no_more() -> None:
    source: Subject[int] = Subject()
    record = record_marbles(source)
    record.dispose()
    source.on_next(1)
    assert not record.messages


def test_a_loop_that_is_stepped_from_outside() -> None:
    loop = VirtualTimeLoop()
    source: Subject[str] = Subject()
    record = record_marbles(source.pipe(ops.debounce(2.0)), loop=loop)
    source.on_next("a")
    loop.advance(1)
    source.on_next("b")
    loop.advance(5)
    assert record.messages == expect_marbles("---b")
    loop.close()


# RxPY's schedulers on the loop


@pytest.mark.parametrize("given", [True, False], ids=["given", "of the subscription"])
@pytest.mark.heimdall_virtual_time
async def test_operators_that_take_time_take_virtual_time(given: bool) -> None:
    peer = ScriptedPeer()
    scheduler = LoopTestScheduler() if given else None
    async with use_websocket(URL, transport=peer, ping_interval=None) as store:
        await store.wait_connected()
        search = record_marbles(store.messages.pipe(ops.debounce(3.0, scheduler=scheduler)))
        first = record_marbles(store.messages.pipe(ops.throttle_first(4.0, scheduler)))
        late = record_marbles(store.messages.pipe(ops.delay(2.0, scheduler)))
        await peer.play("-a-b-c------d-----")
        assert search.marbles() == "--------c------d"
        assert first.marbles() == "-a---c------d"
        assert late.marbles() == "---a-b-c------d"


@pytest.mark.heimdall_virtual_time
async def test_hot_and_cold_observables_of_the_test_scheduler() -> None:
    scheduler = LoopTestScheduler()
    assert isinstance(scheduler, TestScheduler)
    hot = scheduler.create_hot_observable(on_next(1, "a"), on_next(3, "b"))
    await asyncio.sleep(2)
    cold = scheduler.create_cold_observable(on_next(2, "c"), on_completed(4))
    observer = scheduler.create_observer()
    hot.subscribe(observer)
    cold.subscribe(observer)
    await asyncio.sleep(10)
    assert observer.messages == [on_next(3, "b"), on_next(4, "c"), on_completed(6)]
    assert scheduler.clock == 12
    assert scheduler.now.timestamp() == 12


def test_the_same_pipeline_gives_the_same_on_rxpys_own_clock() -> None:
    def pipeline(source: reactivex.Observable[Any]) -> reactivex.Observable[Any]:
        return source.pipe(ops.buffer_with_time(2.0), ops.map(len))

    theirs = TestScheduler()
    source = theirs.create_hot_observable(on_next(201, "a"), on_next(202.5, "b"))
    expected = theirs.start(lambda: pipeline(source), disposed=205).messages

    async def main() -> list[Recorded[Any]]:
        scheduler = LoopTestScheduler()
        ours = scheduler.create_hot_observable(on_next(201, "a"), on_next(202.5, "b"))
        await asyncio.sleep(200)
        observer = scheduler.create_observer()
        with pipeline(ours).subscribe(observer, scheduler=scheduler):
            await asyncio.sleep(5)
        return observer.messages

    assert run(main) == expected


@pytest.mark.heimdall_virtual_time
async def test_its_clock_is_moved_by_the_loop_only() -> None:
    scheduler = LoopTestScheduler()
    for move in (scheduler.start, scheduler.advance_to, scheduler.advance_by, scheduler.sleep):
        with pytest.raises(ConfigurationError, match="await asyncio"):
            move(1)
