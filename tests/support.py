"""What several tests need: a runner that finds leaked tasks, and records of what was seen."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from heimdall_reactive import Receipt, WebSocketStore

T = TypeVar("T")
SLOW = "Executing "  # how asyncio begins to report a slow callback


def run(main: Callable[[], Awaitable[T]], timeout: float = 40.0) -> T:
    """Run a test's coroutine; a task that is left at its end fails the test."""

    async def watched() -> T:
        async with asyncio.timeout(timeout):
            result = await main()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left: {left}"
        return result

    return asyncio.run(watched())


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Let this process start no thread: each would need a stack that no address space has."""
    try:
        before = threading.stack_size(1 << 46)
    except (ValueError, OverflowError):
        pytest.skip("this platform bounds the size of a stack")
    try:
        yield
    finally:
        threading.stack_size(before)


def descriptors() -> set[str]:
    """Return the open file descriptors of this process, sockets and pipes among them."""
    table = Path("/proc/self/fd")
    return {entry.name for entry in table.iterdir()} if table.is_dir() else set()


def threads() -> set[threading.Thread]:
    """Return the threads that run; one that is just being started cannot be joined yet."""
    return {thread for thread in threading.enumerate() if thread.is_alive()}


def record(source: Any) -> list[Any]:
    """Subscribe to an observable, and return the list that its values go to."""
    seen: list[Any] = []
    source.subscribe(seen.append)
    return seen


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged above INFO, but for the slow callbacks that a debugging loop tells."""
    told = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    return [text for text in told if not text.startswith(SLOW)]


def errors_in(output: bytes | str) -> str:
    """Return what a program wrote on standard error, but for the same."""
    text = output if isinstance(output, str) else output.decode()
    return "".join(line for line in text.splitlines(True) if not line.startswith(SLOW))


SENT: Final = ("written", "delivered")  # the second where a pong has come in the meantime


def fate(receipt: Receipt) -> str:
    """Return the state of a receipt, with `written` for what is delivered, too."""
    return "written" if receipt.state in SENT else receipt.state


def beyond_doubt(errors: list[Any]) -> list[Any]:
    """Return the errors but for sends in doubt, which a drop may leave."""
    return [error for error in errors if getattr(error, "state", None) != "in_doubt"]


async def until(
    store: WebSocketStore[Any], predicate: Callable[[], bool], timeout: float = 15.0
) -> None:
    """Wait until a predicate holds that messages, errors or state changes of a store make true."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look(_: object) -> None:
        if predicate():
            loop.call_soon_threadsafe(done.set)

    subscriptions = [
        source.subscribe(look) for source in (store.last_message, store.errors, store.state)
    ]
    try:
        async with asyncio.timeout(timeout):
            await done.wait()
    finally:
        for subscription in subscriptions:
            subscription.dispose()
