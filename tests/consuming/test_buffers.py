from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heimdall_reactive import ConfigurationError, StreamOverflow
from heimdall_reactive.consuming.buffers import Buffer, Buffers, ConsumerOverflow

POLICIES: list[ConsumerOverflow] = ["latest", "drop_oldest", "drop_newest", "error"]
STEPS = st.lists(st.sampled_from(["put", "put", "keep", "take", "take_many", "clear", "drop_all"]))


class Model:
    """What a buffer should do, told in the plainest way."""

    def __init__(self, maxsize: int, overflow: ConsumerOverflow) -> None:
        self.maxsize = 1 if overflow == "latest" else maxsize
        self.overflow = overflow
        self.items: list[tuple[int, bool]] = []
        self.gone = Counter[str]()
        self.failed = False

    def put(self, n: int, keep: bool) -> None:
        full = sum(not kept for _, kept in self.items) >= self.maxsize
        self.failed = self.failed or (full and not keep and self.overflow == "error")
        if not keep and (self.failed or (full and self.overflow == "drop_newest")):
            self.gone["dropped"] += 1
            return
        if full and not keep:
            oldest = next(item for item in self.items if not item[1])
            self.items.remove(oldest)
            self.gone["dropped"] += 1
        self.items.append((n, keep))


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_the_first_drop_of_each_burst_is_told(overflow: ConsumerOverflow) -> None:
    told: list[tuple[int, int]] = []
    buffer: Buffer[int] = Buffer(
        3, overflow, "x", tell=lambda full, burst: told.append((burst, full.dropped))
    )

    def put(count: int) -> None:
        for n in range(count):
            buffer.put(n)

    put(3)
    assert told == []
    put(10)
    assert told == [(1, 1)]
    buffer.take()
    put(3)  # slow, and one burst still
    buffer.take()
    buffer.fail()
    put(3)
    assert told == [(1, 1)]
    buffer.take_many(3)
    put(4)
    assert told == [(1, 1), (2, 15)]


@pytest.mark.parametrize("overflow", ["latest", "error"])
def test_what_is_dropped_on_purpose_or_fails_is_not_told(overflow: ConsumerOverflow) -> None:
    told: list[int] = []
    buffer: Buffer[int] = Buffer(3, overflow, "x", tell=lambda _, burst: told.append(burst))
    for n in range(10):
        buffer.put(n)
    assert (told, buffer.dropped > 0) == ([], True)


@given(st.sampled_from(POLICIES), st.integers(1, 5), STEPS)
def test_a_buffer_is_what_its_model_is(
    overflow: ConsumerOverflow, maxsize: int, steps: list[str]
) -> None:
    buffer: Buffer[int] = Buffer(maxsize, overflow, "x")
    model = Model(maxsize, overflow)
    high = 0
    for n, step in enumerate(steps):
        if step in ("put", "keep"):
            before = buffer.dropped
            waits = buffer.put(n, keep=step == "keep")
            model.put(n, step == "keep")
            assert waits is (bool(model.items) and model.items[-1][0] == n)
            assert buffer.dropped - before <= 1
        elif step == "take" and model.items:
            assert buffer.take() == model.items.pop(0)[0]
            model.gone["delivered"] += 1
        elif step == "take":
            with pytest.raises(IndexError):
                buffer.take()
        elif step == "take_many":
            values = [value for value, _ in model.items[:2]]
            del model.items[:2]
            first = buffer.delivered + buffer.dropped
            assert buffer.take_many(2) == (values, first, buffer.dropped)
            model.gone["delivered"] += len(values)
        elif step == "clear":
            buffer.clear()
            model.items.clear()
        else:
            assert buffer.drop_all() == [item for item, keep in model.items if keep]
            model.gone["dropped"] += sum(not keep for _, keep in model.items)
            model.items.clear()
        high = max(high, len(model.items))
        assert len(buffer) == len(model.items)
        assert buffer.kept == sum(keep for _, keep in model.items)
        assert buffer.overflowed is model.failed
        stats = buffer.stats()
        assert (stats.waiting, stats.high_water) == (len(model.items), high)
        assert (stats.dropped, stats.delivered) == (model.gone["dropped"], model.gone["delivered"])


@pytest.mark.parametrize("overflow", POLICIES)
def test_the_counters_add_up_between_threads(overflow: ConsumerOverflow) -> None:
    buffer: Buffer[int] = Buffer(8, overflow, "x")
    taken: list[int] = []
    done = threading.Event()

    def take() -> None:
        while not done.is_set() or buffer:
            try:
                taken.append(buffer.take())
            except IndexError:
                continue

    taker = threading.Thread(target=take)
    taker.start()
    for n in range(20_000):
        buffer.put(n)
    done.set()
    taker.join()
    stats = buffer.stats()
    assert stats.delivered == len(taken)
    assert stats.delivered + stats.dropped == 20_000
    assert stats.high_water <= 8
    assert taken == sorted(taken)


@pytest.mark.parametrize("maxsize", [0, -1, True, 1.5, None])
def test_a_size_that_can_not_work_is_refused(maxsize: Any) -> None:
    with pytest.raises(ConfigurationError, match="maxsize must be a whole number"):
        Buffer(maxsize, "latest", "x")


def test_a_policy_that_nobody_knows_is_refused() -> None:
    unknown: Any = "drop"
    with pytest.raises(ConfigurationError, match="drop_oldest, drop_newest, error, not 'drop'"):
        Buffer(1, unknown, "x")
    unknown = "block"
    with pytest.raises(ConfigurationError, match="only a stream can hold the server back"):
        Buffer(1, unknown, "x")


def test_the_error_of_an_overflow_says_who_and_how_many() -> None:
    buffer: Buffer[int] = Buffer(1, "error", "prices")
    for n in range(4):
        buffer.put(n)
    error = buffer.overflow_error()
    assert isinstance(error, StreamOverflow)
    assert error.dropped == 3
    assert "'prices' was too slow: 3 had no room" in str(error)


def test_the_buffers_of_a_store_are_told_by_name_while_they_are_there() -> None:
    buffers = Buffers()
    first: Buffer[int] = Buffer(1, "latest", buffers.name("stream", None))
    second: Buffer[int] = Buffer(1, "latest", buffers.name("stream", "prices"))
    for buffer in (first, second):
        buffers.add(buffer)
    assert [stats.name for stats in buffers.stats()] == ["stream 1", "prices"]
    buffers.remove(first)
    buffers.remove(first)
    assert [stats.name for stats in buffers.stats()] == ["prices"]
