"""Eager tasks (Python 3.12 and newer) on every event loop that a test makes."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from typing import Any, Final

import pytest

__all__ = ["EAGER", "install"]

EAGER: Final = bool(os.environ.get("HEIMDALL_EAGER_TASKS"))


def install() -> None:
    """Have asyncio's and uvloop's event loops begin with the eager task factory.

    Raises:
        pytest.UsageError: this Python has none.
    """
    if sys.version_info < (3, 12):
        raise pytest.UsageError("HEIMDALL_EAGER_TASKS needs Python 3.12 or newer")
    plain = asyncio.BaseEventLoop.__init__

    def eager(loop: asyncio.BaseEventLoop, *args: Any, **options: Any) -> None:
        plain(loop, *args, **options)
        loop.set_task_factory(asyncio.eager_task_factory)

    asyncio.BaseEventLoop.__init__ = eager
    if sys.platform != "win32":
        import uvloop

        made = uvloop.new_event_loop

        @functools.wraps(made)
        def new_event_loop() -> uvloop.Loop:
            loop = made()
            loop.set_task_factory(_eager)
            return loop

        uvloop.new_event_loop = new_event_loop


def _eager(loop: Any, work: Any, **options: Any) -> asyncio.Task[Any]:
    # `uvloop` passes `eager_start=` on 3.13, where asyncio's own takes it from 3.13.3 on.
    assert sys.version_info >= (3, 12)
    return asyncio.Task(work, loop=loop, **{**options, "eager_start": True})
