"""`bind`: a setter of a user interface that follows an observable, as a React component would."""

from __future__ import annotations

import logging
import time
from asyncio import CancelledError, TimerHandle
from collections.abc import Callable
from typing import Any, Final, TypeVar, Unpack, overload

from reactivex import Observable, abc
from reactivex.disposable import SingleAssignmentDisposable

from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.masking import told
from heimdall_reactive.base.stats import ConsumerStats
from heimdall_reactive.consuming.buffers import Buffer
from heimdall_reactive.reactive.source import report_on

from .drops import Drops, name_of
from .frames import Cancellable
from .gathering import Gathered
from .options import BindOptions, OnError, check, check_functions
from .pages import PageClock
from .scope import UiScope
from .selecting import Selecting, distinct_by_default

__all__ = ["BindOptions", "Binding", "bind", "bind_batch"]

T = TypeVar("T")
R = TypeVar("R")

# Seconds of setters in a row; then the UI handles its own events before the rest. Half of a frame
# at 60 Hz.
SLICE: Final = 0.008
# Seconds after which a wake-up counts as lost, as with a loop that was closed, and twice as many
# for the next one: a loop that stands still must not collect them.
LOST: Final = 1.0
ADVICE: Final = "show many at once with bind_batch(), or bind the newest only, without buffer="

logger: Final = logging.getLogger("heimdall_reactive")


@overload
def bind(
    source: Observable[T],
    setter: Callable[[T], object],
    scope: UiScope | None = None,
    *,
    select: None = None,
    **options: Unpack[BindOptions],
) -> Binding: ...
@overload
def bind(
    source: Observable[T],
    setter: Callable[[R], object],
    scope: UiScope | None = None,
    *,
    select: Callable[[T], R],
    **options: Unpack[BindOptions],
) -> Binding: ...
def bind(
    source: Observable[Any],
    setter: Callable[[Any], object],
    scope: UiScope | None = None,
    *,
    select: Callable[[Any], Any] | None = None,
    distinct: bool | None = None,
    every: float | None = None,
    buffer: int = 1,
    immediate: bool = True,
    on_error: OnError | None = None,
    on_done: Callable[[], object] | None = None,
) -> Binding:
    """Call a setter with the newest value of an observable, on the thread of a user interface.

    The first value is set before this returns, and one that comes after a pause in the next turn of
    the UI. Many changes within one frame give one call with the newest, or every value in order
    where `buffer` is more than 1. After `dispose()`, and once the owner of the scope is gone, the
    setter is never called again. What it raises is reported (on `store.errors`, in the log) and
    hurts nobody else.

    The newest value alone is wrong for a table by key, or for a plot: see `latest_by`, `window`
    and `bind_batch`.

    Args:
        source: a subject of a store, or any observable.
        setter: shows a value; called on the UI's thread only.
        scope: the UI's thread and the owner. None calls in place, on the thread that emits.
        select: what of the value is shown; runs on the UI's thread.
        distinct: leave out what equals the value before. None does so for a selection of the
            newest value: without `select` the source's own emissions count, and two equal
            messages are two.
        every: seconds between two paints at least; None is the scope's, 1/60 by default. A
            binding without a scope, or with 0, is not held back.
        buffer: values that may wait for the UI; the oldest go, counted in `Binding.stats`, and with
            more than 1 reported in the log.
        immediate: set the first value here and now, so call this on the UI's thread; False posts
            it like all others.
        on_error: told, on the UI's thread, what `select`, the setter or the source raised, in
            place of the report.
        on_done: called on the UI's thread after the source's last value.

    Returns:
        The binding; `dispose()` ends it.

    Raises:
        ConfigurationError: `buffer` is not a whole number of 1 or more; `every` is less than 0, or
            given without a scope that posts.
        TypeError: the source is not an observable, the setter or `select` not a function, the scope
            not a `UiScope`; or the setter is a coroutine function, which nobody would await.
    """
    if select is not None:
        check_functions(select=select)
    if isinstance(source, Gathered):
        source, distinct = source.taking(select), False
        select = source.select
    if distinct is None:
        distinct = distinct_by_default(select, buffer)
    selecting = Selecting(select, distinct)
    return _begin(source, setter, scope, selecting, every, buffer, immediate, on_error, on_done)


