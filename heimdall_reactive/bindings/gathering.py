"""`Gathered`: what came of an observable, of which each binding shows what is new to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Final, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import SingleAssignmentDisposable
from reactivex.subject import Subject

from heimdall_reactive.base.masking import told
from heimdall_reactive.reactive.source import report_on

__all__ = ["Gathered"]

logger: Final = logging.getLogger("heimdall_reactive")

T = TypeVar("T")
P = TypeVar("P")


class Gathered(Observable[P], abc.DisposableBase, Generic[T, P]):
    """What came of a source, kept within bounds from now on, for all who show it.

    It observes its source until that ends or `dispose()` is called, so it belongs beside the store
    and not into a page: what is bound later begins with what is kept. As an observable it emits
    after each value of the source; a binding takes from it what has changed since its last paint.

    Args:
        source: a subject of a store, or any observable.
    """

    _what: ClassVar[str]  # in reports

    def __init__(self, source: Observable[T]) -> None:
        super().__init__()
        self._source = source
        self._failed = 0
        self._told: Subject[P] = Subject()
        # Reentrant: an observer may look. Held while observers are told, for one that comes gets
        # what is kept before anything newer.
        self._lock = threading.RLock()
        self._subscription = SingleAssignmentDisposable()
        self._subscription.disposable = source.subscribe(
            self._put, self._told.on_error, self._told.on_completed
        )

    def taker(self, select: Callable[[P], Any] | None) -> Callable[[object], Any]:
        """Return a function that takes what has changed since its last call, for a binding."""
        take = self._taker()
        return lambda _: take() if select is None else select(take())

    def dispose(self) -> None:
        """Observe the source no longer. Idempotent; what was gathered stays."""
        self._subscription.dispose()

    def _subscribe_core(
        self, observer: abc.ObserverBase[P], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        with self._lock:
            observer.on_next(self._taker()())
            return self._told.subscribe(observer)

    def _put(self, value: T) -> None:
        with self._lock:
            try:
                change = self._add(value)
            except Exception as error:  # a function of the user's
                self._report(error)
                return
            if change is not None:
                self._told.on_next(change)

    def _report(self, error: Exception) -> None:
        # Raised on, it would end the subscription where the source is a pipe of operators.
        self._failed += 1
        told_of = self._failed & (self._failed - 1) == 0  # the 1st, 2nd, 4th ..., as stores do
        if not report_on(self._source, error, self._what) and told_of:
            logger.error("a %s raised %s (%d so far)", self._what, told(error), self._failed)

    def _add(self, value: T) -> P | None:
        """Keep a value; return what to tell observers, or None."""
        raise NotImplementedError

    def _taker(self) -> Callable[[], P]:
        """Return a function that returns what has changed since its last call."""
        raise NotImplementedError
