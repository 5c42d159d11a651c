"""The bus and the subjects: one order, values before notifications, nobody hurt by a neighbour.

Stock subjects reorder re-entrant emissions, let one raising observer starve the rest, deadlock on
the initial replay and die of a finite source. Here every emission of a store goes through one
`Bus`: it commits the value, then queues the notification, and one thread at a time drains.
"""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, NoReturn, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable
from reactivex.subject import BehaviorSubject

from .exceptions import ReadOnlyError

__all__ = ["Bus", "Command", "State", "Stream"]

T = TypeVar("T")
R = TypeVar("R")

NEVER: Final = sys.maxsize  # the version that a disposed observer waits for
Report = Callable[[BaseException, str], None]


class _Record(abc.DisposableBase, Generic[T]):
    """One observer of one source, and the version it has seen."""

    __slots__ = ("_parked", "_source", "observer", "replay", "since")

    def __init__(self, source: _Source[T], observer: abc.ObserverBase[T], replay: bool) -> None:
        self.observer = observer
        self.replay = replay
        self.since = 0
        self._source = source
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
        bus = self._source.bus
        if self.replay:
            bus.guard(self._source.name, self.observer.on_next, value)
        while True:
            with bus.lock:
                if not self._parked:
                    self._parked = None
                    return
                version, value = self._parked.popleft()
            if version > self.since:
                bus.guard(self._source.name, self.observer.on_next, value)

    def dispose(self) -> None:
        """Detach: nothing is delivered any more, not even what is already queued."""
        self.since = NEVER
        self._source.detach(self)


class Bus:
    """One FIFO for everything that a store emits.

    Args:
        report: called with what an observer raised and the name of its source.
    """

    def __init__(self, report: Report) -> None:
        self.lock = threading.Lock()
        self._report = report
        self._queue: deque[Callable[[], None]] = deque()
        self._draining = False
        self._owner: int | None = None
        self._wake: Callable[[Callable[[], None]], object] | None = None
        self._escaped: BaseException | None = None

    def bind(self, owner: int, wake: Callable[[Callable[[], None]], object]) -> None:
        """Let one thread deliver from now on; emissions of other threads wake it."""
        with self.lock:
            self._owner, self._wake = owner, wake

    def emit(self, source: _Source[T], value: T) -> None:
        """Commit a value and notify the observers of its source."""
        with self.lock:
            version = source.commit(value)
            direct = self._begin()
            if not direct:
                self._queue.append(lambda: source.deliver(version, value))
        if direct:
            source.deliver(version, value)
            self._drain_on()
        else:
            self.drain()

    def emit_all(self, changes: Iterable[tuple[_Source[Any], Any]]) -> None:
        """Commit every value before anybody is told of the first."""
        with self.lock:
            for source, value in changes:
                version = source.commit(value)
                self._queue.append(
                    lambda s=source, n=version, v=value: s.deliver(n, v)  # type: ignore[misc]
                )
        self.drain()

    def complete(self, sources: Iterable[_Source[Any]]) -> None:
        """End the sources after everything that is queued."""
        with self.lock:
            self._queue.extend(source.complete for source in sources)
        self.drain()

    def drain(self) -> None:
        """Deliver what is queued: here and now if this thread may, else on the owner."""
        with self.lock:
            foreign = self._owner is not None and self._owner != threading.get_ident()
            if not foreign and not self._begin(queued=True):
                return
            wake = self._wake
        if foreign:
            if wake is not None:
                wake(self.drain)
        else:
            self._drain_on()

    def guard(self, name: str, deliver: Callable[[T], None], value: T) -> None:
        """Call an observer; what it raises is reported and goes no further.

        `KeyboardInterrupt` and its like leave only after the queue is empty, so that an
        interrupted program cannot freeze its store.
        """
        try:
            deliver(value)
        except (Exception, CancelledError) as error:
            self._report(error, name)
        except BaseException as error:
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
            deliver()
        if escaped is not None:
            raise escaped


class _Source(Generic[T]):
    """What observers attach to; the common part of `State`, `Command` and `Stream`."""

    bus: Bus
    name: str
    version: int
    completed: bool
    records: tuple[_Record[T], ...]

    def commit(self, value: T) -> int:
        """Take the value as current; the bus's lock is held."""
        self.version += 1
        return self.version

    def deliver(self, version: int, value: T) -> None:
        """Notify the observers; each is isolated from what the others raise."""
        guard = self.bus.guard
        for record in self.records:
            # Inlined `guard` on the good path: it would be a second call for each observer.
            try:
                record.notify(version, value)
            except BaseException as error:
                guard(self.name, _raise, error)

    def complete(self) -> None:
        """Tell everybody that nothing more will come."""
        with self.bus.lock:
            records, self.records, self.completed = self.records, (), True
            self._changed()
        for record in records:
            self.bus.guard(self.name, lambda r: r.observer.on_completed(), record)

    def attach(self, observer: abc.ObserverBase[T], replay: bool) -> abc.DisposableBase:
        """Add an observer; it gets the current value first where `replay` is set."""
        record = _Record(self, observer, replay)
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
            observer.on_completed()
            return Disposable()
        record.start(value)
        return record

    def detach(self, record: _Record[T]) -> None:
        """Remove an observer; a second time does nothing."""
        with self.bus.lock:
            self.records = tuple(r for r in self.records if r is not record)
            self._changed()

    def _changed(self) -> None:
        """Keep what RxPY shows of the observers true; `lock` is held."""


