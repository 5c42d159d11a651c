"""`Gathered`: what came of an observable, of which each binding shows what is new to it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable, SingleAssignmentDisposable
from reactivex.subject import Subject

from heimdall_reactive.base.masking import told
from heimdall_reactive.reactive.source import report_on
from heimdall_reactive.reactive.values import is_told

from .options import check_observable

__all__ = ["Gathered"]

logger: Final = logging.getLogger("heimdall_reactive")

T = TypeVar("T")
P = TypeVar("P")

AGAIN: Final = 1.0  # seconds after which bindings are told though they have taken nothing


class Gathered(Observable[P], abc.DisposableBase, Generic[T, P]):
    """What came of a source, kept within bounds from now on, for all who show it.

    It observes its source until that ends or `dispose()` is called, so it belongs beside the store
    and not into a page: what is bound later begins with what is kept. As an observable it emits
    after each value of the source. A binding is told once, and takes what has changed since its
    last paint: a thousand values between two paints cost a page nothing.

    Args:
        source: a subject of a store, or any observable.
    """

    _what: ClassVar[str]  # in reports

    def __init__(self, source: Observable[T]) -> None:
        super().__init__()
        check_observable(source)
        self._source = source
        self._failed = 0
        self._told: Subject[P] = Subject()
        self._over: Subject[Any] = Subject()  # of bindings
        self._bindings: dict[Taking[P], None] = {}
        self._waiting: dict[Taking[P], None] = {}  # those that have taken everything
        self._again_at = 0.0
        # Reentrant: an observer may look. Held while observers are told, for one that comes gets
        # what is kept before anything newer.
        self._lock = threading.RLock()
        self._subscription = SingleAssignmentDisposable()
        self._subscription.disposable = source.subscribe(self._put, self._fail, self._complete)

    def taking(self, select: Callable[[P], Any] | None) -> Taking[P]:
        """Return a source for one binding, whose `select` takes what has changed."""
        return Taking(self, self._taker(), select)

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
            if change is None:
                return
            if self._bindings and (now := time.monotonic()) > self._again_at:
                self._again_at = now + AGAIN  # the loop of one may be closed
                self._waiting = dict(self._bindings)
            if self._waiting:
                waiting, self._waiting = self._waiting, {}
                for each in waiting:
                    each.tell()
            if self._told.observers:  # without any, a subject takes longer than all of the above
                self._told.on_next(change)

    def _fail(self, error: Exception) -> None:
        self._told.on_error(error)
        self._over.on_error(error)

    def _complete(self) -> None:
        self._told.on_completed()
        self._over.on_completed()

    def _report(self, error: Exception) -> None:
        # Raised on, it would end the subscription where the source is a pipe of operators.
        self._failed += 1
        if not report_on(self._source, error, self._what) and is_told(self._failed):
            logger.error("a %s raised %s (%d so far)", self._what, told(error), self._failed)

    def _add(self, value: T) -> P | None:
        """Keep a value; return what to tell observers, or None where nothing has changed."""
        raise NotImplementedError

    def _taker(self) -> Callable[[], P]:
        """Return a function that returns what has changed since its last call."""
        raise NotImplementedError


class Taking(Observable[Any], Generic[P]):
    """Tells a binding that there is something new, once until it has taken that."""

    def __init__(
        self, kept: Gathered[Any, P], take: Callable[[], P], select: Callable[[P], Any] | None
    ) -> None:
        super().__init__()
        self._kept = kept
        self._take = take
        self._select = select
        self.tell: Callable[[], None] = _nobody

    def select(self, _: object) -> Any:
        """Take what has changed since the last call."""
        kept = self._kept
        with kept._lock:
            change = self._take()
            if self in kept._bindings:
                kept._waiting[self] = None
        return change if self._select is None else self._select(change)

    def _subscribe_core(
        self, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        kept = self._kept
        with kept._lock:
            self.tell = lambda: observer.on_next(None)
            kept._bindings[self] = None
            self.tell()  # of what is kept
            over = kept._over.subscribe(observer)
        return CompositeDisposable(over, Disposable(self._leave))

    def _leave(self) -> None:
        kept, self.tell = self._kept, _nobody
        with kept._lock:
            kept._bindings.pop(self, None)
            kept._waiting.pop(self, None)


def _nobody() -> None: ...
