"""`Outbox`: the bounded FIFO of encoded sends, and what becomes of each."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from heimdall_reactive.base.exceptions import SendError
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.options import OutboxOverflow
from heimdall_reactive.base.receipt import Receipt, ReceiptState
from heimdall_reactive.base.stats import SendCounters

__all__ = ["CLOSED", "Outbox", "Unsendable", "Writer"]

NOTHING: Final[Any] = ()  # in the place of an empty deque
CLOSED: Final = "the store was closed; await the receipt of the last send first"
GAVE_WAY: Final = "later sends took its place (outbox_overflow)"
BATCH: Final = 64 * 1024  # bytes that are written at once


class Unsendable(Exception):
    """A send that the protocol refused to prepare or encode."""


class Writer(Protocol):
    """Where the outbox is emptied into."""

    @property
    def writable(self) -> bool:
        """Whether all that was written has been handed on, and more would be taken."""
        ...

    @property
    def may_write(self) -> bool:
        """Whether the next send may go now: `writable`, and in time."""
        ...

    @property
    def batches(self) -> bool:
        """Whether `write_all` is there for more than one frame."""
        ...

    def write(self, frame: Frame) -> None:
        """Send one frame; only while `may_write`.

        Raises:
            Unsendable: the protocol has no form for it.
        """

    def write_all(self, frames: Sequence[Frame]) -> tuple[int, int]:
        """Send frames in one system call, see `BatchWire.write_all`."""
        ...

    def wrote_all(self, entries: Sequence[QueuedSend], taken: int) -> None:
        """Settle the receipts of what has just begun to go out, now or when it is known.

        Args:
            entries: the sends.
            taken: how many of them, the first ones, the operating system has.
        """

    def wrote(self, entry: QueuedSend) -> None:
        """Settle the receipt of what was just written, now or when it is known."""


class QueuedSend(NamedTuple):
    """One waiting send, its number in the order of all, and when it expires."""

    frame: Frame
    receipt: Receipt
    number: int
    deadline: float | None


class Outbox:
    """Encoded sends in order, bounded by count, bytes and time. Thread-safe.

    Args:
        limit: sends that may wait.
        max_bytes: bytes that may wait.
        overflow: what gives way where a send would pass a bound.
        ttl: seconds that a send may wait, or None forever.
        clock: returns seconds; the event loop's.
        tell: is told how many sends were dropped, why, and whether that is by `drop_oldest`.

    Attributes:
        counters: what became of the sends that were not written.
    """

    __slots__ = (
        "_ahead", "_bytes", "_cleared", "_clock", "_closed", "_count", "_entries", "_flushing",
        "_kept", "_lock", "_overflow", "_room", "_tell", "_ttl", "counters", "limit", "max_bytes",
    )  # fmt: skip

    def __init__(
        self,
        limit: int,
        max_bytes: int,
        overflow: OutboxOverflow = "reject",
        ttl: float | None = None,
        clock: Callable[[], float] | None = None,
        tell: Callable[[int, str, bool], None] = lambda *_: None,
    ) -> None:
        self.limit = limit
        self.max_bytes = max_bytes
        self.counters = SendCounters()
        self._overflow = overflow
        self._ttl = ttl
        self._clock = clock
        self._tell = tell
        # Both are made when something waits: an empty deque takes 0.7 KB, a new one 0.2 us.
        self._entries: deque[QueuedSend] = NOTHING
        self._ahead: OrderedDict[str, list[Frame]] | None = None  # of this session, before all
        self._flushing = False
        self._bytes = 0
        self._kept = 0  # sends that are written, and may be sent again
        self._count = 0
        self._closed: str | None = None
        self._cleared = "", 0  # why, and up to which number: for what is put back
        # Reentrant: a finaliser may send while this thread is in here.
        self._lock = threading.RLock()
        self._room: threading.Condition | None = None  # most stores need none: it takes 1 KB

    def __len__(self) -> int:
        return len(self._entries)

    # Into it

    def put(self, frame: Frame) -> Receipt:
        """Queue a frame; where that would pass a bound, the overflow policy decides."""
        receipt = Receipt()
        size = len(frame.data)
        dropped: list[QueuedSend] = []
        with self._lock:
            full, closed = self._is_full(size), self._closed
            if full and not closed and self._overflow == "drop_oldest" and size <= self.max_bytes:
                while self._entries and self._is_full(size):
                    dropped.append(self._take())
                full = self._is_full(size)
            if not full and not closed:
                self._append(frame, receipt)
        if self._settle(dropped, "dropped", GAVE_WAY):
            self._tell(len(dropped), GAVE_WAY, True)
        if closed:
            self.refuse(receipt, "dropped", closed)
        elif full:
            state: ReceiptState = "dropped" if self._overflow == "drop_newest" else "rejected"
            self.refuse(receipt, state, full)
        return receipt

    def _append(self, frame: Frame, receipt: Receipt) -> None:
        self._count += 1
        deadline = None
        if self._ttl is not None and self._clock is not None:
            deadline = self._clock() + self._ttl
        if not self._entries:
            self._entries = deque()
        self._entries.append(QueuedSend(frame, receipt, self._count, deadline))
        self._bytes += len(frame.data)
        self.counters.queue_high_water = max(self.counters.queue_high_water, len(self._entries))

    def refuse(self, receipt: Receipt, state: ReceiptState, reason: str) -> None:
        """Settle and count a send that is not written."""
        self._add(state, 1)
        receipt.settle(state, SendError(f"not sent: {reason}", state))

    def _add(self, state: ReceiptState, count: int) -> None:
        with self._lock:  # two threads that count at once would lose one of the two
            self.counters.add(state, count)

    def wait_for_room(self, size: int, timeout: float | None) -> None:
        """Block a thread until a frame of this size fits, or the seconds have passed."""
        if size <= self.max_bytes:  # a larger one never fits: its refusal should not wait
            with self._lock:
                if self._room is None:
                    self._room = threading.Condition(self._lock)
                self._room.wait_for(lambda: not self._is_full(size) or self._closed, timeout)

    def _tell_room(self) -> None:
        if self._room is not None:
            self._room.notify_all()

    def passes(self, frame: Frame) -> bool:
        """Return whether a frame need not wait: nothing else does, and it may be sent at all."""
        waits = self._entries or self._ahead or self._flushing or self._closed
        return not waits and len(frame.data) <= self.max_bytes

    def mark(self) -> int:
        """Return the number of the last send that was queued, for `clear`."""
        return self._count

    def _is_full(self, size: int) -> str:
        if size > self.max_bytes:
            return f"the message is larger than outbox_bytes={self.max_bytes}; raise that option"
        if self._bytes + size > self.max_bytes:
            return f"outbox_bytes={self.max_bytes} wait already; wait, or raise that option"
        if len(self._entries) + self._kept >= self.limit:
            return f"outbox_limit={self.limit} sends wait already; wait, or raise that option"
        return ""

    def put_ahead(self, name: str, *frames: Frame, again: bool = False) -> None:
        """Queue frames of this session before all sends: a channel is asked for, or left.

        Where the one is still unwritten, the other takes it back: neither is sent, and however
        often a channel is joined and left, no more than two frames of it wait.

        Args:
            name: of the channel.
            frames: one, or two that leave the channel and ask for it again.
            again: one that asks again takes nothing back: what waits asks for the channel already.
        """
        ahead = self._ahead = self._ahead or OrderedDict()
        waiting = ahead.pop(name, [])
        takes_back = waiting and len(frames) == 1 and not again
        left = waiting[:-1] if takes_back else waiting or list(frames)
        if left:
            ahead[name] = left

    # Out of it

    def flush(self, wire: Writer) -> None:
        """Write what waits, in order, as long as the wire takes it.

        A send whose write raises goes back to where it was: a flush that breaks midway repeats
        nothing and loses nothing.

        What a receipt's callback sends is written by the flush that has called it: one inside
        another would go as deep as there are sends.
        """
        if self._flushing:
            return
        self._flushing = True
        try:
            while (self._ahead or self._entries) and wire.may_write:
                if self._ahead or not wire.batches:
                    self._write_next(wire)
                else:
                    self._write_batch(wire)
        finally:
            self._flushing = False

    def _write_next(self, wire: Writer) -> None:
        """Write what is next, unless it has expired."""
        if self._ahead:
            name, frames = next(iter(self._ahead.items()))
            frame = frames.pop(0)
            if not frames:
                del self._ahead[name]
            with suppress(Unsendable):  # it was reported
                wire.write(frame)
            return
        entry = self._next()
        if entry is None:
            return
        try:
            wire.write(entry.frame)
        except Unsendable as error:
            self.refuse(entry.receipt, "rejected", str(error))
            return
        except BaseException:
            self.put_back((entry,))
            raise
        wire.wrote(entry)

    def _write_batch(self, wire: Writer) -> None:
        """Write what fits into one system call; what the wire does not begin with waits again."""
        self.expire()
        batch: list[QueuedSend] = []
        with self._lock:
            most = self._bytes - BATCH
            while self._entries and (not batch or self._bytes > most):
                batch.append(self._take())
            if 2 * len(self._entries) <= self.limit:
                self._tell_room()
        if not batch:
            return
        try:
            begun, taken = wire.write_all([entry.frame for entry in batch])
        except BaseException:
            self.put_back(batch)
            raise
        if begun < len(batch):
            self.put_back(batch[begun:])
        wire.wrote_all(batch[:begun], taken)

    def _next(self) -> QueuedSend | None:
        """Remove and return the next send that has not expired."""
        self.expire()
        with self._lock:
            if not self._entries:
                return None
            entry = self._take()
            if 2 * len(self._entries) <= self.limit:
                self._tell_room()
            return entry

    def put_back(self, entries: Sequence[QueuedSend]) -> None:
        """Have sends wait where they were, before all others, unless `clear` has dropped those."""
        with self._lock:
            back = [*entries, *self._entries]
            self._entries = deque(sorted(back, key=lambda entry: entry.number))
            self._bytes += sum(len(entry.frame.data) for entry in entries)
        self.clear(*self._cleared)

    def keep(self, entry: QueuedSend) -> None:
        """Count a send that was written, and may be sent again, against the bounds."""
        with self._lock:  # other threads put
            self._kept += 1
            self._bytes += len(entry.frame.data)

    def release(self, entry: QueuedSend) -> None:
        """Count it no longer."""
        with self._lock:
            self._kept -= 1
            self._bytes -= len(entry.frame.data)
            self._tell_room()

    def _take(self) -> QueuedSend:
        entry = self._entries.popleft()
        if not self._entries:
            self._entries = NOTHING
        self._bytes -= len(entry.frame.data)
        return entry

    @property
    def has_ahead(self) -> bool:
        """Whether something waits that goes out before all sends."""
        return bool(self._ahead)

    def clear_ahead(self) -> None:
        """Forget what a session that has ended did not write."""
        self._ahead = None

    def expire(self) -> int:
        """Settle the sends that have waited longer than `send_ttl`; return how many."""
        if self._ttl is None or self._clock is None:
            return 0
        now = self._clock()
        expired = self._take_while(
            lambda entry: entry.deadline is not None and entry.deadline <= now
        )
        return self._settle(expired, "expired", f"it waited longer than send_ttl={self._ttl} s")

    @property
    def next_deadline(self) -> float | None:
        """When the next send expires, on the clock; None where none does."""
        try:
            return self._entries[0].deadline
        except IndexError:
            return None

    def clear(self, reason: str, mark: int | None = None) -> int:
        """Drop what waits, or is put back later, with its receipts; return how many.

        Args:
            reason: for the receipts.
            mark: drop only what was queued until `mark()` returned this; None drops all.
        """
        if (until := self._count if mark is None else mark) >= self._cleared[1]:
            self._cleared = reason, until
        dropped = self._take_while(lambda entry: mark is None or entry.number <= mark)
        if count := self._settle(dropped, "dropped", reason):
            self._tell(count, reason, False)
        return count

    def close(self, reason: str) -> None:
        """Drop what waits and whatever is still to come."""
        with self._lock:
            self._closed = reason
        self.clear(reason)

    def disown(self, reason: str) -> None:
        """Leave what waits to the parent process: it is not sent by this one."""
        self._lock, self._room, self._closed = threading.RLock(), None, reason
        for entry in self._entries:
            entry.receipt._disown(SendError(reason))
        self._entries = NOTHING

    def _take_while(self, goes: Callable[[QueuedSend], bool]) -> list[QueuedSend]:
        taken: list[QueuedSend] = []
        with self._lock:
            while self._entries and goes(self._entries[0]):
                taken.append(self._take())
            if taken or self._closed:
                self._tell_room()
        return taken

    def _settle(self, entries: list[QueuedSend], state: ReceiptState, reason: str) -> int:
        for entry in entries:
            if entry.receipt.attempts:  # it was written once, and may have arrived
                self._add("in_doubt", 1)
                error = SendError(f"not sent again: {reason}; it may have arrived", "in_doubt")
                entry.receipt.settle("in_doubt", error)
            else:
                self.refuse(entry.receipt, state, reason)
        return len(entries)