def _raise(error: BaseException) -> NoReturn:
    raise error


def _refuse_coroutines(on_next: object) -> None:
    if inspect.iscoroutinefunction(on_next) or inspect.iscoroutinefunction(
        getattr(on_next, "on_next", None)
    ):
        raise TypeError(
            "a coroutine function cannot observe a subject: it would be called and never awaited; "
            "use create_websocket(...).on_message, which takes async handlers"
        )


class Stream(_Source[T], Observable[T]):
    """A hot observable of events: no value, no replay, no end before the store's.

    Args:
        bus: the store's.
        name: for reports.
        of: a state whose emissions are the events; the two then share one notification.
    """

    def __init__(self, bus: Bus, name: str, of: State[Any] | None = None) -> None:
        super().__init__()
        self.bus, self.name, self.version, self.completed = bus, name, 0, False
        self.records = ()
        self._of = of

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return (self._of or self).attach(observer, replay=False)

    def subscribe(self, on_next: Any = None, *args: Any, **kwargs: Any) -> abc.DisposableBase:
        """Subscribe as to any observable; coroutine functions are refused."""
        _refuse_coroutines(on_next)
        return super().subscribe(on_next, *args, **kwargs)


class State(_Source[T], BehaviorSubject[T]):
    """A `BehaviorSubject` that only its store writes.

    Late subscribers get the current value, also after completion, which is then repeated.
    """

    def __init__(self, bus: Bus, name: str, value: T) -> None:
        super().__init__(value)
        self.bus, self.name, self.version, self.completed = bus, name, 0, False
        self.records = ()

    def commit(self, value: T) -> int:
        """Take the value as current; the bus's lock is held."""
        self.value = value
        self.version += 1
        return self.version

    def _changed(self) -> None:
        self.observers = [record.observer for record in self.records]

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self.attach(observer, replay=True)

    def subscribe(self, on_next: Any = None, *args: Any, **kwargs: Any) -> abc.DisposableBase:
        """Subscribe as to any subject; coroutine functions are refused."""
        _refuse_coroutines(on_next)
        return super().subscribe(on_next, *args, **kwargs)

    def reset(self, value: T) -> None:
        """Change the value for those who observe the value, not for those who observe events."""
        with self.bus.lock:
            version = self.commit(value)
            self.bus._queue.append(lambda: self._deliver_reset(version, value))
        self.bus.drain()

    def _deliver_reset(self, version: int, value: T) -> None:
        for record in self.records:
            if record.replay:
                self.bus.guard(self.name, lambda v, r=record: r.notify(version, v), value)  # type: ignore[misc]

    def on_next(self, value: T) -> None:
        """Refuse: only the store writes this subject."""
        self._refuse()

    def on_error(self, error: Exception) -> None:
        """Refuse: nothing from outside ends this subject."""
        self._refuse()

    def on_completed(self) -> None:
        """Refuse: nothing from outside ends this subject."""
        self._refuse()

    def dispose(self) -> None:
        """Refuse: a store's subjects end with the store."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ReadOnlyError(f"{self.name!r} is read-only: its store writes it and close() ends it")

    def __bool__(self) -> bool:
        warnings.warn(
            f"a subject is always true; use {self.name}.value (or store.connected)",
            RuntimeWarning,
            stacklevel=2,
        )
        return True


class Command(State[T | None], Generic[T, R]):
    """A subject that is also a function, and an observer that nothing can end.

    Calling it performs the command once and returns its result; `on_next` is the same without
    the result. Observers see the accepted values; a late one replays the value and triggers
    nothing.

    Args:
        bus: the store's.
        name: for reports.
        perform: does it; raises or returns what the caller gets.
    """

    def __init__(self, bus: Bus, name: str, perform: Callable[[T], R]) -> None:
        super().__init__(bus, name, None)
        self._perform = perform

    def __call__(self, value: T) -> R:
        return self._perform(value)

    def on_next(self, value: T | None) -> None:
        """Perform the command; what it raises is reported, so that the source lives on."""
        self.bus.guard(self.name, self._perform, value)  # type: ignore[arg-type]

    def on_error(self, error: Exception) -> None:
        """Report the failure of a source; the command lives on."""
        self.bus._report(error, self.name)

    def on_completed(self) -> None:
        """Let a source end; the command lives on."""
