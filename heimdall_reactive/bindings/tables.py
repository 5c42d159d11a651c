"""`latest_by`: the newest value of each key, and what has changed, for tables."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from reactivex import Observable

from heimdall_reactive.base.checks import is_count
from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.printable import count_of

from .gathering import Gathered
from .options import check_functions

__all__ = ["Changes", "LatestBy", "latest_by"]

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Changes(NamedTuple, Generic[K, T]):
    """What has changed in a table.

    Attributes:
        added: the rows that are new, by key, in the order in which they came.
        changed: the newest values of rows that were there.
        removed: the keys of rows that are gone.
    """

    added: dict[K, T]
    changed: dict[K, T]
    removed: list[K]


UNSEEN: Final[Changes[Any, Any]] = Changes({}, {}, [])  # of a row, while nobody observes


def latest_by(
    source: Observable[T],
    key: Callable[[T], K | None],
    *,
    limit: int = 10_000,
    removes: Callable[[T], bool] | None = None,
) -> LatestBy[K, T]:
    """Keep the newest value of each key from now on; `bind` it to a table.

    Args:
        source: a subject of a store, or any observable; `store.messages` most of the time.
        key: of a value; None leaves the value out.
        limit: rows that are kept. Of more, the row that has not changed for the longest goes,
            counted in `dropped`.
        removes: whether a value says that the row of its key is gone.

    Raises:
        ConfigurationError: `limit` is not a whole number of 1 or more.
        TypeError: the source is not an observable, `key` or `removes` not a function.
    """
    check_functions(key=key, removes=removes or key)
    if not is_count(limit):
        raise ConfigurationError(f"limit must be a whole number of 1 or more, not {limit!r}")
    return LatestBy(source, key, limit, removes)


class LatestBy(Gathered[T, Changes[K, T]], Generic[K, T]):
    """The newest value of each key; made by `latest_by`.

    Attributes:
        dropped: rows that had no room.
    """

    _what = "latest_by"

    def __init__(
        self,
        source: Observable[T],
        key: Callable[[T], K | None],
        limit: int,
        removes: Callable[[T], bool] | None,
    ) -> None:
        self.dropped = 0
        self._key = key
        self._limit = limit
        self._removes = removes
        self._rows: dict[K, T] = {}
        self._changed_at: dict[K, int] = {}  # the version of each row, in order of these
        self._version = 0
        self._removed_at = 0
        self._value: dict[K, T] | None = None
        super().__init__(source)

    @property
    def value(self) -> dict[K, T]:
        """All rows as they are now, in the order in which they came; from any thread.

        It is the same object while nothing has changed, and is not changed itself.
        """
        with self._lock:
            if self._value is None:
                self._value = dict(self._rows)
            return self._value

    def __repr__(self) -> str:
        lost = f", {self.dropped} dropped" if self.dropped else ""
        return glance(self, f"{len(self._rows)} of at most {count_of(self._limit, 'row')}{lost}")

    def _add(self, value: T) -> Changes[K, T] | None:
        key = self._key(value)
        if key is None:
            return None
        known = key in self._rows
        if self._removes is not None and self._removes(value):
            if not known:
                return None
            self._remove(key)
            return Changes({}, {}, [key])
        self._version += 1
        self._value = None
        self._rows[key] = value
        self._changed_at.pop(key, None)
        self._changed_at[key] = self._version
        if known:
            return Changes({}, {key: value}, []) if self._told.observers else UNSEEN
        removed = []
        if len(self._rows) > self._limit:
            removed.append(oldest := next(iter(self._changed_at)))
            self._remove(oldest)
            self.dropped += 1
        return Changes({key: value}, {}, removed)

    def _remove(self, key: K) -> None:
        del self._rows[key], self._changed_at[key]
        self._value = None
        self._version += 1
        self._removed_at = self._version

    def _taker(self) -> Callable[[], Changes[K, T]]:
        shown: set[K] = set()
        seen = 0

        def take() -> Changes[K, T]:
            nonlocal seen
            with self._lock:
                newer: list[K] = []
                for key, version in reversed(self._changed_at.items()):
                    if version <= seen:
                        break
                    newer.append(key)
                changed = {key: self._rows[key] for key in reversed(newer) if key in shown}
                new = set(newer) - shown
                # In the order in which they came, which is a look at all rows.
                added = {key: row for key, row in self._rows.items() if key in new} if new else {}
                gone = self._removed_at > seen
                removed = [key for key in shown if key not in self._rows] if gone else []
                seen = self._version
            shown.difference_update(removed)
            shown.update(added)
            return Changes(added, changed, removed)

        return take
