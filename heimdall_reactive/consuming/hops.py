"""Hops: how a call reaches another thread or event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeAlias

from heimdall_reactive.base.glance import glance

__all__ = ["Hop", "QueueHop", "loop_hop"]

Hop: TypeAlias = Callable[[Callable[[], None]], object]
"""Calls something soon, in order and on one thread; it may itself be called from any thread."""


def loop_hop(loop: asyncio.AbstractEventLoop | None = None) -> Hop:
    """Return the hop to an event loop.

    Args:
        loop: the event loop; None is the one that runs here.

    Raises:
        RuntimeError: no loop is given and none runs.
    """
    return (loop or asyncio.get_running_loop()).call_soon_threadsafe


class QueueHop:
    """The hop to a plain thread: what is posted waits until that thread runs it."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def __call__(self, call: Callable[[], None]) -> None:
        """Post a call, from any thread."""
        self._calls.put(call)

    def run_pending(self) -> int:
        """Run what was posted before, and return how many calls there were; never waits."""
        count = 0
        for _ in range(self._calls.qsize()):
            try:
                call = self._calls.get_nowait()
            except Empty:
                break
            if call is not None:
                call()
                count += 1
        return count

    def __repr__(self) -> str:
        return glance(self, f"{self._calls.qsize()} waiting")

    def run(self) -> None:
        """Run what is posted, and wait for more, until `stop()`."""
        while (call := self._calls.get()) is not None:
            call()

    def stop(self) -> None:
        """Let `run()` return after what was posted before; from any thread."""
        self._calls.put(None)
