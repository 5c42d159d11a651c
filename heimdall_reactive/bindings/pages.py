"""Web pages: `Pages` says how often each is painted, `PageClock` waits until it has shown that."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from .frames import Cancellable, Clock, Wait

__all__ = ["WEB_FRAME", "PageClock", "Pages", "pages"]

WEB_FRAME: Final = 1 / 20  # seconds: each paint goes over a network and through a page's scripts
LONGEST: Final = 1 / 5  # seconds of a frame, with however many pages
PAINTS: Final = 25  # a second, of all pages together: each costs the server up to 4 ms
COUNTED: Final = 1.0  # seconds: a page that was painted in the last ones counts
RUN: Final = 8  # paints at most that a page gets before it is asked what it has shown

Call = Callable[[], None]


class Pages:
    """The web pages that a process paints: the more there are, the longer is a frame of each.

    Painted each `WEB_FRAME`, fifty pages would take half of a core.
    """

    def __init__(self) -> None:
        self._painted_at: WeakKeyDictionary[object, float] = WeakKeyDictionary()
        self._counted_at = 0.0
        self._lock = threading.Lock()

    def frame(self, page: object, now: float) -> float:
        """Return seconds until a page may be painted again, which is painted now.

        Args:
            page: anything that stands for it.
            now: by the monotonic clock.
        """
        with self._lock:
            self._painted_at[page] = now
            if abs(now - self._counted_at) > COUNTED:
                self._counted_at = now
                for each, painted_at in list(self._painted_at.items()):
                    if abs(now - painted_at) > COUNTED:
                        del self._painted_at[each]
            return min(max(len(self._painted_at) / PAINTS, WEB_FRAME), LONGEST)


pages: Final = Pages()


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
        among: all pages, which share what a process paints in a second.

    Attributes:
        answers: whether the page has ever answered.
    """

    def __init__(
        self, clock: Clock, soon: Callable[[Call], object], ask: Call, among: Pages = pages
    ) -> None:
        self._clock = clock
        self._pages = among
        self._soon = soon
        self._ask = ask
        self.answers = False
        self._stands = False
        self._run = self._left = 1  # paints before it is asked, and how many of them are left
        self._free_at, self._frame = 0.0, WEB_FRAME
        self._stopping = self._painted = False
        self._waited = False
        self._goes_on: int | None = None  # the thread, while all bindings go on
        self._lock = threading.RLock()  # of `_stands` and `_waits`
        self._waits: dict[Wait, None] = {}

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
            if isinstance(instead, Wait):
                self._waits.pop(instead, None)
            if not self._stands:
                return None
            wait = Wait(self.forgo, 0.0, callback)
            self._waits[wait] = None
            return wait

    def forgo(self, wait: Wait) -> None:
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
        now = self._clock.time()
        self._frame = self._pages.frame(self, now)
        self._free_at = now + self._frame
        self._left -= 1
        if self._left < 1:
            self._ask()
        else:
            self._clock.call_later(self._frame, self._go)

    def seen(self) -> None:
        """Go on with the next frame: the page has shown everything."""
        left = self._free_at - self._clock.time()
        if self.answers:
            soon = left > -self._frame
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
