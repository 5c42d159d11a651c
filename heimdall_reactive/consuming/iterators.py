"""`MessageIterator`: the messages of a store as a blocking iterator, for scripts."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Final, Generic, Self, TypeVar

from reactivex import Observable
from reactivex.disposable import SingleAssignmentDisposable

from heimdall_reactive.base.exceptions import WaitTimeout
from heimdall_reactive.base.forking import disown_in_child
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.receipt import refuse_on_loop
from heimdall_reactive.base.stats import ConsumerStats

from .buffers import Buffer, Buffers
from .streams import detach

__all__ = ["MessageIterator"]

T = TypeVar("T")

# Seconds of one wait. On Windows Ctrl-C does not end a wait, and is seen only between two.
LOOK: Final = 0.1 if sys.platform == "win32" else threading.TIMEOUT_MAX


class _Tray(Generic[T]):
    """What a source holds of an iterator: so one that nobody holds can be collected."""

    def __init__(self, buffer: Buffer[T]) -> None:
        self.buffer = buffer
        self.ended = False
        self.changed = threading.Condition(buffer.lock)
        disown_in_child(self)

    def _disown(self) -> None:
        """End after what waits: nothing more comes in a child process."""
        self.buffer.lock, self.ended = threading.RLock(), True
        self.changed = threading.Condition(self.buffer.lock)

    def put(self, value: T) -> None:
        """Add what came, and wake who waits for it."""
        with self.changed:
            self.buffer.put(value)
            self.changed.notify()

    def end(self) -> None:
        """Wake all that wait: nothing more will come."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()


class MessageIterator(Iterator[T]):
    """The messages since it was made, each once, at the pace of whoever iterates.

    It may be iterated on any thread without an event loop, also by several threads that share the
    messages. It ends when the store closes, after what waits; `close()`, the end of `with`, an
    interrupt and the garbage collector detach it.

    Args:
        source: the messages.
        buffer: what waits.
        buffers: where the counters are shown.
        timeout: seconds to wait for each message, or None for no limit.
    """

    def __init__(
        self, source: Observable[T], buffer: Buffer[T], buffers: Buffers, timeout: float | None
    ) -> None:
        self._buffer = buffer
        self._timeout = timeout
        self._failed = False
        self._tray = tray = _Tray(buffer)
        subscription = SingleAssignmentDisposable()
        buffers.add(buffer)
        self._detach = weakref.finalize(self, detach, subscription, buffers, buffer)
        self._detach.atexit = False
        subscription.disposable = source.subscribe(tray.put, on_completed=tray.end)

    @property
    def stats(self) -> ConsumerStats:
        """Return the counters as they are now; also after the end."""
        return self._buffer.stats()

    def __repr__(self) -> str:
        return glance(self, self.stats.words())

    def __next__(self) -> T:
        """Return the next message.

        Raises:
            WaitTimeout: none came within the timeout; the iteration may go on.
            StreamOverflow: an `error` iteration was too slow; once, after what still had room.
            RuntimeError: this thread runs an event loop.
        """
        refuse_on_loop("iterate()", "write `async for message in store.stream()`")
        until = None if self._timeout is None else time.monotonic() + self._timeout
        try:
            with self._tray.changed:
                while not (self._buffer or self._tray.ended or self._buffer.overflowed):
                    left = LOOK if until is None else min(LOOK, until - time.monotonic())
                    if left <= 0:
                        raise WaitTimeout(
                            f"no valid message was received within {self._timeout} s; "
                            "store.stats.invalid counts those that did not decode"
                        )
                    self._tray.changed.wait(left)
                if self._buffer:
                    return self._buffer.take()
                if self._buffer.overflowed and not self._failed:
                    self._failed = True
                    raise self._buffer.overflow_error()
            raise StopIteration
        except WaitTimeout:
            raise
        except BaseException:  # the end, or an interrupt, whose traceback would keep us alive
            self._end()
            raise

    def close(self) -> None:
        """Detach, and end the iteration; what waits is forgotten. Idempotent, from any thread."""
        self._buffer.clear()
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self) -> None:
        self._detach()
        self._tray.end()
