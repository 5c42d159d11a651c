"""`store.history(n)`: the last messages of a store, then the live ones, with a bound."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from reactivex import Observer, abc

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.printable import count_of

from .bus import Bus
from .source import Source, Subscription

__all__ = ["Histories", "History"]

T = TypeVar("T")


class History(Source[T]):
    """A hot observable that begins with the last values that it has seen.

    Each observer gets every value once and in the order of the bus: those that are kept, then
    the live ones. A stock `ReplaySubject` queues every value for every observer; this one keeps
    each value once, and lets live values wait only during a replay.

    Args:
        bus: the store's.
        limit: values that are kept.
        keep: told whether this history has observers, and so has to be kept alive.
    """

    def __init__(self, bus: Bus, limit: int, keep: Callable[[History[T], bool], None]) -> None:
        super().__init__(bus, "history")
        self._kept: deque[T] = deque(maxlen=limit)
        self._keep = keep

    def _commit(self, value: T) -> int:
        """Keep the value; the bus's lock is held."""
        self._kept.append(value)
        return super()._commit(value)

    def _accept(self, value: T) -> None:
        """Keep a value and pass it on, in the middle of the bus's delivery of it."""
        with self._bus.lock:
            version = self._commit(value)
        self._deliver(version, value)

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        record: Subscription[T] = Subscription(self, observer, replay=False)
        with self._bus.lock:
            record.since = first = self._version - len(self._kept)
            record.park(enumerate(self._kept, first + 1))
            completed = self._completed
            if not completed:
                self._change(record, None)
        if completed:
            record.end()  # after what it is about to get
        record.start()
        return record

    def _value_shown(self) -> str:
        kept = f"{len(self._kept)} of {count_of(self._kept.maxlen or 0, 'message')}"
        return f"{kept}, {super()._value_shown()}"

    def _changed(self) -> None:
        self._keep(self, bool(self._records))


class Histories(Generic[T]):
    """The histories of one source: kept while somebody has or observes them.

    Args:
        source: whose values they keep.
    """

    def __init__(self, source: Source[T]) -> None:
        self._source = source
        self._all: weakref.WeakValueDictionary[int, History[T]] = weakref.WeakValueDictionary()
        self._observed: set[History[T]] = set()

    def __len__(self) -> int:
        return len(self._all)

    def of(self, limit: int) -> History[T]:
        """Return the history of some length; it begins where there is none yet.

        Raises:
            ConfigurationError: the length is not 1 or more.
        """
        if not isinstance(limit, int) or limit < 1:
            raise ConfigurationError(f"a history keeps 1 message or more, not {limit!r}")
        with self._source._bus.lock:
            history = self._all.get(limit)
            if history is not None:
                return history
            history = self._all[limit] = History(self._source._bus, limit, self._hold)
            feed = _Feed(history)
            record = self._source._attach(feed, replay=False)
        # The source holds the feed, the feed only looks at the history.
        weakref.finalize(history, record.dispose).atexit = False
        return history

    def _hold(self, history: History[T], observed: bool) -> None:
        if observed:
            self._observed.add(history)
        else:
            self._observed.discard(history)


class _Feed(Observer[T]):
    """What brings the values to a history, and does not keep it alive."""

    def __init__(self, history: History[T]) -> None:
        super().__init__()
        self._history = weakref.ref(history)

    def on_next(self, value: T) -> None:
        history = self._history()
        if history is not None:
            history._accept(value)

    def on_completed(self) -> None:
        history = self._history()
        if history is not None:
            history._complete()
