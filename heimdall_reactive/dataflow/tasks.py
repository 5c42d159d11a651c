"""One thing about tasks that every loop here needs."""

from __future__ import annotations

import asyncio

__all__ = ["raise_if_cancelled"]


def raise_if_cancelled() -> None:
    """End a task that was cancelled, where a library has made another error of that.

    Raises:
        asyncio.CancelledError: this task was asked to end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling() > 0:
        raise asyncio.CancelledError
