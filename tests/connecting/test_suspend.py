"""A machine that sleeps is noticed by its wall clock, and a clock that is corrected is not."""

from __future__ import annotations

import asyncio
import time

import pytest

from heimdall_reactive.connecting import suspend
from heimdall_reactive.connecting.runtime import elapsed_of, wall_of
from heimdall_reactive.connecting.suspend import JUMP, TICK, suspend_watch
from tests.support import run
from tests.virtual import loop


@pytest.mark.heimdall_virtual_time
async def test_a_sleep_is_told_once_to_everybody_who_watches() -> None:
    watch, told = suspend_watch(loop(), wall_of), list[tuple[str, float]]()

    def first(slept: float) -> None:
        told.append(("first", round(slept)))

    def second(slept: float) -> None:
        told.append(("second", round(slept)))

    watch.add(first)
    watch.add(second)
    watch.add(second)
    await asyncio.sleep(10)
    assert len(loop().timers) == 1
    loop().suspend(60)
    assert watch.slept == pytest.approx(60)
    await asyncio.sleep(TICK)
    assert sorted(told) == [("first", 60), ("second", 60)]
    assert watch.slept == 0
    await asyncio.sleep(10)
    watch.remove(first)
    loop().suspend(30)
    await asyncio.sleep(TICK)
    assert sorted(told)[1:] == [("second", 30), ("second", 60)]
    watch.remove(second)
    watch.remove(second)
    assert loop().timers == []


@pytest.mark.heimdall_virtual_time
async def test_a_correction_of_the_clock_is_no_sleep_and_does_not_add_up() -> None:
    watch, told = suspend_watch(loop(), wall_of), list[float]()
    watch.add(told.append)
    for _ in range(5):
        loop().suspend(JUMP - 0.5)
        assert watch.slept == 0
        await asyncio.sleep(TICK)
    loop().suspend(JUMP + 0.5)
    await asyncio.sleep(TICK)
    assert told == [pytest.approx(JUMP + 0.5)]
    watch.remove(told.append)


@pytest.mark.heimdall_virtual_time
async def test_what_was_slept_while_nobody_watched_is_told_to_nobody() -> None:
    watch, told = suspend_watch(loop(), wall_of), list[float]()
    watch.add(told.append)
    watch.remove(told.append)
    loop().suspend(60)
    watch.add(told.append)
    await asyncio.sleep(2 * TICK)
    assert told == []
    watch.remove(told.append)


@pytest.mark.heimdall_virtual_time
async def test_a_clock_that_is_set_is_told_as_no_sleep() -> None:
    watch, told = suspend_watch(loop(), wall_of, elapsed_of), list[float]()
    watch.add(told.append)
    for step in (3600.0, -3600.0, -7200.0, 0.5):  # the last one is a correction
        loop().step_clock(step)
        assert watch.slept == 0
        await asyncio.sleep(2 * TICK)
    assert told == [0.0] * 3
    loop().suspend(60)
    loop().step_clock(-60)
    assert watch.slept == pytest.approx(60)
    await asyncio.sleep(2 * TICK)
    assert told[3:] == [pytest.approx(60)]
    watch.remove(told.append)


def test_the_clock_of_lengths_never_steps_and_counts_what_the_machine_sleeps() -> None:
    with asyncio.Runner() as runner:
        plain = runner.get_loop()
        first = elapsed_of(plain)
        assert first <= elapsed_of(plain) < first + 10
        if hasattr(time, "CLOCK_BOOTTIME"):
            assert elapsed_of(plain) - time.clock_gettime(time.CLOCK_BOOTTIME) < 1


def test_a_loop_has_one_watch_and_one_that_was_closed_none() -> None:
    async def watch() -> asyncio.AbstractEventLoop:
        here = asyncio.get_running_loop()
        found = suspend_watch(here, wall_of)
        assert suspend_watch(here, wall_of) is found
        found.add(lambda _: None)  # its timer keeps the loop
        return here

    closed = run(watch)
    other = run(watch)
    assert closed not in suspend._watches
    assert other in suspend._watches
