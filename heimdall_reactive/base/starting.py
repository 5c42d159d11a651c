"""`start_task` makes every task of this package, `call_at` its timers; `Tasks` are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

__all__ = ["Tasks", "call_at", "start_task"]

T = TypeVar("T")


def start_task(
    work: Coroutine[Any, Any, T],
    name: str | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> asyncio.Task[T]:
    """Create a task that begins in a later turn of the event loop, never inside its creator.

    `create_task` runs the first step itself under `asyncio.eager_task_factory` (Python 3.12 and
    newer; Textual 8 sets it). Whoever creates a task here first notes it, and then announces it.
    The loop's own task factory still makes the task: monitoring and tracing use one, too.

    Args:
        work: the coroutine.
        name: of the task.
        loop: its event loop; None takes the running one.
    """
    loop = loop or asyncio.get_running_loop()
    if loop.get_task_factory() is None:
        return loop.create_task(work, name=name)
    task = loop.create_task(_in_a_later_turn(work), name=name)
    # Cancelled before that turn, the task leaves a coroutine that nobody awaited.
    task.add_done_callback(lambda _: work.close())
    return task


def call_at(
    loop: asyncio.AbstractEventLoop, when: float, call: Callable[..., object], *args: Any
) -> asyncio.TimerHandle:
    """Call something at a time of the event loop's clock, soon if that is over.

    Some event loops refuse the past, a browser's among them, and a timer that is late is late for
    good: what would set the next one is not called.
    """
    try:
        return loop.call_at(when, call, *args)
    except ValueError:
        return loop.call_later(0, call, *args)


class Tasks:
    """The tasks of one owner that are under way, mostly none."""

    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: tuple[asyncio.Task[Any], ...] = ()  # an empty set would take 200 bytes

    def start(
        self,
        work: Coroutine[Any, Any, T],
        name: str,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.Task[T]:
        """Start one, see `start_task`."""
        task = start_task(work, name, loop)
        self._all = (*self._all, task)
        task.add_done_callback(self._leave)
        return task

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        return iter(self._all)

    async def wait(self, timeout: float | None = None) -> None:
        """Return when all have ended, or after some seconds."""
        if self._all:
            await asyncio.wait(self._all, timeout=timeout)

    def forget(self) -> None:
        """Give up those of an event loop that is closed."""
        self._all = ()

    def _leave(self, task: asyncio.Task[Any]) -> None:
        self._all = tuple([each for each in self._all if each is not task])


async def _in_a_later_turn(work: Coroutine[Any, Any, T]) -> T:
    await asyncio.sleep(0)
    return await work
