"""An event loop on a thread of its own: calls, what is raised there, and the end."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator

import pytest

from heimdall_reactive import ConfigurationError
from heimdall_reactive.connecting.loop_thread import LoopThread
from tests.support import descriptors, no_more_threads


async def name_of_thread() -> str:
    return threading.current_thread().name


async def fail() -> None:
    raise ValueError("of the coroutine")


def test_a_coroutine_runs_on_the_thread_and_its_result_or_error_comes_back() -> None:
    thread = LoopThread("loop-of-a-test")
    try:
        assert thread.call(name_of_thread()) == "loop-of-a-test"
        with pytest.raises(ValueError, match="of the coroutine"):
            thread.call(fail())
    finally:
        thread.stop()


def test_at_the_end_tasks_are_cancelled_and_the_loop_is_closed() -> None:
    ended: list[str] = []

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    begun = threading.Event()
    thread = LoopThread("loop-of-a-test")
    waiting = asyncio.run_coroutine_threadsafe(wait(), thread.loop)
    assert begun.wait(8)
    thread.stop()
    assert ended == ["cancelled"]
    assert waiting.cancelled()
    assert thread.loop.is_closed()
    assert not thread.thread.is_alive()


def test_who_stops_it_may_be_on_the_thread_itself() -> None:
    thread = LoopThread("loop-of-a-test")
    thread.loop.call_soon_threadsafe(thread.stop)
    thread.thread.join(8)
    assert thread.loop.is_closed()


def test_a_callback_that_wants_to_exit_does_not_end_the_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    thread = LoopThread("loop-of-a-test")
    assert thread.thread.daemon  # it keeps no program from ending
    for leave in (sys.exit, interrupt):
        thread.loop.call_soon_threadsafe(leave, "a payload")
        assert thread.call(name_of_thread()) == "loop-of-a-test"
    thread.stop()
    told = [entry.getMessage() for entry in caplog.records]
    assert [text.split(": ")[1].split(" ")[0] for text in told] == [
        "SystemExit", "KeyboardInterrupt",
    ]  # fmt: skip
    assert "a payload" not in caplog.text


def interrupt(text: str) -> None:
    raise KeyboardInterrupt(text)


def test_a_task_has_time_to_end_before_the_loop_is_closed() -> None:
    ended: list[str] = []

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            ended.append("cleaned up")

    begun = threading.Event()
    thread = LoopThread("loop-of-a-test")
    asyncio.run_coroutine_threadsafe(wait(), thread.loop)
    assert begun.wait(8)
    thread.stop()
    assert ended == ["cleaned up"]


def test_an_async_generator_that_is_left_open_is_closed() -> None:
    ended: list[str] = []

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append("closed")

    async def begin() -> AsyncIterator[int]:
        generator = endless()
        await anext(generator)
        return generator

    thread = LoopThread("loop-of-a-test")
    kept = thread.call(begin())
    thread.stop()
    assert ended == ["closed"]
    del kept


def test_where_no_thread_can_start_that_is_said_and_nothing_is_left_open() -> None:
    before = descriptors()
    with no_more_threads(), pytest.raises(ConfigurationError) as caught:
        LoopThread("loop-of-a-test")
    assert str(caught.value) == (
        "no thread with an event loop of its own can be started here (can't start new thread); "
        "make the store while an event loop runs that can open sockets"
    )
    assert descriptors() == before
