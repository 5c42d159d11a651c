"""The subjects that users see: `State` (read-only), `Command` (callable) and `Stream` (events)."""

from __future__ import annotations

import warnings
import weakref
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any, Final, Generic, Never, NoReturn, TypeVar

from reactivex import abc
from reactivex.subject import BehaviorSubject

from heimdall_reactive.base.exceptions import (
    ReadOnlyError,
    SourceError,
    StoreClosed,
    StoreError,
)
from heimdall_reactive.base.glance import shortly
from heimdall_reactive.base.state import ConnectionState

from .bus import Bus, Emitter
from .source import Source

__all__ = ["Command", "Selection", "Selections", "State", "Stream", "Trigger", "not_awaitable"]

T = TypeVar("T")
R = TypeVar("R")

# What is true of a value where the store's event loop has ended, and nothing is committed.
WHEN_LOST: Final[dict[str, Callable[[Any], Any]]] = {
    "state": ConnectionState.without_loop,
    "is_connected": lambda _: False,
    "latency": lambda _: None,
}


class Stream(Source[T]):
    """A hot observable of events: no value, no replay, no end before the store's.

    Args:
        bus: the store's.
        name: for reports.
        of: a state whose emissions are the events; the two then share one notification.
    """

    __slots__ = ("_of",)

    def __init__(self, bus: Bus, name: str, of: State[Any] | None = None) -> None:
        super().__init__(bus, name)
        self._of = of

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        source = self if self._of is None else self._of
        return source._attach(observer, replay=False)


class State(Source[T], BehaviorSubject[T]):
    """A `BehaviorSubject` that only its store writes.

    Late subscribers get the current value, also after completion, which is then repeated.
    """

    __slots__ = ("_value",)

    # What RxPY shows of a subject; nothing from outside changes it.
    is_disposed = is_stopped = False
    exception = None

    def __init__(self, bus: Bus, name: str, value: T) -> None:
        super().__init__(bus, name)
        self._value = value

    @property
    def observers(self) -> list[abc.ObserverBase[T]]:  # type: ignore[override]
        """The present observers."""
        return [record.observer for record in self._records]

    @property
    def value(self) -> T:
        """The current value."""
        lost = self._bus.lost  # not `_told`, which would be a second call for each look
        return self._value if lost is None or not lost() else self._when_lost(self._value)

    # Of no type, so that type checkers refuse an assignment as well.
    @value.setter  # type: ignore[override]
    def value(self, value: Never) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._refuse()

    def _when_lost(self, value: T) -> T:
        # By the name: an attribute would cost each store 500 bytes.
        known = WHEN_LOST.get(self._name)
        return value if known is None else known(value)

    def _told(self, value: T) -> T:
        """Return what is true of a value also where the store's event loop has ended."""
        lost = self._bus.lost
        return value if lost is None or not lost() else self._when_lost(value)

    def _commit(self, value: T) -> int:
        """Make the value the current one; the bus's lock is held."""
        self._value = value
        self._version += 1
        return self._version

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._attach(observer, replay=True)

    def _reset(self, value: T) -> None:
        """Change the value for those who observe the value, not for those who observe events."""
        self._bus.emit(self, value, only_replaying=True)

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

    @property
    def _hint(self) -> str:
        return f"; {self._name!r} is a subject, and its value is {self._name}.value"

    def _refuse(self) -> NoReturn:
        raise ReadOnlyError(f"{self._name!r} is read-only: its store writes it and close() ends it")

    def _value_shown(self) -> str:
        value: Any = self.value
        if value is None or isinstance(value, (bool, int, float)):
            return str(value)
        return shortly(str(value)) if isinstance(value, ConnectionState) else self._bus.shown(value)

    def __bool__(self) -> bool:
        warnings.warn(
            f"a subject is always true; use {self._name}.value (or store.connected)",
            RuntimeWarning,
            stacklevel=2,
        )
        return True


