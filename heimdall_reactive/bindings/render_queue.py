"""`RenderQueue`: a hop to components that any thread may change and that have no thread."""

from __future__ import annotations

import logging
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, cast

from heimdall_reactive.base.masking import told
from heimdall_reactive.base.wake_up import WakeUp
from heimdall_reactive.connecting.runtime import running_loop
from heimdall_reactive.consuming.hops import Hop

from .frames import FRAME, Frames
from .pages import pages

__all__ = ["FrameThread", "RenderQueue", "outside", "render_queue_of"]

LINGER: Final = 0.25  # seconds: to start a thread costs as much as a paint, and stops who starts it

logger: Final = logging.getLogger("heimdall_reactive")


class FrameThread:
    """Runs calls on a thread of its own, in order, all that came within one frame together.

    The thread ends when there has been nothing to run for `LINGER`: nothing has to be closed.

    Args:
        name: of the thread.
        around: entered while the thread is made; Solara's threads inherit from whoever makes them.
        frame: seconds until the next turn at least, of this thread and the monotonic time.
    """

    def __init__(
        self,
        name: str,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
        frame: Callable[[object, float], float] = lambda *_: FRAME,
    ) -> None:
        self._name = name
        self._around = around
        self._frame = frame
        self._change = threading.Condition(threading.Lock())
        self._calls: list[Callable[[], None]] = []
        self._running = False

    def __call__(self, call: Callable[[], None]) -> None:
        """Post a call, from any thread.

        Raises:
            RuntimeError: no thread can be started, as when the program ends.
        """
        with self._change:
            self._calls.append(call)
            start, self._running = not self._running, True
            self._change.notify()
        if start:
            try:
                with self._around():
                    threading.Thread(target=self._run, name=self._name, daemon=True).start()
            except BaseException:
                with self._change:
                    self._calls, self._running = [], False
                raise

    def _run(self) -> None:
        while calls := self._take():
            for call in calls:
                try:
                    call()
                except BaseException as error:  # also `sys.exit()`, which ends no more than itself
                    logger.error("a call to a user interface raised %s", told(error))
            time.sleep(self._frame(self, time.monotonic()))

    def _take(self) -> list[Callable[[], None]]:
        with self._change:
            if not self._calls:
                self._change.wait(LINGER)
            calls, self._calls = self._calls, []
            self._running = bool(calls)
            return calls


class RenderQueue:
    """The hop to a tree of components: the calls of one turn are one render.

    Where an event loop runs, it is that loop. In Solara's server, and where none runs, it is a
    thread, which enters the context of Solara's user.

    Args:
        tree: a context manager that holds renders back, such as Reacton's render context.
    """

    def __init__(self, tree: AbstractContextManager[Any]) -> None:
        self._tree = weakref.ref(tree)
        kernel = _kernel()
        # Weakly, like the tree: a kernel context holds its widgets, these hold the tree, and by the
        # tree this queue is kept. So every closed tab would stay in memory.
        self._kernel: Callable[[], Any] = (lambda: None) if kernel is None else weakref.ref(kernel)
        self._loop = running_loop() if kernel is None else None
        self._wake = WakeUp(self._run, self._hop())
        self._calls: deque[Callable[[], None]] = deque()

    def _hop(self) -> Hop:
        if self._loop is not None:
            return Frames(self._loop)
        if self._kernel() is None:
            return FrameThread("heimdall-ui", outside)  # a user's thread may be what starts it
        return FrameThread("heimdall-ui", outside, pages.frame)

    def is_dead(self) -> bool:
        """Return whether its event loop is closed."""
        return self._loop is not None and self._loop.is_closed()

    def __call__(self, call: Callable[[], None]) -> None:
        """Post a call, from any thread.

        Raises:
            RuntimeError: the event loop is closed.
        """
        self._calls.append(call)
        if self.is_dead():
            self._wake.reset()  # nothing is pending there any more: let the hop raise
        self._wake.call()

    def _run(self) -> None:
        tree = self._tree()
        if tree is None or not self._calls:
            return
        with self._kernel() or nullcontext(), tree:
            try:
                for _ in range(len(self._calls)):
                    self._calls.popleft()()
            finally:
                if self._calls:
                    self._wake.call()  # one of them raised, or another thread has posted more


_all: Final[weakref.WeakKeyDictionary[Any, RenderQueue]] = weakref.WeakKeyDictionary()
_lock: Final = threading.Lock()


def render_queue_of(tree: AbstractContextManager[Any]) -> RenderQueue:
    """Return the one hop to a tree of components; call it where that is rendered."""
    with _lock:
        turns = _all.get(tree)
        if turns is None or turns.is_dead():
            turns = _all[tree] = RenderQueue(tree)
        return turns


KERNEL: Final = "solara.server.kernel_context"  # not imported: where it is wanted, it is there


def _solara() -> Any:
    """Return Solara's module of kernel contexts where this thread is in one of them."""
    module: Any = sys.modules.get(KERNEL)
    return module if module is not None and module.has_current_context() else None


def _kernel() -> AbstractContextManager[object] | None:
    """Return the context of Solara's user who is served on this thread."""
    module = _solara()
    return module and cast("AbstractContextManager[object]", module.get_current_context())


def outside() -> AbstractContextManager[object]:
    """Return where to start threads that are not one user's: Solara's threads inherit the user."""
    module = _solara()
    return cast("Any", module.without_context()) if module else nullcontext()
