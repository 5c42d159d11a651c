"""`UiScope`: what a UI framework has to provide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from heimdall_reactive.consuming.hops import Hop

from .frames import FRAME, Clock, timer
from .scheduling import HopScheduler

__all__ = ["OnClose", "UiScope"]

OnClose: TypeAlias = Callable[[Callable[[], None]], Callable[[], object] | None]
"""Has a clean-up called when the owner goes; may return what takes that back."""


@dataclass(frozen=True)
class UiScope:
    """Where a binding lives: the UI's thread, and the widget, page or component that owns it.

    Attributes:
        post: runs a function soon on the UI's thread, callable from any thread, in order. None
            runs it in place, on the thread that emits.
        on_close: has a function called when the owner is gone. It may return a function that
            takes this back, called when the binding ends first.
        alive: whether the owner is still there; asked on the UI's thread before each call.
        every: seconds between two paints at least, where a binding does not say it; a paint
            more would never be seen. 0 paints at each turn of the UI.
        clock: what measures that, and calls again for the next frame: the UI's event loop. By
            default it is a thread, one for all.
    """

    post: Hop | None = None
    on_close: OnClose | None = None
    alive: Callable[[], bool] | None = None
    every: float = FRAME
    clock: Clock = timer

    @property
    def scheduler(self) -> HopScheduler:
        """An RxPY scheduler on the UI's thread: for `observe_on`, `debounce`, `throttle_first`.

        Raises:
            ValueError: the scope has no `post`.
        """
        if self.post is None:
            raise ValueError("a scope without post= has no thread to schedule on")
        return HopScheduler(self.post)

    def is_alive(self) -> bool:
        """Return whether the owner is there; one that cannot be asked is gone."""
        try:
            return self.alive is None or bool(self.alive())
        except Exception:
            return False

    def register(self, cleanup: Callable[[], None]) -> Callable[[], Any]:
        """Have a clean-up called when the owner goes; return what takes that back."""
        undo = None if self.on_close is None else self.on_close(cleanup)
        return undo if callable(undo) else lambda: None
