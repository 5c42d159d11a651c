"""`Outbox`: the bounded FIFO of encoded sends; `Receipt`: what became of one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from .exceptions import SendError, WaitTimeout
from .messages import Frame

__all__ = ["Outbox", "Receipt", "ReceiptState"]

ReceiptState: TypeAlias = Literal["queued", "written", "dropped", "expired", "rejected", "in_doubt"]

_settling: Final = (
    threading.Lock()
)  # one for all: held for a few instructions, never over user code


class Receipt:
    """What became of one send.

    Await it, or call `result()` from a thread: both return the receipt once the message was
    written to the socket, and raise `SendError` where it was not. A receipt that nobody waits
    for costs nothing and warns of nothing.
    """

    __slots__ = ("_error", "_future", "_state")

    def __init__(self) -> None:
        self._state: ReceiptState = "queued"
        self._error: SendError | None = None
        self._future: Future[Receipt] | None = None

    @property
    def state(self) -> ReceiptState:
        """`queued`, and finally `written`, `dropped`, `expired`, `rejected` or `in_doubt`."""
        return self._state

    @property
    def error(self) -> SendError | None:
        """Why it was not written, else None."""
        return self._error

    def result(self, timeout: float | None = None) -> Receipt:
        """Wait, from a thread without an event loop, until the message was written.

        Args:
            timeout: seconds to wait; None waits for ever.

        Raises:
            SendError: it was not written.
            WaitTimeout: it is still queued.
            RuntimeError: called on a thread whose event loop the wait would block.
        """
        if self._state == "queued":
            refuse_on_loop("receipt.result()", "await the receipt")
        try:
            return self._waiter().result(timeout)
        except TimeoutError:
            raise WaitTimeout(f"not written within {timeout} s; it is still queued") from None

    def __await__(self) -> Generator[Any, None, Receipt]:
        return self._wait().__await__()

    async def _wait(self) -> Receipt:
        # A future of its own, without the error: cancelling one wait must not cancel others,
        # and a failure that comes after it must not be logged as one that nobody looked at.
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not settled.done():
                settled.set_result(None)

        def wake(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(settle)

        future = self._waiter()
        if not future.done():
            future.add_done_callback(wake)
            await settled
        return future.result()

    def __repr__(self) -> str:
        return f"<Receipt {self._state}>"

    def _waiter(self) -> Future[Receipt]:
        with _settling:
            if self._future is None:
                self._future = Future()
                if self._state != "queued":
                    self._resolve(self._future)
            return self._future

    def settle(self, state: ReceiptState, error: SendError | None = None) -> None:
        """Take the final state and wake who waits; only the store does this."""
        with _settling:
            self._state, self._error = state, error
            future = self._future
        if future is not None:
            self._resolve(future)

    def _resolve(self, future: Future[Receipt]) -> None:
        if future.done():
            return
        if self._error is None:
            future.set_result(self)
        else:
            future.set_exception(self._error)


def refuse_on_loop(call: str, instead: str) -> None:
    """Refuse a blocking wait on a thread that runs an event loop: it would stop that loop.

    Raises:
        RuntimeError: where this thread runs an event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(f"{call} would block this event loop; {instead} instead")


class Entry(NamedTuple):
    """One waiting send, and its number in the order of all."""

    frame: Frame
    receipt: Receipt
    number: int


class Outbox:
    """Encoded sends in order, bounded by count and bytes. Thread-safe.

    Attributes:
        limit: sends that may wait.
        max_bytes: bytes that may wait.
        high_water: the most sends that ever waited.
        rejected: sends refused because it was full.
    """

    def __init__(self, limit: int, max_bytes: int) -> None:
        self.limit = limit
        self.max_bytes = max_bytes
        self.high_water = 0
        self.rejected = 0
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._count = 0
        self._closed: str | None = None
        # Reentrant: a finaliser may send while this thread is in here.
        self._lock = threading.Condition()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, frame: Frame) -> Receipt:
        """Queue a frame; where that would pass a bound, its receipt is rejected."""
        receipt = Receipt()
        with self._lock:
            full, closed = self._is_full(len(frame.data)), self._closed
            if closed is None and not full:
                self._count += 1
                self._entries.append(Entry(frame, receipt, self._count))
                self._bytes += len(frame.data)
                self.high_water = max(self.high_water, len(self._entries))
                return receipt
            self.rejected += 1
        if closed is not None:
            receipt.settle("dropped", SendError(f"not sent: {closed}", "dropped"))
        else:
            reject(receipt, full)
        return receipt

    def wait_for_room(self, size: int, timeout: float) -> None:
        """Block a thread until a frame of this size fits, or the seconds have passed."""
        if size <= self.max_bytes:  # a larger one never fits: its refusal should not wait
            with self._lock:
                self._lock.wait_for(lambda: not self._is_full(size) or self._closed, timeout)

    def mark(self) -> int:
        """Return the number of the last send that was queued, for `clear`."""
        return self._count

    def _is_full(self, size: int) -> str:
        if size > self.max_bytes:
            return f"the message is larger than outbox_bytes={self.max_bytes}; raise that option"
        if self._bytes + size > self.max_bytes:
            return f"outbox_bytes={self.max_bytes} wait already; wait, or raise that option"
        if len(self._entries) >= self.limit:
            return f"outbox_limit={self.limit} sends wait already; wait, or raise that option"
        return ""

    def flush(self, writable: Callable[[], bool], write: Callable[[Frame], None]) -> None:
        """Write what waits, in order, as long as there is somewhere to write.

        Each send is taken out after it was written: a flush that breaks midway repeats nothing
        and loses nothing.
        """
        while writable() and (entry := self.peek()) is not None:
            write(entry.frame)
            self.pop()
            entry.receipt.settle("written")

    def peek(self) -> Entry | None:
        """Return the next send, which stays queued until `pop`."""
        try:
            return self._entries[0]
        except IndexError:
            return None

    def pop(self) -> None:
        """Take away the send that `peek` returned, after it was written."""
        with self._lock:
            self._bytes -= len(self._entries.popleft().frame.data)
            if 2 * len(self._entries) <= self.limit:
                self._lock.notify_all()

    def clear(self, reason: str, mark: int | None = None) -> int:
        """Drop what waits, with its receipts; return how many.

        Args:
            reason: for the receipts.
            mark: drop only what was queued until `mark()` returned this; None drops all.
        """
        dropped: list[Entry] = []
        with self._lock:
            while self._entries and (mark is None or self._entries[0].number <= mark):
                dropped.append(self._entries.popleft())
                self._bytes -= len(dropped[-1].frame.data)
            self._lock.notify_all()
        for entry in dropped:
            entry.receipt.settle("dropped", SendError(f"not sent: {reason}", "dropped"))
        return len(dropped)

    def close(self, reason: str) -> None:
        """Drop what waits and whatever is still to come."""
        with self._lock:
            self._closed = reason
        self.clear(reason)


def reject(receipt: Receipt, reason: str) -> None:
    """Settle a receipt as refused before it was queued."""
    receipt.settle("rejected", SendError(f"not sent: {reason}", "rejected"))