class Selection(State[R], Generic[T, R]):
    """A state derived from another: distinct, and committed together with it.

    Args:
        bus: the store's.
        selector: a pure function of the source's value.
        source: the source's value now.
        keep: told whether this selection has observers, and so has to be kept alive.
    """

    def __init__(
        self,
        bus: Bus,
        selector: Callable[[T], R],
        source: T,
        keep: Callable[[Selection[T, R], bool], None],
    ) -> None:
        self._selector = selector
        self._of: State[T] | None = None
        self._keep = keep
        super().__init__(bus, "select", selector(source))

    def _when_lost(self, value: R) -> R:
        try:
            return value if self._of is None else self._selector(self._of.value)
        except Exception:  # as with any state: the value stays
            return value

    def _changes(self, source: T) -> list[tuple[Emitter[Any], Any]]:
        """Return what there is to commit for the source's next value: itself, or nothing."""
        try:
            value = self._selector(source)
            same = value is self._value or bool(value == self._value)
        except Exception as error:
            self._bus.report(error, self._name)
            return []
        return [] if same else [(self, value)]

    def _changed(self) -> None:
        self._keep(self, bool(self._records))


class Selections(Generic[T]):
    """The selections of one state: kept while somebody has or observes them.

    Args:
        state: what they are derived from.
    """

    def __init__(self, state: State[T]) -> None:
        self._state = state
        self._all: weakref.WeakSet[Selection[T, Any]] = weakref.WeakSet()
        self._observed: set[Selection[T, Any]] = set()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, selector: Callable[[T], R]) -> Selection[T, R]:
        """Derive one more."""
        bus, seen = self._state._bus, self._state._value
        selection = Selection(bus, selector, seen, self._keep)
        selection._of = self._state
        selection._completed = self._state._completed
        with bus.lock:
            self._all.add(selection)
        if self._state._value is not seen:  # another thread has changed it
            bus.emit_all(selection._changes(self._state._value))
        return selection

    def current(self) -> tuple[Selection[T, Any], ...]:
        """Return those that somebody has or observes."""
        with self._state._bus.lock:
            return tuple(self._all)

    def _keep(self, selection: Selection[T, Any], observed: bool) -> None:
        if observed:
            self._observed.add(selection)
        else:
            self._observed.discard(selection)


class Command(State[T | None], Generic[T, R]):
    """A subject that is also a function, and an observer that nothing can end.

    Calling it performs the command once and returns its result; `on_next` is the same without
    the result. Observers see the accepted values; late ones see the last value and trigger
    nothing.

    Args:
        bus: the store's.
        name: for reports.
        perform: does it; raises or returns what the caller gets.
    """

    __slots__ = ("_perform",)

    def __init__(self, bus: Bus, name: str, perform: Callable[[T], R]) -> None:
        super().__init__(bus, name, None)
        self._perform = perform

    def __call__(self, value: T) -> R:
        """Perform the command and return its result."""
        return self._perform(value)

    def on_next(self, value: T | None) -> None:
        """Perform the command; exceptions are reported, so that the source continues.

        After the store was closed nothing happens, as with any observer that has completed.
        """
        try:
            self._perform(value)  # type: ignore[arg-type]
        except StoreClosed as error:
            # An ordinary end: two stores that are bridged are closed one after the other.
            if self._bus.inherited:
                self._bus.inherited = False
                self._bus.report(StoreError(f"{self._name}: {error}"), self._name)
        except (Exception, CancelledError) as error:
            self._bus.report(error, self._name)

    def on_error(self, error: Exception) -> None:
        """Report the failure of a source; the command stays usable."""
        self._bus.report(SourceError(error, self._name), self._name)

    def on_completed(self) -> None:
        """Let a source end; the command stays usable."""


class Trigger(Command[object, None]):
    """A command that needs no value; observers see the value it was given, or True.

    Args:
        bus: the store's.
        name: for reports.
        perform: does it.
        started: what a call returns, see `not_awaitable`.
    """

    __slots__ = ("_started",)

    def __init__(
        self, bus: Bus, name: str, perform: Callable[[object], None], started: None = None
    ) -> None:
        super().__init__(bus, name, perform)
        self._started: None = started

    def __call__(self, value: object = True) -> None:
        """Perform the command."""
        self._perform(value)
        return self._started


def not_awaitable(why: str) -> Any:
    """Make what a call returns that only begins something; `await` of it raises and says why.

    Type checkers see None: they refuse the `await` themselves, and whoever takes a function
    without a result takes these. It is not an object with an `__await__` that raises: frameworks
    that call sync and async callbacks alike would await that. So its type has the words as name,
    which is what Python's own TypeError shows.
    """

    def show(_: object) -> str:
        return f"None ({why})"

    members = {"__repr__": show, "__bool__": lambda _: False, "_ipython_display_": lambda _: None}
    kind = type(f"None ({why})", (), {"__slots__": (), **members})
    return kind()