def bind_batch(
    source: Observable[T],
    setter: Callable[[list[T]], object],
    scope: UiScope | None = None,
    *,
    every: float | None = None,
    buffer: int = 1000,
    on_error: OnError | None = None,
    on_done: Callable[[], object] | None = None,
) -> Binding:
    """Call a setter with the list of what came since the last paint, in order: for logs.

    Args:
        source: a subject of a store, or any observable.
        setter: shows some values; called on the UI's thread only.
        scope: as for `bind`.
        every: as for `bind`.
        buffer: values that one list may hold; the oldest go, counted and reported as for `bind`.
        on_error: as for `bind`.
        on_done: as for `bind`.

    Raises:
        ConfigurationError: as for `bind`.
        TypeError: as for `bind`.
    """
    selecting = Selecting(None, False)
    return _begin(
        source, setter, scope, selecting, every, buffer, True, on_error, on_done, batch=True
    )


def _begin(
    source: Observable[Any],
    setter: Callable[[Any], object],
    scope: UiScope | None,
    selecting: Selecting,
    every: float | None,
    buffer: int,
    immediate: bool,
    on_error: OnError | None,
    on_done: Callable[[], object] | None,
    batch: bool = False,
) -> Binding:
    scope = UiScope() if scope is None else scope
    check(source, setter, scope, every, buffer)
    pace = 0.0 if scope.post is None else scope.every if every is None else every
    binding = Binding(source, setter, scope, selecting, pace, buffer, on_error, on_done, batch)
    binding.start(immediate)
    return binding


