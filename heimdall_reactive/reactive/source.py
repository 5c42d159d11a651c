"""What observers attach to: the common part of every subject, and one record an observer."""

from __future__ import annotations

import inspect
import sys
import threading
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeAlias, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from heimdall_reactive.base.glance import glance, shortly
from heimdall_reactive.base.printable import count_of

from .bus import Bus

__all__ = ["LOOPS", "NO_COPY", "Derived", "Hot", "Source", "report_on"]

T = TypeVar("T")
# The newest version that an observer has seen otherwise, the `on_next` of all, and their records.
Fan: TypeAlias = tuple[int, tuple[Callable[[Any], None], ...], tuple["Subscription[Any]", ...]]

NO_COPY: Final = (
    "a store cannot be pickled or copied: it has a socket, threads and observers; pass its "
    "endpoint and options, and make another with use_websocket() there"
)
LOOPS: Final = (
    "use `async for message in store.stream()`, or `for message in store.iterate()` on a thread "
    "without an event loop"
)
NO_LOOP: Final = (
    f"an observable cannot be looped over or indexed; {LOOPS}; `ops.element_at()` takes one value "
    "by its number"
)
NEVER: Final = sys.maxsize  # the version that a disposed observer waits for
NOBODY: Final[Fan] = (0, (), ())
# What observers of events call a state whose emissions these are.
EVENTS: Final = {"last_message": "messages"}


class Subscription(abc.DisposableBase, Generic[T]):
    """One observer of one source, and the version it has seen."""

    __slots__ = ("_ended", "_parked", "_source", "observer", "replay", "since")

    def __init__(self, source: Source[T], observer: abc.ObserverBase[T], replay: bool) -> None:
        self.observer: Any = observer
        self.replay = replay
        self.since = 0
        self._source = source
        self._ended = False
        # While the first value is being replayed, later ones wait here in order.
        self._parked: deque[tuple[int, T]] | None = deque()

    def notify(self, version: int, value: T) -> None:
        """Deliver, unless the replay is still under way on another thread."""
        if self._parked is not None:
            with self._source._bus.lock:
                if self._parked is not None:
                    self._parked.append((version, value))
                    return
        if version > self.since:
            self.observer.on_next(value)

    def park(self, values: Iterable[tuple[int, T]]) -> None:
        """Let versions and values wait for the start; the bus's lock is held."""
        if self._parked is not None:
            self._parked.extend(values)

    def start(self, value: T | None = None) -> None:
        """Replay the first value, then whatever was emitted. No lock is held over it."""
        try:
            if self.replay:
                self._call(value)  # type: ignore[arg-type]
            while (later := self._unpark()) is not None:
                if later[0] > self.since:
                    self.since = later[0]  # what waits here may be on its way here as well
                    self._call(later[1])
            if self._ended:
                self._source._bus.guard(self._source._name, _complete, self)
        except BaseException:  # an interrupt: left parked, the observer would collect forever
            self._parked = None
            self.dispose()
            raise

    def end(self) -> None:
        """Complete, after what waits for the end of the replay on another thread."""
        with self._source._bus.lock:
            if self._parked is not None:
                self._ended = True
                return
        self.observer.on_completed()

    def _call(self, value: T) -> None:
        try:
            self.observer.on_next(value)
        except (Exception, CancelledError) as error:
            self._source._bus.report(error, self.name, self.over)

    @property
    def name(self) -> str:
        """What it observes, for reports."""
        name = self._source._name
        return name if self.replay else EVENTS.get(name, name)

    @property
    def over(self) -> bool:
        """Whether it has detached itself: a pipeline of RxPY does so after an error."""
        return self.since == NEVER

    def _unpark(self) -> tuple[int, T] | None:
        with self._source._bus.lock:
            if self._parked:
                return self._parked.popleft()
            self._parked = None
            self._source._fan = None
            return None

    @property
    def parked(self) -> bool:
        """Whether the replay is still under way."""
        return self._parked is not None

    def dispose(self) -> None:
        """Detach: nothing is delivered any more, not even what is already queued."""
        self.since = NEVER
        self._source._detach(self)


def _complete(record: Subscription[Any]) -> None:
    record.observer.on_completed()


class Hot(Observable[T]):
    """An observable of a store, which cannot be looped over, nor observed by what is async."""

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
            TypeError: for a coroutine function, which would be called and never awaited, and for
                what is neither a function nor an observer.
        """
        called = getattr(on_next, "on_next", on_next)
        if on_next is not None and not callable(called):
            raise TypeError(f"subscribe() takes a function or an observer, not {on_next!r}")
        if any(inspect.iscoroutinefunction(c) for c in (called, type(called).__call__)):
            raise TypeError(
                "a coroutine function cannot observe a subject: nobody would await it; "
                "use store.on_message() or store.on_each(), which await it"
            )
        return super().subscribe(on_next, on_error, on_completed, scheduler=scheduler)

    def __getitem__(self, key: slice | int) -> Observable[T]:
        """Slice, as any observable.

        Not `__iter__`, which operators would take for a sequence. RxPY gives an observable for
        every number, so that a `for` loop would never end.

        Raises:
            TypeError: for a number, which is how Python loops over what has no `__iter__`.
        """
        if isinstance(key, slice):
            return super().__getitem__(key)
        raise TypeError(NO_LOOP)

    def __aiter__(self) -> NoReturn:
        """Refuse to be looped over.

        Raises:
            TypeError: it names what can be.
        """
        raise TypeError(NO_LOOP)

    def __reduce__(self) -> NoReturn:
        raise TypeError(NO_COPY)

    def __repr__(self) -> str:
        return glance(self, self._words())

    def _words(self) -> str:
        """Return how it is, in a few words."""
        raise NotImplementedError


class Derived(Hot[T]):
    """What operators made of an observable of a store.

    Args:
        source: what they made.
        words: what it is, for a `repr`.
    """

    def __init__(self, source: Observable[T], words: str) -> None:
        super().__init__()
        self._source = source
        self._about = words

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._source.subscribe(observer, scheduler=scheduler)

    def _words(self) -> str:
        return self._about


class _FirstLock:
    """The lock of an observable, which operators may ask for: most of a store's never are."""

    def __get__(self, source: Observable[Any], _: type[Any] | None = None) -> threading.RLock:
        # In one step: two threads may ask at once.
        lock: threading.RLock = vars(source).setdefault("lock", threading.RLock())
        return lock


