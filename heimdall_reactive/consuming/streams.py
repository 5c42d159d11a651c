"""`MessageStream`: the messages of a store as an async iterator, from any event loop."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Generic, NoReturn, Self, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import SingleAssignmentDisposable

from heimdall_reactive.base.forking import disown_in_child
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.stats import ConsumerStats

from .buffers import Buffer, Buffers, Run

__all__ = ["Inlet", "MessageStream", "detach"]

T = TypeVar("T")
R = TypeVar("R")

# Seconds of messages in a row; then the loop has its turn, though more may wait: they may come
# faster than they are taken, forever.
SLICE: Final = 0.008


class Inlet(Generic[T]):
    """What a source holds of an iterator: so one that nobody holds can be collected."""

    def __init__(self, buffer: Buffer[T]) -> None:
        self.buffer = buffer
        self.ended = False
        self.failure: Exception | None = None
        self.until = time.monotonic() + SLICE  # then the event loop has its turn
        self._waiters: deque[asyncio.Future[None]] = deque()
        disown_in_child(self)

    def _disown(self) -> None:
        """End after what waits: nothing more comes in a child process."""
        self.buffer.lock, self.ended = threading.RLock(), True

    async def give_way(self) -> None:
        """Let the event loop have its turn: values may come faster than they are taken."""
        await asyncio.sleep(0)
        self.until = time.monotonic() + SLICE

    def put(self, value: T) -> None:
        """Add what came, and wake one that waits for it."""
        self.buffer.put(value)
        if self._waiters:  # unlocked: who begins to wait after the `put` sees the value
            self.wake()

    def fail(self, error: Exception) -> None:
        """End with what the source failed of."""
        self.failure = error
        self.end()

    def take(self) -> tuple[T | None, bool]:
        """Remove the oldest value; return it, and whether there was one."""
        with self.buffer.lock:
            return (self.buffer.take(), True) if self.buffer else (None, False)

    def end(self) -> None:
        """Wake all that wait: nothing more will come."""
        self.ended = True
        while self.wake():
            pass

    def wake(self) -> bool:
        """Wake one that waits, on its own loop; return whether there was one."""
        with self.buffer.lock:
            if not self._waiters:
                return False
            waiter = self._waiters.popleft()
        with suppress(RuntimeError):  # its event loop was closed, and the task with it
            waiter.get_loop().call_soon_threadsafe(_wake, waiter)
        return True

    async def wait(self) -> None:
        """Return when something may have come."""
        waiter = asyncio.get_running_loop().create_future()
        with self.buffer.lock:
            if self.buffer or self.ended or self.buffer.overflowed:
                return
            self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            with self.buffer.lock:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                    raise
            self.wake()  # it was woken for a value, which is another's now
            raise


class MessageStream(AsyncIterator[T]):
    """The messages since it was made, each once, at the pace of whoever iterates.

    It may be iterated on any event loop, also by several tasks that share the messages. It ends
    when the store closes, after what waits; `aclose()`, the end of `async with` and the garbage
    collector detach it.

    Args:
        source: the messages.
        buffer: what waits.
        buffers: where the counters are shown.
    """

    def __init__(self, source: Observable[T], buffer: Buffer[T], buffers: Buffers) -> None:
        self._buffer = buffer
        self._failed = False
        inlet: Inlet[T] = Inlet(buffer)
        subscription = SingleAssignmentDisposable()
        self._inlet = inlet
        buffers.add(buffer)
        self._detach = weakref.finalize(self, detach, subscription, buffers, buffer)
        self._detach.atexit = False
        subscription.disposable = source.subscribe(inlet.put, on_completed=inlet.end)

    @property
    def stats(self) -> ConsumerStats:
        """Return the counters as they are now; also after the end."""
        return self._buffer.stats()

    def __repr__(self) -> str:
        return glance(self, self.stats.words())

    def __aiter__(self) -> Self:
        return self

    def __getitem__(self, key: object) -> NoReturn:
        """Refuse a loop without `async`.

        Raises:
            TypeError: it names what can be looped over so.
        """
        raise TypeError(
            "a stream takes `async for`; without an event loop, write "
            "`for message in store.iterate()`"
        )

    def __anext__(self) -> Coroutine[Any, Any, T]:
        """Return the next message.

        Raises:
            StreamOverflow: an `error` stream was too slow; once, after what had still room.
        """
        return self._take(self._buffer.take)

    def _next_many(self, limit: int) -> Coroutine[Any, Any, Run[T]]:
        """Return all that waits at once, one message or more; as `__anext__` does.

        Args:
            limit: messages at most.
        """
        return self._take(lambda: self._buffer.take_many(limit))

    async def _take(self, take: Callable[[], R]) -> R:
        if time.monotonic() > self._inlet.until:
            await self._inlet.give_way()
        while True:
            with self._buffer.lock:
                if self._buffer:
                    return take()
                if self._buffer.overflowed and not self._failed:
                    self._failed = True
                    self._end()
                    raise self._buffer.overflow_error()
            if self._inlet.ended:
                self._end()
                raise StopAsyncIteration
            await self._inlet.wait()

    async def aclose(self) -> None:
        """Detach, and end the iteration; what waits is forgotten. Idempotent."""
        self._buffer.clear()
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _end(self) -> None:
        self._detach()
        self._inlet.end()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def detach(subscription: abc.DisposableBase, buffers: Buffers, buffer: Buffer[Any]) -> None:
    """End a consumer's part: what a finaliser of it calls."""
    subscription.dispose()
    buffers.remove(buffer)
    buffer.let_go()  # here: also where the garbage collector ends a stream
