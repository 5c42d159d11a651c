"""`Frames`: a hop to an event loop that leaves a pause between two turns.

A browser behind a notebook can show no more than some sixty pictures a second, and Jupyter's server
drops what is more than 1000 messages a second (`iopub_msg_rate_limit`), the last one too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["FRAME", "Frames"]

FRAME: Final = 1 / 60  # seconds

Call = Callable[[], None]


class Frames:
    """Runs calls on an event loop, in order, all that came within one frame together.

    The first call after a pause runs in the next turn of the loop.

    Args:
        loop: where they run.
        frame: seconds between two turns at the least.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, frame: float = FRAME) -> None:
        self._loop = loop
        self._frame = frame
        self._free_at = 0.0  # by the clock of the loop
        self._calls: list[Call] = []

    def __call__(self, call: Call) -> None:
        """Post a call, from any thread.

        Raises:
            RuntimeError: the loop is closed.
        """
        self._loop.call_soon_threadsafe(self._take, call)

    def _take(self, call: Call) -> None:
        self._calls.append(call)
        if len(self._calls) > 1:
            return
        now = self._loop.time()
        if now >= self._free_at:
            self._run()
        else:
            self._loop.call_at(self._free_at, self._run)

    def _run(self) -> None:
        calls, self._calls = self._calls, []
        for done, call in enumerate(calls, 1):
            try:
                call()
            except Exception as error:
                self._loop.call_exception_handler(
                    {"message": "a call to a user interface raised", "exception": error}
                )
            except BaseException:  # an interrupt, which must not cost others their call
                for rest in calls[done:]:
                    self._loop.call_soon(self._take, rest)
                raise
        self._free_at = self._loop.time() + self._frame
