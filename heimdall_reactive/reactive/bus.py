"""The bus: one order, values before notifications, nobody hurt by a neighbour.

Stock subjects reorder re-entrant emissions, let one raising observer starve the rest, deadlock on
the initial replay and die of a finite source. Here every emission of a store goes through one
`Bus`: it commits the value, then queues the notification, and one thread at a time drains.
"""

from __future__ import annotations

import threading
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from heimdall_reactive.base.wake_up import Post, WakeUp

__all__ = ["Bus", "Emitter"]

T = TypeVar("T")
V = TypeVar("V", contravariant=True)


class OnRaised(Protocol):
    """Reports what user code raised."""

    def __call__(self, error: BaseException, source: str, ended: bool = False, /) -> None:
        """OnRaised it; `ended` where the one who raised it gets nothing more."""


class Emitter(Protocol[V]):
    """What a bus emits for."""

    def _commit(self, value: V, /) -> int:
        """Set the current value and return its version; the bus's lock is held."""
        ...

    def _deliver(self, version: int, value: V, only_replaying: bool = False, /) -> None:
        """Notify the observers, or only those that get replays."""

    def _complete(self) -> None:
        """Tell everybody that nothing more will come."""


class Bus:
    """One FIFO for everything that a store emits.

    Args:
        report: called with what an observer raised and the name of its source.
    """

    __slots__ = (
        "_draining", "_escaped", "_owner", "_post", "_queue", "_wake", "inherited", "keep", "lock",
        "lost", "report", "shown",
    )  # fmt: skip

    def __init__(self, report: OnRaised) -> None:
        # Reentrant: the garbage collector may run a finaliser that disposes while it is held.
        self.lock = threading.RLock()
        self.report = report
        # None while empty: that is almost always, and an empty one takes 0.7 KB.
        self._queue: deque[Callable[[], None]] | None = None
        self._draining = False
        self._owner: int | None = None
        self._post: Post | None = None
        self._wake: WakeUp | None = None
        self._escaped: BaseException | None = None
        self.inherited = False  # from a parent process, and nobody has been told
        # Whether its event loop has ended, so that nothing is committed: then readers are told.
        self.lost: Callable[[], bool] | None = None
        # What a `repr` shows of a message, without the secrets of the connection.
        self.shown: Callable[[Any], str] = _kind_of
        # Notified of each change of a source's observers. A view lives while it is in here.
        self.keep: Callable[[Any], None] | None = None

    def bind(self, owner: int | None, post: Post) -> None:
        """Let one thread deliver from now on, woken by others; None lets any thread deliver."""
        with self.lock:
            # What was posted for the owner before may be lost with its event loop.
            self._owner, self._post, self._wake = owner, post, None
            waiting = bool(self._queue)
        if waiting:
            self.drain()

    def disown(self) -> None:
        """Deliver nothing that the parent process delivers, and whatever else comes at once."""
        self.lock, self.inherited = threading.RLock(), True
        self._queue, self._draining, self._escaped = None, False, None
        self._owner = self._post = self._wake = self.lost = None

    def emit(self, source: Emitter[T], value: T, only_replaying: bool = False) -> None:
        """Commit a value and notify the observers of its source, or those that get replays."""
        if self._draining or self._queue or self._owner != threading.get_ident():
            self._emit_in_turn(source, value, only_replaying)
            return
        # The owner's thread, and nothing is queued: no more than this is needed. Only the owner
        # sets `_draining`, and whoever queues on another thread wakes the owner.
        self._draining = True
        with self.lock:
            late = self._queue  # another thread may have queued since that look: it was before us
            version = source._commit(value)
            if late:
                self._put(source, version, value, only_replaying)
        try:
            if not late:
                source._deliver(version, value, only_replaying)
        except BaseException as error:  # `report` itself failed, or a signal came
            self._escaped = self._escaped or error
        if self._queue or self._escaped is not None:
            self._drain_on()
        else:
            self._draining = False

    def _emit_in_turn(self, source: Emitter[T], value: T, only_replaying: bool) -> None:
        with self.lock:
            version = source._commit(value)
            direct = self._begin()
            if not direct:
                self._put(source, version, value, only_replaying)
        if direct:
            try:
                source._deliver(version, value, only_replaying)
            except BaseException as error:  # `report` itself failed, or a signal came
                self._escaped = self._escaped or error
            self._drain_on()
        else:
            self.drain()

    def emit_all(self, changes: Iterable[tuple[Emitter[Any], Any]]) -> None:
        """Commit every value before anybody is notified of the first."""
        with self.lock:
            for source, value in changes:
                self._put(source, source._commit(value), value)
        self.drain()

    def complete(self, sources: Iterable[Emitter[Any]]) -> None:
        """End the sources after everything that is queued."""
        with self.lock:
            self._queued().extend(source._complete for source in sources)
        self.drain()

    def behind(self, call: Callable[[], None]) -> None:
        """Call something after everything that is queued, as an emission of its own."""
        with self.lock:
            self._queued().append(call)
        self.drain()

    def drain(self) -> None:
        """Deliver what is queued: here and now if this thread may, else on the owner."""
        with self.lock:
            mine = self._begin(queued=True)
            foreign = self._owner is not None and self._owner != threading.get_ident()
            if foreign and self._wake is None and self._post is not None:
                self._wake = WakeUp(self.drain, self._post)
            wake = self._wake
        if mine:
            self._drain_on()
        elif foreign and wake is not None:
            wake.call()

    def guard(self, name: str, deliver: Callable[[T], object], value: T) -> None:
        """Call user code outside a delivery; an error is reported and goes no further."""
        try:
            deliver(value)
        except (Exception, CancelledError) as error:
            self.report(error, name)

    def caught(self, error: BaseException, name: str, ended: bool = False) -> None:
        """OnRaised what an observer raised in a delivery.

        `KeyboardInterrupt` and its like leave only after the queue is empty, so that an
        interrupted program cannot freeze its store.
        """
        if isinstance(error, (Exception, CancelledError)):
            try:
                self.report(error, name, ended)
                return
            except BaseException as failed:  # a log handler of the user's
                error = failed
        self._escaped = self._escaped or error

    def _put(
        self, source: Emitter[T], version: int, value: T, only_replaying: bool = False
    ) -> None:
        self._queued().append(lambda: source._deliver(version, value, only_replaying))

    def _queued(self) -> deque[Callable[[], None]]:
        """Return the queue to add to; `lock` is held."""
        if self._queue is None:
            self._queue = deque()
        return self._queue

    def _begin(self, queued: bool = False) -> bool:
        """Become the one that drains, if this thread may; `lock` is held."""
        mine = self._owner is None or self._owner == threading.get_ident()
        if self._draining or not mine or (self._queue and not queued):
            return False
        self._draining = True
        return True

    def _drain_on(self) -> None:
        while True:
            with self.lock:
                if not self._queue:
                    self._draining, self._queue = False, None
                    escaped, self._escaped = self._escaped, None
                    break
                deliver = self._queue.popleft()
            try:
                deliver()
            except BaseException as error:
                self._escaped = self._escaped or error
        if escaped is not None:
            self._let_out(escaped)

    def _let_out(self, escaped: BaseException) -> None:
        """Raise what escaped; where a loop delivers, in a step of its own.

        Who emits there is the connection, in the middle of a change: an observer's `sys.exit()`
        must not leave a session that was announced and never started.
        """
        post = self._post
        if post is None or self._owner != threading.get_ident():
            raise escaped

        def leave() -> None:
            raise escaped

        post(leave)


def _kind_of(value: Any) -> str:
    return type(value).__name__
