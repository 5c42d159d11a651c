"""`external_store`: React's subscribe and get-snapshot, for frameworks with hooks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar, overload

from reactivex import Observable

from heimdall_reactive.consuming.hops import Hop

from .binding import bind
from .scope import UiScope
from .selecting import Selecting

__all__ = ["ExternalStore", "external_store"]

T = TypeVar("T")


class ExternalStore(NamedTuple, Generic[T]):
    """The two functions that React's `useSyncExternalStore` takes.

    Attributes:
        subscribe: has a function called after each change; returns what ends that.
        get_snapshot: returns what is to be shown now; the very same object while nothing changed.
    """

    subscribe: Callable[[Callable[[], object]], Callable[[], None]]
    get_snapshot: Callable[[], T]


R = TypeVar("R")


@overload
def external_store(
    source: Observable[T],
    select: None = None,
    post: Hop | None = None,
    *,
    distinct: bool | None = None,
) -> ExternalStore[T]: ...
@overload
def external_store(
    source: Observable[T],
    select: Callable[[T], R],
    post: Hop | None = None,
    *,
    distinct: bool | None = None,
) -> ExternalStore[R]: ...
def external_store(
    source: Observable[Any],
    select: Callable[[Any], Any] | None = None,
    post: Hop | None = None,
    *,
    distinct: bool | None = None,
) -> ExternalStore[Any]:
    """Return what a hook needs to show an observable.

    A source with a `value`, such as every subject of a store, has a snapshot at any time; another
    one has what came while it was subscribed, and None before.

    Args:
        source: what is shown.
        select: what of its value is shown; an equal selection is no change.
        post: where a change is told, several within one turn once; None tells it in place, on the
            thread that emits.
        distinct: as for `bind`.

    Returns:
        `(subscribe, get_snapshot)`, see https://react.dev/reference/react/useSyncExternalStore.
    """
    snapshot = _Snapshot(source, Selecting(select, distinct=select is not None))
    distinct = select is not None if distinct is None else distinct

    def subscribe(on_change: Callable[[], object]) -> Callable[[], None]:
        first = hasattr(source, "value")

        def tell(_: object) -> None:
            nonlocal first
            if not first:
                on_change()
            first = False

        def pick(value: Any) -> Any:
            snapshot.seen = value
            return value if select is None else select(value)

        binding = bind(source, tell, UiScope(post), select=pick, distinct=distinct)
        first = False
        return binding.dispose

    return ExternalStore(subscribe, snapshot.get)


class _Snapshot:
    """What is shown: selected anew only where the value is another one."""

    def __init__(self, source: Observable[Any], selecting: Selecting) -> None:
        self._source = source
        self._selecting = selecting
        self._lock = threading.Lock()
        self._of: object = self  # no value yet
        self.seen: Any = None

    def get(self) -> Any:
        value = getattr(self._source, "value", self.seen)
        with self._lock:
            if value is not self._of:
                self._selecting.changed(value)
                self._of = value
            return self._selecting.shown