class Binding(abc.DisposableBase):
    """A setter that follows an observable; made by `bind`."""

    def __init__(
        self,
        source: Observable[Any],
        setter: Callable[[Any], object],
        scope: UiScope,
        selecting: Selecting,
        every: float,
        buffer: int,
        on_error: OnError | None,
        on_done: Callable[[], object] | None,
        batch: bool = False,
    ) -> None:
        self._source = source
        self._setter = setter
        self._scope = scope
        self._selecting = selecting
        self._drops = Drops("a binding", ADVICE)
        tell = self._drops.note if buffer != 1 else None  # of one, the newest is what is wanted
        self._buffer: Buffer[Any] = Buffer(buffer, "drop_oldest", "binding", tell=tell)
        self._on_error, self._on_done, self._batch, self._every = on_error, on_done, batch, every
        self._due = float("-inf")  # when the next paint may be: the first one at any time
        self._wait: Cancellable | None = None
        # Somebody is about to show what waits. Not a `WakeUp`: it changes under the buffer's lock,
        # as without a scope every thread shows, and it is given up when it seems to be lost.
        self._armed, self._showing = True, False
        self._woken_at, self._patience = time.monotonic(), LOST
        self._ended = False  # the source has
        self._failure: Exception | None = None
        self._disposed = False
        self._subscription = SingleAssignmentDisposable()
        self._undo: Callable[[], Any] = lambda: None

    @property
    def stats(self) -> ConsumerStats:
        """Return the counters as they are now: what waited for the UI, and what had no room."""
        return self._buffer.stats()

    @property
    def is_disposed(self) -> bool:
        """Whether it has ended, by whomever."""
        return self._disposed

    def __repr__(self) -> str:
        counts = self.stats.counts()
        return glance(self, f"of {name_of(self._source)}: {counts}{', ended' * self._disposed}")

    def start(self, immediate: bool) -> None:
        """Subscribe; then the first value, when nobody's lock is held any more."""
        undo = self._scope.register(self.dispose)
        with self._buffer.lock:
            self._undo, gone = undo, self._disposed
        if gone:  # the owner was gone before
            undo()
            return
        self._subscription.disposable = self._source.subscribe(self._put, self._fail, self._end)
        if immediate or self._scope.post is None:
            self._come()
            self._due = 0.0  # the first change is not held back
        else:
            self._wake()

    def dispose(self) -> None:
        """Call the setter never again, not even with what waits. Idempotent, from any thread."""
        with self._buffer.lock:
            if self._disposed:
                return
            self._disposed = True
            self._buffer.clear()
        # A widget must not die with whoever still holds the binding.
        self._setter, self._selecting = lambda _: None, Selecting(None, False)
        self._on_error = self._on_done = None
        self._subscription.dispose()
        if self._wait is not None and not isinstance(self._wait, TimerHandle):
            self._wait.cancel()  # that of an event loop ends soon by itself, and on its thread only
        self._undo()

    # On the source's side

    def _put(self, value: Any) -> None:
        with self._buffer.lock:
            if self._disposed:
                return
            self._buffer.put(value)
        self._arm()

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._end()

    def _end(self) -> None:
        self._ended = True
        if self._scope.post is None:
            self._arm()
        else:
            self._wake()  # what waits for the next frame waits no longer

    def _arm(self) -> None:
        now = time.monotonic()
        with self._buffer.lock:
            lost = now > self._woken_at + self._patience and not self._showing
            self._patience *= 1 + lost
            wake, self._armed = lost or not self._armed, True
            if wake:
                self._woken_at = now
        if wake:
            self._wake()

    def _wake(self) -> None:
        if self._scope.post is None:
            self._come()
            return
        clock = self._scope.clock
        page = clock if isinstance(clock, PageClock) and not self._ended else None
        if page and (held := page.hold(self._wake, instead=self._wait)):
            self._wait = held
            return
        try:
            self._scope.post(self._come)
        except Exception as error:  # a loop that was closed, a window that is gone
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.debug("a binding ends, its user interface is gone: %s", told(error))
        self.dispose()

    # On the UI's side

    def _come(self) -> None:
        """Show what waited when this began; what comes while it runs is of the next frame."""
        if self._showing or self._disposed:  # showing: an event loop inside of the setter
            return
        now = self._scope.clock.time()
        if now < self._due and not self._ended:
            self._wait_for_frame(self._due - now)
            return
        self._showing, self._patience = True, LOST
        self._drops.report(self._buffer, self._source)
        until, waiting = time.monotonic() + SLICE, len(self._buffer)
        if waiting:
            self._due = now + self._every
        posted, more = self._scope.post is not None, False
        try:
            while not more and self._next():
                waiting -= 1
                due = waiting <= 0 or time.monotonic() > until
                more = posted and due and bool(self._buffer)
                if more and waiting > 0:
                    self._due = 0.0  # the rest is of the same frame
        except BaseException:  # an interrupt, which must not freeze the binding
            more = self._armed = posted
            raise
        finally:
            self._showing = False  # before the wake-up, which may come here in place
            if more:
                self._wake()

    def _next(self) -> bool:
        """Show the next value; return whether to go on."""
        with self._buffer.lock:
            if self._disposed:
                return False
            over = not self._buffer
            if over:
                self._armed = False
                if not self._ended:
                    return False
            value = None if over else self._take()
        if not self._scope.is_alive():
            self.dispose()
            return False
        if over:
            self._finish()
            return False
        self._guard(self._show, value, self._on_error)
        return True

    def _take(self) -> Any:
        take = self._buffer.take
        return [take() for _ in range(len(self._buffer))] if self._batch else take()

    def _wait_for_frame(self, seconds: float) -> None:
        self._woken_at = time.monotonic() + min(seconds, LOST)
        try:
            self._wait = self._scope.clock.call_later(seconds, self._wake)
        except Exception as error:
            self._give_up(error)

    def _show(self, value: Any) -> None:
        selecting = self._selecting  # `select` may dispose
        if selecting.changed(value):
            self._setter(selecting.shown)

    def _finish(self) -> None:
        done, failure, on_error = self._on_done, self._failure, self._on_error
        self.dispose()
        if failure is not None:
            self._report(failure, on_error)
        if done is not None:
            self._guard(lambda _: done(), None, on_error)

    def _guard(self, call: Callable[[Any], object], value: Any, on_error: OnError | None) -> None:
        try:
            call(value)
        except (Exception, CancelledError) as error:
            self._report(error, on_error)

    def _report(self, error: BaseException, on_error: OnError | None) -> None:
        if on_error is not None and isinstance(error, Exception):
            self._guard(on_error, error, None)  # one that raises must not feed itself
        elif not report_on(self._source, error, "binding"):
            logger.error("a binding raised %s", told(error))
