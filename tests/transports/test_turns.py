"""One budget for each turn of an event loop, all its connections together."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref

import pytest

from heimdall_reactive.transports import turns
from heimdall_reactive.transports.turns import Turn, turn
from heimdall_reactive.transports.websockets_wire import WebSocketsWire
from tests.peers import frame
from tests.transports.bench import Bench
from tests.transports.looks import FRAMES_A_LOOK, FRAMES_A_TURN, LOOKS_A_TURN, Looks

TEXT = 1


async def test_a_turn_is_late_after_its_time_and_the_next_one_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Looks(monkeypatch)
    loop, own = asyncio.get_running_loop(), Turn()
    own.begin(loop)
    assert [own.is_late() for _ in range(5)] == [False] * 3 + [False, True]
    own.begin(loop)  # in the same turn: no more time
    assert own.is_late()
    await asyncio.sleep(0)
    own.begin(loop)
    assert not own.is_late()


def test_another_loop_has_a_turn_of_its_own_also_where_the_last_one_stopped_in_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Looks(monkeypatch)
    own = Turn()

    async def late() -> bool:
        own.begin(asyncio.get_running_loop())
        return [own.is_late() for _ in range(6)][-1]

    async def first() -> bool:
        own.begin(asyncio.get_running_loop())
        return own.is_late()

    assert asyncio.run(late())
    assert not asyncio.run(first())


def test_each_thread_has_its_own_turn_and_its_own_buffer() -> None:
    found: list[memoryview] = []
    thread = threading.Thread(target=lambda: found.append(turn.scratch))
    thread.start()
    thread.join()
    assert found[0] is not turn.scratch
    assert len(found[0]) == turns.SCRATCH


async def test_connections_share_the_budget_and_none_waits_for_another_to_have_done_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = Looks(monkeypatch)
    benches = [Bench() for _ in range(4)]
    size = 20 * FRAMES_A_TURN
    burst = b"".join(frame(TEXT, b"%04d" % n) for n in range(size))
    async with looks.counted():
        await asyncio.sleep(0)
        for bench in benches:
            bench.feed(burst)
        done = [len(bench.notes.told) for bench in benches]
        # The first one takes the time of the turn; the others look once, so that each goes on.
        assert done == [FRAMES_A_TURN] + [FRAMES_A_LOOK] * 3
        assert not any(bench.pipe.reading for bench in benches)
        while any(bench.wire._goes_on for bench in benches):
            before = [len(bench.notes.told) for bench in benches]
            await asyncio.sleep(0)
            for bench, count in zip(benches, before, strict=True):
                assert len(bench.notes.told) > count or not bench.wire._goes_on
    for bench in benches:
        assert bench.notes.frames == [b"%04d" % n for n in range(size)]
        assert bench.pipe.reading
        await bench.end()
    assert looks.longest <= LOOKS_A_TURN + len(benches)


async def test_of_many_connections_each_does_much_in_its_turn_and_none_comes_twice_before_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = Looks(monkeypatch)
    benches = [Bench() for _ in range(40)]
    burst = b"".join(frame(TEXT, b"%04d" % n) for n in range(10 * FRAMES_A_TURN))
    visits: list[list[int]] = []
    async with looks.counted():
        await asyncio.sleep(0)
        for bench in benches:
            bench.feed(burst)
        for _ in range(20):
            before = [len(bench.notes.told) for bench in benches]
            await asyncio.sleep(0)
            after = [len(bench.notes.told) for bench in benches]
            visits.append([n for n in range(40) if after[n] > before[n]])
            if len(visits) == 1:
                looks.longest = 0  # each has looked once when its bytes came
    assert looks.longest <= LOOKS_A_TURN + 1
    order = [number for visit in visits for number in visit]
    assert order[:80] == [*range(40), *range(40)]
    for bench in benches:
        await bench.rest()
        await bench.end()


def test_what_waits_for_a_turn_is_not_kept_by_a_loop_that_was_closed() -> None:
    async def flooded() -> weakref.ref[WebSocketsWire]:
        bench = Bench()
        bench.wire._receiver.on_frame = lambda *_: time.sleep(0.001)
        bench.feed(frame(TEXT, b"x" * 100) * 200)
        assert bench.wire._goes_on
        return weakref.ref(bench.wire)

    wire = asyncio.run(flooded())
    gc.collect()
    assert wire() is None


async def test_a_few_bytes_are_handled_in_any_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch)
    busy, quiet = Bench(), Bench()
    busy.feed(frame(TEXT, b"x" * 100) * 1000)
    before = looks.count
    quiet.feed(frame(TEXT, b"1") * 20)
    assert (len(quiet.notes.told), looks.count) == (20, before)
    await busy.rest()
    await busy.end()
    await quiet.end()