class Source(Hot[T]):
    """What observers attach to; the common part of `State`, `Command` and `Stream`.

    What the classes of RxPY set, this one does not: a store has eleven of them, and a lock, a list
    and the names for a subject's observers took 1.5 KB of it.

    Args:
        bus: the store's.
        name: for reports.
    """

    __slots__ = ("_bus", "_completed", "_fan", "_name", "_records", "_version")

    lock = _FirstLock()

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self._name = name
        self._version = 0
        self._completed = False
        self._records: tuple[Subscription[T], ...] = ()
        self._fan: Fan | None = NOBODY  # None after a change, until the next emission looks

    def _commit(self, value: T) -> int:
        """Set the current value; the bus's lock is held."""
        self._version += 1
        return self._version

    def _deliver(self, version: int, value: T, only_replaying: bool = False) -> None:
        """Notify the observers; each is isolated from what the others raise."""
        newest, calls, records = self._fan or self._look()
        if version > newest and not only_replaying:
            # Nobody has to be left out: what a stock subject does, at the same cost each.
            for on_next in calls:
                try:
                    on_next(value)
                except BaseException as error:
                    record = records[calls.index(on_next)]
                    self._bus.caught(error, record.name, record.over)
            return
        for record in self._records:
            if only_replaying and not record.replay:
                continue
            # Not `guard`, which would be a second call for each observer.
            try:
                record.notify(version, value)
            except BaseException as error:
                self._bus.caught(error, record.name, record.over)

    def _complete(self) -> None:
        """Tell everybody that nothing more will come."""
        with self._bus.lock:
            records, self._records, self._completed = self._records, (), True
            self._fan = NOBODY
            self._changed()
            if self._bus.keep is not None:
                self._bus.keep(self)
        for record in records:
            try:
                record.end()
            except BaseException as error:
                self._bus.caught(error, record.name)

    def _disown(self) -> None:
        """End in a child process without telling anybody: the observers are the parent's."""
        self._records, self._fan, self._completed = (), NOBODY, True
        self._changed()

    def _attach(self, observer: abc.ObserverBase[T], replay: bool) -> abc.DisposableBase:
        """Add an observer; it gets the current value first where `replay` is set."""
        record = Subscription(self, observer, replay)
        with self._bus.lock:
            value: Any = getattr(self, "_value", None)
            record.since = self._version
            completed = self._completed
            if not completed:
                self._change(record, None)
        if replay:
            value = self._told(value)
        if completed:
            if replay:
                self._bus.guard(self._name, observer.on_next, value)
            self._bus.guard(self._name, _complete, record)
            return Disposable()
        record.start(value)
        return record

    def _told(self, value: Any) -> Any:
        """Return what a reader is notified of a value, outside of any lock."""
        return value

    def _detach(self, record: Subscription[T]) -> None:
        """Remove an observer; a second time does nothing."""
        with self._bus.lock:
            self._change(None, record)

    def _change(self, added: Subscription[T] | None, removed: Subscription[T] | None) -> None:
        """Change the observers; `lock` is held, but a finaliser may change them."""
        while True:
            before = self._records
            if added is not None:
                after = (*before, added)
            else:
                after = tuple([record for record in before if record is not removed])
            if self._records is before:
                self._records = after
                break
        self._fan = None
        self._changed()
        if self._bus.keep is not None:
            self._bus.keep(self)

    def _look(self) -> Fan:
        """Look whom an emission goes to: once for all changes before it."""
        with self._bus.lock:
            while True:
                records = self._records
                parked = any(record.parked for record in records)
                newest = NEVER if parked else max((record.since for record in records), default=0)
                calls = tuple(record.observer.on_next for record in records)
                self._fan = fan = newest, calls, records
                if records is self._records:  # no finaliser has changed them
                    return fan

    if not TYPE_CHECKING:  # checkers would take any name

        def __getattr__(self, name: str) -> NoReturn:
            """Say where the value is that somebody looks for on the subject itself."""
            hint = "" if name.startswith("_") else self._hint
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}{hint}",
                name=name, obj=self,
            )  # fmt: skip

    @property
    def _hint(self) -> str:
        return (
            f"; {self._name!r} is a stream without a value: store.last_message.value is the newest"
        )

    def _changed(self) -> None:
        """Handle a change of the observers; `lock` is held."""

    def _words(self) -> str:
        ended = ", ended" if self._completed else ""
        return f"{shortly(self._name)}: {self._value_shown()}{ended}"

    def _value_shown(self) -> str:
        return count_of(len(self._records), "observer")


def report_on(source: Observable[Any], error: BaseException, what: str) -> bool:
    """Report what user code raised on the errors of a subject's store.

    Args:
        source: any observable.
        error: what was raised.
        what: what it was that raised; the name of the subject is added.

    Returns:
        Whether it was reported: the observable is a store's subject.
    """
    if not isinstance(source, Source):
        return False
    source._bus.report(error, f"{what} of {source._name}")
    return True
