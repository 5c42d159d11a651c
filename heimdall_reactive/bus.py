"""The bus: one order, values before notifications, nobody hurt by a neighbour.

Stock subjects reorder re-entrant emissions, let one raising observer starve the rest, deadlock on
the initial replay and die of a finite source. Here every emission of a store goes through one
`Bus`: it commits the value, then queues the notification, and one thread at a time drains.
"""

from __future__ import annotations

import inspect
import sys
import threading
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

__all__ = ["Bus", "Source"]

T = TypeVar("T")

NEVER: Final = sys.maxsize  # the version that a disposed observer waits for
Report = Callable[[BaseException, str], None]
Post = Callable[[Callable[[], None]], object]


class Record(abc.DisposableBase, Generic[T]):
    """One observer of one source, and the version it has seen."""

    __slots__ = ("_ended", "_parked", "_source", "observer", "replay", "since")

    def __init__(self, source: Source[T], observer: abc.ObserverBase[T], replay: bool) -> None:
        self.observer = observer
        self.replay = replay
        self.since = 0
        self._source = source
        self._ended = False
        # While the first value is being replayed, later ones wait here in order.
        self._parked: deque[tuple[int, T]] | None = deque()

    def notify(self, version: int, value: T) -> None:
        """Deliver, unless the replay is still under way on another thread."""
        if self._parked is not None:
            with self._source.bus.lock:
                if self._parked is not None:
                    self._parked.append((version, value))
                    return
        if version > self.since:
            self.observer.on_next(value)

    def start(self, value: T) -> None:
        """Replay the first value, then whatever was emitted meanwhile. No lock is held over it."""
        try:
            if self.replay:
                self._call(value)
            while (later := self._unpark()) is not None:
                if later[0] > self.since:
                    self._call(later[1])
            if self._ended:
                self._source.bus.guard(self._source.name, _complete, self)
        except BaseException:  # an interrupt: left parked, the observer would collect for ever
            self._parked = None
            self.dispose()
            raise

    def end(self) -> None:
        """Complete, after what waits for the end of the replay on another thread."""
        with self._source.bus.lock:
            if self._parked is not None:
                self._ended = True
                return
        self.observer.on_completed()

    def _call(self, value: T) -> None:
        self._source.bus.guard(self._source.name, self.observer.on_next, value)

    def _unpark(self) -> tuple[int, T] | None:
        with self._source.bus.lock:
            if self._parked:
                return self._parked.popleft()
            self._parked = None
            return None

    def dispose(self) -> None:
        """Detach: nothing is delivered any more, not even what is already queued."""
        self.since = NEVER
        self._source.detach(self)


def _complete(record: Record[Any]) -> None:
    record.observer.on_completed()


