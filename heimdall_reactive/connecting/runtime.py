"""Where a store runs: the event loop that is there, or one background thread for all stores."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Literal, TypeAlias

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.forking import keep, run_in_child

from .loop_thread import LoopThread

__all__ = ["LoopOption", "Runtime", "chosen", "elapsed_of", "running_loop", "wall_of"]

LoopOption: TypeAlias = Literal["auto", "thread"] | asyncio.AbstractEventLoop

SAME = 0.001  # seconds; two clocks are not read at the same moment
NOBODY = -1  # no thread has this identifier


class _Background:
    """The background event loop of the process: started by the first store, ended by the last."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may run a finaliser while it is held, one that commands
        # a store whose loop was closed, and so needs the thread as well.
        self._lock = threading.RLock()
        self._users = 0
        self._thread: LoopThread | None = None

    def acquire(self) -> tuple[asyncio.AbstractEventLoop, int]:
        """Return the loop and its thread's identifier, starting both where needed."""
        with self._lock:
            thread = self._running() or self._start()
            assert thread.thread.ident is not None
            self._users += 1
            return thread.loop, thread.thread.ident

    def _running(self) -> LoopThread | None:
        thread = self._thread
        return thread if thread is not None and thread.thread.is_alive() else None

    def _start(self) -> LoopThread:
        made = LoopThread("heimdall-reactive")
        if started := self._running():  # by a finaliser, while this one was made
            made.stop()
            return started
        self._thread, self._users = made, 0
        return made

    def release(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the loop back; the last user stops it and waits for its thread."""
        with self._lock:
            thread = self._thread
            if thread is None or thread.loop is not loop:
                return
            self._users -= 1
            if self._users > 0:
                return
            self._thread = None
        thread.stop()

    def is_mine(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether a loop is the one of the thread."""
        thread = self._thread
        return thread is not None and loop is thread.loop


_background = _Background()
_moving = threading.RLock()  # of all runtimes: they move seldom; reentrant for the same reason


@run_in_child
def _renew() -> None:
    global _background, _moving
    keep(_background)
    _background, _moving = _Background(), threading.RLock()


class Runtime:
    """The event loop of one store, and the way to it from any thread.

    Args:
        option: `auto` takes the running loop, else the background thread's; `thread` forces that
            one; a loop forces itself, unless it is closed.
        bound: called when the loop's thread has become known, on that thread.
        moved: called after the store has had to leave a loop that was closed.

    Attributes:
        loop: the event loop.
        owner: identifier of its thread, or `NOBODY` while that is unknown.
        inherited: it is that of the parent process.
    """

    __slots__ = (
        "_began", "_bound", "_moved", "_released", "background", "inherited", "loop", "owner",
    )  # fmt: skip

    def __init__(
        self, option: LoopOption, bound: Callable[[], None], moved: Callable[[], None]
    ) -> None:
        self.loop: asyncio.AbstractEventLoop
        self.owner = NOBODY
        self.background = False
        self.inherited = False
        self._bound = bound
        self._moved = moved
        self._released = False
        loop = chosen(option)
        if loop is None:
            self._use_thread()
        else:
            self.loop = loop
            if loop is running_loop():
                self.owner = threading.get_ident()
        self._began = self.wall() - elapsed_of(self.loop)

    def start(self) -> None:
        """Learn which thread runs the loop; from now on `bound` and `moved` may be called.

        Not when it is made: that thread would call `bound` before whoever makes it is ready.
        """
        if self.owner == NOBODY:
            self.post(self._adopt)

    def here(self) -> bool:
        """Return whether this thread is the loop's, and the loop still works."""
        return self.owner == threading.get_ident() and not self.loop.is_closed()

    def time(self) -> float:
        """Return the event loop's clock in seconds; from any thread."""
        return self.loop.time()

    def wall(self) -> float:
        """Return seconds since the epoch; by the loop's own clock where it has one."""
        return wall_of(self.loop)

    def stepped(self) -> float:
        """Return by how many seconds the wall clock was set since the last look, mostly 0."""
        began = self.wall() - elapsed_of(self.loop)
        step = began - self._began
        if abs(step) < SAME:
            return 0.0
        self._began = began
        return step

    def post(self, call: Callable[[], None]) -> None:
        """Call something soon on the loop, from any thread; never raises for a closed loop."""
        if self.inherited:
            return  # the call would wake the parent
        try:
            self.loop.call_soon_threadsafe(call)
        except RuntimeError:
            if self._released:
                return  # the store has ended
            self.fall_back()
            self.loop.call_soon_threadsafe(call)

    def fall_back(self) -> None:
        """Move to the background thread, away from a loop that is closed or opens no sockets."""
        with _moving:
            needed = not self.background or self.loop.is_closed()
            if needed:
                self._use_thread()
        if needed:
            self._moved()

    def release(self) -> None:
        """Give the background thread back."""
        with _moving:
            mine, self.background, self._released = self.background, False, True
        if mine:
            _background.release(self.loop)

    def disown(self) -> None:
        """Leave the loop to the parent process."""
        self.owner, self.background, self.inherited, self._released = NOBODY, False, True, True

    def _adopt(self) -> None:
        self.owner = threading.get_ident()
        self._bound()

    def _use_thread(self) -> None:
        self.loop, self.owner = _background.acquire()
        self.background = True


def chosen(option: LoopOption) -> asyncio.AbstractEventLoop | None:
    """Return the event loop that a store would run on, None for the background thread's.

    Raises:
        ConfigurationError: the option is not a loop.
    """
    if option not in ("auto", "thread") and not isinstance(option, asyncio.AbstractEventLoop):
        raise ConfigurationError("loop must be 'auto', 'thread' or an event loop")
    loop = running_loop() if option == "auto" else option
    if loop is None or isinstance(loop, str) or loop.is_closed() or _background.is_mine(loop):
        return None
    return loop


def wall_of(loop: asyncio.AbstractEventLoop) -> float:
    """Return seconds since the epoch by a loop's own clock, where it has one."""
    own: Callable[[], float] = getattr(loop, "wall", time.time)
    return own()


def elapsed_of(loop: asyncio.AbstractEventLoop) -> float:
    """Return seconds that no step of the wall clock changes, those of a sleep included.

    The clock of an event loop stands still while the machine sleeps, on Linux and macOS.
    """
    own: Callable[[], float] = getattr(loop, "elapsed", _elapsed)
    return own()


def _elapsed() -> float:
    if sys.platform == "win32":
        return time.monotonic()
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    # Pyodide has the name, and no such clock.
    clock = None if sys.platform == "emscripten" else getattr(time, "CLOCK_BOOTTIME", None)
    return time.time() if clock is None else time.clock_gettime(clock)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that this thread runs, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
