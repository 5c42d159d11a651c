"""Frames of a user interface: how long one is, `Frames` between two turns, and a timer.

A screen can show no more than some sixty pictures a second, and Jupyter's server drops what is more
than 1000 messages a second (`iopub_msg_rate_limit`), the last one too.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from heimdall_reactive.base.forking import disown_in_child
from heimdall_reactive.base.masking import told
from heimdall_reactive.base.starting import call_at

__all__ = ["FRAME", "Cancellable", "Clock", "Frames", "Wait", "timer"]

FRAME: Final = 1 / 60  # seconds
LINGER: Final = 0.05  # seconds that the thread of the timer waits for more

Call = Callable[[], None]

logger: Final = logging.getLogger("heimdall_reactive")


class Cancellable(Protocol):
    """A call that is still to come."""

    def cancel(self) -> object:
        """Take it back."""


class Clock(Protocol):
    """What knows the time and calls later; every event loop of asyncio does."""

    def time(self) -> float:
        """Return seconds, from any beginning."""
        ...

    def call_later(self, delay: float, callback: Call, /) -> Cancellable:
        """Call something after so many seconds."""
        ...


class Frames:
    """Runs calls on an event loop, in order, all that came within one frame together.

    The first call after a pause runs in the next turn of the loop.

    Args:
        loop: where they run.
        frame: seconds between two turns at least.
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
            call_at(self._loop, self._free_at, self._run)

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


class FrameTimer:
    """A clock with a thread of its own, one for all, which is there while somebody waits."""

    def __init__(self) -> None:
        # Reentrant: a finaliser may ask while it is held.
        self._change = threading.Condition(threading.RLock())
        self._waits: list[Wait] = []  # a heap
        self._running = False
        disown_in_child(self)

    def time(self) -> float:
        """Return seconds of the monotonic clock."""
        return time.monotonic()

    def call_later(self, delay: float, callback: Call, /) -> Cancellable:
        """Call something after so many seconds, on the thread of the clock.

        Raises:
            RuntimeError: no thread can be started, as when the program ends.
        """
        wait = Wait(self.forgo, self.time() + delay, callback)
        with self._change:
            heapq.heappush(self._waits, wait)
            start, self._running = not self._running, True
            self._change.notify()
        if start:
            try:
                threading.Thread(target=self._run, name="heimdall-frames", daemon=True).start()
            except BaseException:
                self._disown()
                raise
        return wait

    def forgo(self, wait: Wait) -> None:
        """Take a call back."""
        with self._change:
            if wait in self._waits:
                self._waits.remove(wait)
                heapq.heapify(self._waits)
                self._change.notify()

    def _disown(self) -> None:
        self._change = threading.Condition(threading.RLock())
        self._waits, self._running = [], False

    def _run(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except BaseException as error:  # also `sys.exit()`, which ends no more than itself
                logger.error("a call to a user interface raised %s", told(error))

    def _next(self) -> Call | None:
        """Wait for what is due; None where nothing has come for a while."""
        with self._change:
            end = self.time() + LINGER
            while True:
                left = (self._waits[0].due if self._waits else end) - self.time()
                if left > 0:
                    self._change.wait(left)
                elif self._waits:
                    return heapq.heappop(self._waits).call
                else:
                    self._running = False
                    return None


class Wait:
    """A call that waits for its time."""

    def __init__(self, forgo: Callable[[Wait], None], due: float, call: Call) -> None:
        self.due, self.call = due, call
        self._forgo = forgo

    def __lt__(self, other: Wait) -> bool:
        return self.due < other.due

    def cancel(self) -> None:
        """Take it back."""
        self._forgo(self)


timer: Final = FrameTimer()
