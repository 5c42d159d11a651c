"""How the loops here end, although what they call may swallow a cancellation.

`asyncio.wait_for` of Python 3.11 does, where what it waits for is done in the same moment
(https://github.com/python/cpython/issues/86296), and `nats-py` calls it everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["end", "raise_if_cancelled"]

AGAIN: Final = 1.0  # seconds until a task is cancelled again; its own end may take some time


def raise_if_cancelled() -> None:
    """End a task that was cancelled, where a library has forgotten it or made another error of it.

    Raises:
        asyncio.CancelledError: this task was asked to end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling() > 0:
        raise asyncio.CancelledError


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and return when they have ended; what they fail of is looked at."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=AGAIN)
        for task in done:
            if not task.cancelled():
                task.exception()
