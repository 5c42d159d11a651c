"""Frames of a user interface: how long one is, `Frames` between two turns, and a timer.

A screen can show no more than some sixty pictures a second, and Jupyter's server drops what is more
than 1000 messages a second (`iopub_msg_rate_limit`), the last one too.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from heimdall_reactive.base.forking import disown_in_child
from heimdall_reactive.base.masking import told
from heimdall_reactive.base.starting import call_at

__all__ = ["FRAME", "WEB_FRAME", "Cancellable", "Clock", "Frames", "PageClock", "timer"]

FRAME: Final = 1 / 60  # seconds
WEB_FRAME: Final = 1 / 20  # seconds: each paint goes over a network and through a page's scripts
RUN: Final = 8  # paints at most that a page gets before it is asked what it has shown
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


class PageClock:
    """The clock of a web page: after a paint it stands still for a frame, and until that is shown.

    A page says so by `requestAnimationFrame`, which does not run while it is hidden. So nothing is
    painted that nobody sees, and a page that is behind is painted as often as it can show it. An
    answer costs the server as much as a paint, so a page that answers within two frames is asked
    after two paints, then after four, then after `RUN` of them, and one that does not after half as
    many, down to each. A page that has never answered is not waited for. All but `hold` and
    `cancel` is on the thread of the page.

    Args:
        clock: the event loop, or another one that calls on the thread of the page.
        soon: runs a call in the next turn on that thread.
        ask: asks the page to have `seen` called once it has shown what it was sent before; at
            once while it has never answered, since a hidden page must be known to answer.

    Attributes:
        answers: whether the page has ever answered.
    """

    def __init__(self, clock: Clock, soon: Callable[[Call], object], ask: Call) -> None:
        self._clock = clock
        self._soon = soon
        self._ask = ask
        self.answers = False
        self._stands = False
        self._run = self._left = 1  # paints before it is asked, and how many of them are left
        self._free_at = 0.0
        self._stopping = self._painted = False
        self._waited = False
        self._goes_on: int | None = None  # the thread, while all bindings go on
        self._lock = threading.RLock()  # of `_stands` and `_waits`
        self._waits: dict[_Wait, None] = {}

    def time(self) -> float:
        """Return the time; before all others while the clock stands, so that nothing is due."""
        return -math.inf if self._stands else self._clock.time()

    def call_later(self, delay: float, callback: Call, /) -> Cancellable:
        """Call something after so many seconds, or when the page has caught up."""
        self._waited = True
        return self.hold(callback) or self._clock.call_later(delay, callback)

    def hold(self, callback: Call, instead: Cancellable | None = None) -> Cancellable | None:
        """Call something when the page has caught up; None where it has. From any thread.

        Nobody is woken for it: while much comes, a page is behind most of the time.

        Args:
            callback: is called.
            instead: an earlier call, which is taken back.
        """
        with self._lock:
            if isinstance(instead, _Wait):
                self._waits.pop(instead, None)
            if not self._stands:
                return None
            wait = _Wait(self, 0.0, callback)
            self._waits[wait] = None
            return wait

    def forgo(self, wait: _Wait) -> None:
        """Take a call back."""
        with self._lock:
            self._waits.pop(wait, None)

    def goes_here(self) -> bool:
        """Return whether bindings go on right now and on this thread, so that a call may too."""
        return self._goes_on == threading.get_ident()

    def turn(self, call: Call) -> None:
        """Run a call of a binding; unless it waits for a frame, it has painted."""
        self._waited = False
        call()
        if self._waited or self._stopping:
            return
        if self.goes_here():
            self._painted = True
        else:
            self._stopping = True  # in the next turn: what is painted in this one goes together
            self._soon(self._stop)

    def _stop(self) -> None:
        self._stopping = self._painted = False
        with self._lock:
            self._stands = self.answers
        self._free_at = self._clock.time() + WEB_FRAME
        self._left -= 1
        if self._left < 1:
            self._ask()
        else:
            self._clock.call_later(WEB_FRAME, self._go)

    def seen(self) -> None:
        """Go on with the next frame: the page has shown everything."""
        left = self._free_at - self._clock.time()
        if self.answers:
            soon = left > -WEB_FRAME
            self._run = min(2 * self._run, RUN) if soon else max(self._run // 2, 1)
        self.answers, self._left = True, self._run
        if left > 0:
            # All bindings go on together; each by itself would wait for what the other painted.
            self._clock.call_later(left, self._go)
        else:
            self._go()

    def _go(self) -> None:
        with self._lock:
            self._stands = False
            waits, self._waits = self._waits, {}
        self._goes_on = threading.get_ident()
        try:
            for wait in waits:
                wait.call()
        finally:
            self._goes_on = None
            if self._painted:
                self._stop()


class FrameTimer:
    """A clock with a thread of its own, one for all, which is there while somebody waits."""

    def __init__(self) -> None:
        # Reentrant: a finaliser may ask while it is held.
        self._change = threading.Condition(threading.RLock())
        self._waits: list[_Wait] = []  # a heap
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
        wait = _Wait(self, self.time() + delay, callback)
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

    def forgo(self, wait: _Wait) -> None:
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


class _Wait:
    """A call that waits for its time."""

    def __init__(self, clock: FrameTimer | PageClock, due: float, call: Call) -> None:
        self.due, self.call = due, call
        self._clock = clock

    def __lt__(self, other: _Wait) -> bool:
        return self.due < other.due

    def cancel(self) -> None:
        self._clock.forgo(self)


timer: Final = FrameTimer()
