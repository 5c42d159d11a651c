"""Stores bound to Tk: `to_var` for variables, the `scope` of a widget, and the `hop` to Tk.

Tried with Python 3.11 and Tk 8.6. Its rules:

- **Thread.** Only the thread that made the root may touch Tk. From another one a call waits up to a
  second for the main loop, then raises `main thread is not in main loop` into the caller; so
  nothing here calls Tk from there. What is posted waits in a queue, which one drain for each root
  checks every 20 ms with `after`, only while something is bound.
- **Clean-up.** A widget is gone when `<Destroy>` comes. A binding of the user's by
  `widget.bind("<Destroy>", ...)` would replace ours, and a window gets the events of its
  children as well; our own bind tag avoids both problems.
- **Variables.** The finaliser of a `Variable` calls Tk on whatever thread drops it last. A variable
  given to `to_var` is therefore kept by its owner, and never by a store.
"""

from __future__ import annotations

import threading
import time
import tkinter as tk
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, Unpack

from reactivex import Observable

from heimdall_reactive import ConfigurationError, Hop

from .binding import Binding, BindOptions, bind
from .scheduling import HopScheduler
from .scope import UiScope

__all__ = ["hop", "scope", "to_var"]

T = TypeVar("T")
Cleanup = Callable[[], None]

PERIOD: Final = 20  # milliseconds between two looks at the queue
SLICE: Final = 0.012  # seconds of calls in a row
# Milliseconds before the rest of the queue. With 0 Tk would not draw any more: it serves timers
# that are due before anything idle.
PAUSE: Final = 1
TAG: Final = "HeimdallReactive"


def to_var(
    source: Observable[T],
    var: tk.Variable,
    owner: tk.Misc,
    *,
    select: Callable[[T], Any] | None = None,
    **options: Unpack[BindOptions],
) -> Binding:
    """Make a variable follow an observable until its owner is destroyed.

    Args:
        source: a subject of a store, or any observable.
        var: what is set; the owner keeps it from being collected.
        owner: a widget, a window or the root.
        select: what of the value is shown.
        **options: as for `bind`: `distinct`, `every`, `buffer`, `immediate`, `on_error`, `on_done`.

    Raises:
        ConfigurationError: as for `scope`; or `buffer` is not a whole number of 1 or more.
    """
    kept = weakref.ref(var)

    def show(value: Any) -> None:
        variable = kept()
        if variable is not None:
            variable.set(value)

    return bind(source, show, _scope(owner, kept), select=select, **options)


def scope(widget: tk.Misc) -> UiScope:
    """Return the scope of a widget, a window or the root; its `post` is for bindings only.

    Args:
        widget: what owns the bindings; this is the thread of its root.

    Raises:
        ConfigurationError: the widget is destroyed, or another thread bound something before.
    """
    return _scope(widget)


def hop(widget: tk.Misc) -> Hop:
    """Return the hop to Tk for `store.observe_on` or `external_store`, from any thread.

    Tk checks every 20 ms for new values, until the widget is destroyed.

    Args:
        widget: how long it leads there; this is the thread of its root.

    Raises:
        ConfigurationError: as for `scope`.
    """
    there = _scope(widget)
    there.register(_nothing)
    return there.drain.post


def _scope(widget: tk.Misc, kept: Callable[[], object] = lambda: None) -> _Scope:
    root = widget.nametowidget(".")
    drain = _drains.get(root)
    if drain is not None and drain.thread != threading.get_ident():
        raise ConfigurationError("bind on the thread of Tk, such as before mainloop()")
    path = str(widget)
    try:
        if drain is None:
            _drains[root] = drain = _Drain(root)
        drain.watch(widget)
    except tk.TclError:
        raise ConfigurationError(f"the widget {path} is destroyed") from None
    return _Scope(
        drain.post,
        lambda cleanup: drain.keep(path, cleanup, kept()),
        lambda: drain.has(path),
        every=0.0,  # Tk looks every 20 ms
        drain=drain,
    )


def _nothing() -> None: ...


@dataclass(frozen=True)
class _Scope(UiScope):
    """A scope that does not hold its widget, which must not die on another thread."""

    drain: _Drain = None  # type: ignore[assignment]

    @property
    def scheduler(self) -> HopScheduler:
        self.register(_nothing)  # somebody to drain for, until the widget is destroyed
        return super().scheduler


class _Drain:
    """What is posted to one root, and who must be told that a widget of it is gone."""

    def __init__(self, root: tk.Misc) -> None:
        self.thread = threading.get_ident()
        self._root: tk.Misc | None = root
        self._calls: deque[Cleanup] = deque()
        # By widget: what is called when it is gone, and what it keeps for that.
        self._kept: dict[str, dict[object, tuple[Cleanup, object]]] = {}
        self._watched: set[str] = set()
        self._job: str | None = None
        self.watch(root)
        root.bind_class(TAG, "<Destroy>", self._on_destroy)

    def post(self, call: Cleanup) -> None:
        """Have something called on Tk's thread; from any thread, never waits.

        Raises:
            RuntimeError: the root is destroyed, or nothing is bound and nobody would look.
        """
        if self._root is None:
            raise RuntimeError("the root of Tk is destroyed")
        if not self._kept:
            raise RuntimeError("nothing is bound: post by heimdall_reactive.bindings.tk.hop")
        self._calls.append(call)

    def has(self, path: str) -> bool:
        """Return whether a widget that was watched is still there."""
        return path in self._watched

    def watch(self, widget: tk.Misc) -> None:
        """Have the end of a widget told."""
        if str(widget) not in self._watched:
            widget.bindtags((TAG, *widget.bindtags()))
            self._watched.add(str(widget))

    def keep(self, path: str, cleanup: Cleanup, kept: object) -> Cleanup:
        """Call a clean-up when a widget is gone; return what takes that back, on any thread."""
        key = object()

        def forget() -> None:
            mine = self._kept.get(path, {})
            mine.pop(key, None)
            if not mine:
                self._kept.pop(path, None)
            if not self._kept:
                self._pause()

        def undo() -> None:
            if threading.get_ident() == self.thread:
                forget()
            elif self._root is not None:
                self._calls.append(forget)

        self._kept.setdefault(path, {})[key] = cleanup, kept
        self._look_again(PERIOD)
        return undo

    def _look_again(self, milliseconds: int) -> None:
        if self._job is None and self._root is not None and self._kept:
            self._job = self._root.after(milliseconds, self._look)

    def _pause(self) -> None:
        job, self._job = self._job, None
        if job is not None and self._root is not None:
            self._root.after_cancel(job)

    def _look(self) -> None:
        self._job = None
        self._look_again(PERIOD)  # first: a call may open a dialog, which runs a loop of its own
        until = time.monotonic() + SLICE
        for _ in range(len(self._calls)):
            if not self._calls or time.monotonic() > until:
                break
            self._calls.popleft()()
        if self._calls:
            self._pause()
            self._look_again(PAUSE)

    def _on_destroy(self, event: tk.Event[tk.Misc]) -> None:
        path = str(event.widget)
        self._watched.discard(path)
        for cleanup, _ in tuple(self._kept.pop(path, {}).values()):
            cleanup()
        if path == ".":
            self._pause()
            _drains.pop(self._root, None)
            self._root = None
            self._calls.clear()


_drains: Final[dict[tk.Misc | None, _Drain]] = {}
