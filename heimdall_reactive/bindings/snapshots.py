"""`external_store`: React's subscribe and get-snapshot, for frameworks with hooks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar, overload

from reactivex import Observable

from heimdall_reactive.consuming.hops import Hop

from .binding import bind
from .frames import FRAME
from .scope import UiScope
from .selecting import same

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
    every: float = FRAME,
) -> ExternalStore[T]: ...
@overload
def external_store(
    source: Observable[T],
    select: Callable[[T], R],
    post: Hop | None = None,
    *,
    distinct: bool | None = None,
    every: float = FRAME,
) -> ExternalStore[R]: ...
def external_store(
    source: Observable[Any],
    select: Callable[[Any], Any] | None = None,
    post: Hop | None = None,
    *,
    distinct: bool | None = None,
    every: float = FRAME,
) -> ExternalStore[Any]:
    """Return what a hook needs to show an observable.

    A source with a `value`, such as every subject of a store, has a snapshot at any time; another
    one has what came while it was subscribed, and None before.

    Args:
        source: what is shown.
        select: what of its value is shown; an equal selection is not a change.
        post: where a change is told, several within one turn once; None tells it in place, on the
            thread that emits.
        distinct: as for `bind`.
        every: as for `bind`: a change is told at most once in so many seconds; with `post` only.

    Returns:
        `(subscribe, get_snapshot)`, see https://react.dev/reference/react/useSyncExternalStore.
    """
    distinct = select is not None if distinct is None else distinct
    snapshot = _Snapshot(source, select, distinct or select is not None)

    def subscribe(on_change: Callable[[], object]) -> Callable[[], None]:
        first = hasattr(source, "value")

        def tell(_: object) -> None:
            nonlocal first
            if not first:
                on_change()
            first = False

        def version(value: Any) -> int:
            # Not the value: between two turns there may have been another one, and a snapshot of it
            # be shown.
            snapshot.seen = value
            return snapshot.take()[1]

        binding = bind(source, tell, UiScope(post, every=every), select=version, distinct=distinct)
        first = False
        return binding.dispose

    return ExternalStore(subscribe, lambda: snapshot.take()[0])


class _Snapshot:
    """What is shown: selected again only where the value is another one.

    Args:
        source: where the value comes from.
        select: what of it is shown.
        distinct: an equal selection is the snapshot that was.
    """

    def __init__(
        self, source: Observable[Any], select: Callable[[Any], Any] | None, distinct: bool
    ) -> None:
        self._source = source
        self._select = select
        self._distinct = distinct
        self._lock = threading.Lock()
        self._now: tuple[object, Any, int] = (self, None, 0)  # value, snapshot, version
        self.seen: Any = None

    def take(self) -> tuple[Any, int]:
        """Return the snapshot and its version."""
        while True:
            of, shown, version = now = self._now
            value = getattr(self._source, "value", self.seen)
            if value is of:
                return shown, version
            # Unlocked, as `select` and `__eq__` are the user's.
            selected = value if self._select is None else self._select(value)
            if not (self._distinct and version and same(selected, shown)):
                shown, version = selected, version + 1
            with self._lock:
                if self._now is now:  # else another thread was first, and its snapshot counts
                    self._now = value, shown, version
