"""`start_task`: makes every task of this package."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["start_task"]

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


async def _in_a_later_turn(work: Coroutine[Any, Any, T]) -> T:
    await asyncio.sleep(0)
    return await work