class Bus:
    """One FIFO for everything that a store emits.

    Args:
        report: called with what an observer raised and the name of its source.
    """

    def __init__(self, report: Report) -> None:
        self.lock = threading.Lock()
        self.report = report
        self._queue: deque[Callable[[], None]] = deque()
        self._draining = False
        self._owner: int | None = None
        self._wake: Post | None = None
        self._woken = False  # the owner was woken and has not come yet
        self._escaped: BaseException | None = None

    def bind(self, owner: int | None, wake: Post) -> None:
        """Let one thread deliver from now on, woken by others; None lets any thread deliver."""
        with self.lock:
            self._owner, self._wake, self._woken = owner, wake, False
            waiting = bool(self._queue)
        if waiting:
            self.drain()

    def emit(self, source: Source[T], value: T, only_replaying: bool = False) -> None:
        """Commit a value and notify the observers of its source, or those that get replays."""
        with self.lock:
            version = source.commit(value)
            direct = self._begin()
            if not direct:
                self._queue.append(lambda: source.deliver(version, value, only_replaying))
        if direct:
            try:
                source.deliver(version, value, only_replaying)
            except BaseException as error:  # `report` itself failed, or a signal came
                self._escaped = self._escaped or error
            self._drain_on()
        else:
            self.drain()

    def emit_all(self, changes: Iterable[tuple[Source[Any], Any]]) -> None:
        """Commit every value before anybody is told of the first."""
        with self.lock:
            for source, value in changes:
                version = source.commit(value)
                self._queue.append(
                    lambda s=source, n=version, v=value: s.deliver(n, v)  # type: ignore[misc]
                )
        self.drain()

    def complete(self, sources: Iterable[Source[Any]]) -> None:
        """End the sources after everything that is queued."""
        with self.lock:
            self._queue.extend(source.complete for source in sources)
        self.drain()

    def drain(self) -> None:
        """Deliver what is queued: here and now if this thread may, else on the owner."""
        with self.lock:
            mine = self._begin(queued=True)
            foreign = self._owner is not None and self._owner != threading.get_ident()
            wake = self._wake if foreign and not self._woken else None
            self._woken = self._woken or wake is not None
        if mine:
            self._drain_on()
        elif wake is not None:
            wake(self._come)

    def _come(self) -> None:
        self._woken = False
        self.drain()

    def guard(self, name: str, deliver: Callable[[T], object], value: T) -> None:
        """Call user code outside a delivery; an error is reported and goes no further."""
        try:
            deliver(value)
        except (Exception, CancelledError) as error:
            self.report(error, name)

    def caught(self, error: BaseException, name: str) -> None:
        """Report what an observer raised in a delivery.

        `KeyboardInterrupt` and its like leave only after the queue is empty, so that an
        interrupted program cannot freeze its store.
        """
        if isinstance(error, (Exception, CancelledError)):
            try:
                self.report(error, name)
                return
            except BaseException as failed:  # a log handler of the user's
                error = failed
        self._escaped = self._escaped or error

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
                    self._draining = False
                    escaped, self._escaped = self._escaped, None
                    break
                deliver = self._queue.popleft()
            try:
                deliver()
            except BaseException as error:
                self._escaped = self._escaped or error
        if escaped is not None:
            raise escaped


class Source(Observable[T]):
    """What observers attach to; the common part of `State`, `Command` and `Stream`."""

    bus: Bus
    name: str
    version: int
    completed: bool
    records: tuple[Record[T], ...]

    def commit(self, value: T) -> int:
        """Take the value as current; the bus's lock is held."""
        self.version += 1
        return self.version

    def deliver(self, version: int, value: T, only_replaying: bool = False) -> None:
        """Notify the observers; each is isolated from what the others raise."""
        for record in self.records:
            if only_replaying and not record.replay:
                continue
            # Not `guard`, which would be a second call for each observer.
            try:
                record.notify(version, value)
            except BaseException as error:
                self.bus.caught(error, self.name)

    def complete(self) -> None:
        """Tell everybody that nothing more will come."""
        with self.bus.lock:
            records, self.records, self.completed = self.records, (), True
            self._changed()
        for record in records:
            try:
                record.end()
            except BaseException as error:
                self.bus.caught(error, self.name)

    def attach(self, observer: abc.ObserverBase[T], replay: bool) -> abc.DisposableBase:
        """Add an observer; it gets the current value first where `replay` is set."""
        record = Record(self, observer, replay)
        with self.bus.lock:
            value: Any = getattr(self, "value", None)
            record.since = self.version
            completed = self.completed
            if not completed:
                self.records = (*self.records, record)
                self._changed()
        if completed:
            if replay:
                self.bus.guard(self.name, observer.on_next, value)
            self.bus.guard(self.name, _complete, record)
            return Disposable()
        record.start(value)
        return record

    def detach(self, record: Record[T]) -> None:
        """Remove an observer; a second time does nothing."""
        with self.bus.lock:
            self.records = tuple(r for r in self.records if r is not record)
            self._changed()

    def subscribe(
        self,
        on_next: abc.ObserverBase[T] | abc.OnNext[T] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> abc.DisposableBase:
        """Subscribe as to any observable.

        Raises:
            TypeError: for a coroutine function, which would be called and never awaited.
        """
        called = getattr(on_next, "on_next", on_next)
        if any(inspect.iscoroutinefunction(c) for c in (called, type(called).__call__)):
            raise TypeError(
                "a coroutine function cannot observe a subject: nobody would await it; "
                "use create_websocket(...).on_message, which takes async handlers"
            )
        return super().subscribe(on_next, on_error, on_completed, scheduler=scheduler)

    def _changed(self) -> None:
        """Keep what RxPY shows of the observers true; `lock` is held."""
