"""`Buffer`: what waits for one consumer, bounded, with a policy for when it is full."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, get_args

from heimdall_reactive.base.checks import is_count
from heimdall_reactive.base.exceptions import ConfigurationError, StreamOverflow
from heimdall_reactive.base.forking import disown_in_child
from heimdall_reactive.base.stats import ConsumerStats

__all__ = ["WAITING_LIMIT", "Buffer", "Buffers", "ConsumerOverflow", "Run"]

T = TypeVar("T")

ConsumerOverflow: TypeAlias = Literal["latest", "drop_oldest", "drop_newest", "error"]
"""What happens to a message for which a consumer has no room."""

BlockOr: TypeAlias = ConsumerOverflow | Literal["block"]
"""The same, or the server is held back for a while, see `Holding`."""

WAITING_LIMIT: Final = 1024  # values that wait for a consumer where it does not say how many


class Run(NamedTuple, Generic[T]):
    """Values that were taken at once.

    Attributes:
        values: the oldest first.
        first: number of the first of them, from 0 on, dropped ones included.
        dropped: values that had no room until then.
    """

    values: list[T]
    first: int
    dropped: int


class Hold(Protocol):
    """What holds the server back for a buffer that is full, see `Holding`."""

    def ask(self, consumer: object) -> bool:
        """Hold; return whether it is held, so that the rest of what was read may come."""
        ...

    def release(self, consumer: object) -> None:
        """Hold no longer for this one."""


class Buffer(Generic[T]):
    """A bounded FIFO between a producer that never waits and one consumer; thread-safe.

    Args:
        maxsize: how many values may wait, 1 or more; `latest` keeps one.
        overflow: `latest` and `drop_oldest` drop the oldest value that waits, `drop_newest` the
            one that comes, `error` as well, and ends the consumer after what waits.
        name: the consumer's, for `stats`.
        hold: what `block` holds the server back by.
        tell: is told at the first drop of each burst, with the number of that burst, unless the
            policy drops or fails on purpose (`latest`, `error`). The lock is held. A burst is over
            when as many values were taken as may wait.

    Attributes:
        dropped: values that had no room.
        delivered: values that were taken, apart from those that failed.
        failed: values that were taken, and could not be handled.
        high_water: the most that ever waited.
        overflowed: an `error` buffer was full once, and takes nothing more.

    Raises:
        ConfigurationError: `maxsize` is not a number of values, or nobody knows the policy.
    """

    def __init__(
        self,
        maxsize: int,
        overflow: BlockOr,
        name: str,
        hold: Hold | None = None,
        tell: Callable[[Buffer[Any], int], None] | None = None,
    ) -> None:
        if not is_count(maxsize):
            raise ConfigurationError(f"maxsize must be a whole number of 1 or more, not {maxsize}")
        if overflow not in get_args(ConsumerOverflow) and (overflow != "block" or hold is None):
            known = ", ".join(get_args(ConsumerOverflow))
            why = ": only a stream can hold the server back" if f"{overflow}" == "block" else ""
            raise ConfigurationError(f"overflow must be one of {known}, not {overflow!r}{why}")
        self.name = name
        self.maxsize = 1 if overflow == "latest" else maxsize
        self.dropped = self.delivered = self.failed = self.high_water = 0
        self.overflowed = False
        # Reentrant: a finaliser that disposes of the consumer may run while it is held.
        self.lock = threading.RLock()
        self._overflow = overflow
        self._hold = hold
        self._holding = False
        self._tell = None if overflow in ("latest", "error") else tell
        self._bursts = self._taken = 0  # what had been taken at the last drop
        self._items: deque[tuple[T, bool]] = deque()
        self._kept = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def kept(self) -> int:
        """How many wait that are never dropped."""
        return self._kept

    def put(self, item: T, *, keep: bool = False) -> bool:
        """Add a value, or drop one; return whether this one waits now.

        Args:
            item: the value.
            keep: never drop it; it takes no room of the others.
        """
        with self.lock:  # the way of every message: no call more than it needs
            items = self._items
            if keep:
                self._kept += 1
            elif self.overflowed or (
                len(items) - self._kept >= self.maxsize and not self._make_room()
            ):
                self._drop()
                return False
            items.append((item, keep))
            if len(items) > self.high_water:
                self.high_water = len(items)
            return True

    def take(self) -> T:
        """Remove the oldest value.

        Raises:
            IndexError: nothing waits.
        """
        with self.lock:
            item, kept = self._items.popleft()
            self._kept -= kept
            self.delivered += 1
            if self._holding and 2 * len(self._items) <= self.maxsize:
                self.let_go()
            return item

    def take_many(self, limit: int) -> Run[T]:
        """Remove the oldest values, as many as wait and so many at most."""
        with self.lock:
            first = self.delivered + self.dropped
            count = min(limit, len(self._items))
            return Run([self.take() for _ in range(count)], first, self.dropped)

    def fail(self) -> None:
        """Count one of the values that were taken as failed."""
        with self.lock:
            self.delivered -= 1
            self.failed += 1

    def let_go(self) -> None:
        """Hold the server back no longer for this consumer."""
        if self._holding and self._hold is not None:
            self._holding = False
            self._hold.release(self)

    def clear(self) -> None:
        """Forget what waits, uncounted: nobody wants it any more."""
        with self.lock:
            self._items.clear()
            self._kept = 0

    def drop_all(self) -> list[T]:
        """Drop and count all that waits but the kept values, which are returned."""
        with self.lock:
            kept = [item for item, keep in self._items if keep]
            self.dropped += len(self._items) - len(kept)
            self.clear()
            return kept

    def overflow_error(self) -> StreamOverflow:
        """Return what an `error` buffer ends its consumer with."""
        return StreamOverflow(self.name, self.dropped)

    def stats(self) -> ConsumerStats:
        """Return the counters as they are now, at one moment."""
        with self.lock:
            return ConsumerStats(
                self.name,
                len(self._items),
                self.delivered,
                self.dropped,
                self.high_water,
                self.failed,
            )

    def _make_room(self) -> bool:
        if self._overflow == "block" and self._hold is not None:
            self._holding = True
            if not self._hold.ask(self):
                self._drop_oldest()
            return True
        if self._overflow in ("latest", "drop_oldest"):
            self._drop_oldest()
            return True
        self.overflowed = self._overflow == "error"
        return False

    def _drop_oldest(self) -> None:
        passed: list[tuple[T, bool]] = []
        while (oldest := self._items.popleft())[1]:
            passed.append(oldest)
        self._items.extendleft(reversed(passed))
        self._drop()

    def _drop(self) -> None:
        self.dropped += 1
        if self._tell is not None:
            before, self._taken = self._taken, self.delivered + self.failed
            if self._bursts == 0 or self._taken - before >= self.maxsize:
                self._bursts += 1
                self._tell(self, self._bursts)


class Buffers:
    """The buffers of a store's consumers, for `stats`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._all: dict[int, Buffer[Any]] = {}
        self._made = 0
        disown_in_child(self)

    def _disown(self) -> None:
        """Leave what waits to the parent process."""
        self._lock = threading.RLock()
        for buffer in self._all.values():
            buffer.lock = threading.RLock()

    def name(self, kind: str, given: str | None) -> str:
        """Return the name of a new consumer: the given one, or its kind and number."""
        with self._lock:
            self._made += 1
            return given or f"{kind} {self._made}"

    def add(self, buffer: Buffer[Any]) -> None:
        """Show a buffer in `stats`."""
        with self._lock:
            self._all[id(buffer)] = buffer

    def remove(self, buffer: Buffer[Any]) -> None:
        """Forget a buffer; a second time does nothing."""
        with self._lock:
            self._all.pop(id(buffer), None)

    def stats(self) -> tuple[ConsumerStats, ...]:
        """Return the counters of each, in the order in which they came."""
        return tuple(buffer.stats() for buffer in self._now())

    def let_go(self) -> None:
        """Hold the server back no longer for any of them."""
        for buffer in self._now():
            buffer.let_go()

    def _now(self) -> list[Buffer[Any]]:
        with self._lock:
            return list(self._all.values())
