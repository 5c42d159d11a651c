"""`WakeUp`: one posted call for all that asks for it until it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

__all__ = ["Post", "WakeUp"]

Post: TypeAlias = Callable[[Callable[[], None]], object]
"""Calls something soon, on a thread or an event loop; it may itself be called from any thread."""


class WakeUp:
    """Have something called elsewhere; at most one call is pending, however many ask for it.

    What asks after the call has begun gets another one: whatever was queued before is seen.

    Args:
        call: what is to be called.
        post: calls something soon; where it raises, nothing is pending.
    """

    __slots__ = ("_call", "_pending", "_post")

    def __init__(self, call: Callable[[], None], post: Post) -> None:
        self._call, self._post = call, post
        self.reset()

    def call(self) -> None:
        """Post the call, unless it is pending; from any thread, without waiting."""
        pending = self._pending
        # A lock that nobody waits for: two threads cannot both take it, nor can a finaliser that
        # the garbage collector runs in between stand still at it. `locked` is the faster look.
        if pending.locked() or not pending.acquire(blocking=False):
            return
        try:
            self._post(partial(self._run, pending))
        except BaseException:
            pending.release()
            raise

    def reset(self) -> None:
        """Forget a pending call, as one that was posted to an event loop that has closed."""
        self._pending = threading.Lock()

    def _run(self, pending: threading.Lock) -> None:
        pending.release()
        self._call()
