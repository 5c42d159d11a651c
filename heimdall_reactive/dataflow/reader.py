"""`Reader`: the core that every engine can stand on: (feed, offset) -> batches of (id, message).

It knows no log and no engine. What the log adds, and an engine's own offsets, come from outside:
the offset to begin at, and what was seen last in each channel.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, Self, TypeAlias

from heimdall_reactive import Gap, StoreClosed
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.receipt import refuse_on_loop
from heimdall_reactive.connecting.loop_thread import plain_loop

from .batches import Batch, Item, ReaderStats
from .feeds import Feed
from .gap_tracker import GAP_PATIENCE, GapTracker, Known
from .gaps import Missed
from .ids import RecentIds
from .resuming import LoopOption, Places, first_of, open_feed

__all__ = ["Batch", "Item", "Known", "Reader", "ReaderStats"]

LIMIT: Final = 4096  # messages that wait for who reads
WINDOW: Final = 100_000  # recent ids


_ReaderEvent: TypeAlias = Item | Missed


class Reader:
    """Reads one feed; use it on one event loop, or by `poll` from one thread without any.

    Args:
        feed: what is read.
        offset: where to begin on a server that replays; None dials the endpoint as it is.
        known: the last message of each channel that was handled before, for gaps and repeats.
        seen: channels and ids of further messages that were handled before, see `seen`.
        limit: messages that may wait; the server is then held back for 5 s. After that one that
            replays is asked again from the last offset handed out; of another the oldest message
            goes, and is counted and told as a gap.
        window: recent ids by which a repeat is known.
        loop: of the store, as for `use_websocket`.
        copy: name of this copy, for the gaps.

    Attributes:
        store: the store that reads.
        offset: of the newest message that was handed out.
    """

    def __init__(
        self,
        feed: Feed,
        offset: int | None = None,
        *,
        known: Mapping[str, Known] | None = None,
        seen: Iterable[tuple[str, str]] = (),
        limit: int = LIMIT,
        window: int = WINDOW,
        loop: LoopOption = "auto",
        copy: str = "",
    ) -> None:
        self.feed = feed
        self.offset = offset
        self._stats = ReaderStats()
        # Taken from the stream, and not handled: a rule raised. Then the number of the first.
        self._came: deque[str | bytes] = deque()
        self._number = 0
        self._dropped = 0  # that were looked at
        self._refetched = 0  # of them, that come again
        self._events: list[_ReaderEvent] = []  # taken, and not handed out: a batch was cut short
        self._failure: Exception | None = None  # raised when those are handed out
        self._open = feed.opener()
        self._ids = RecentIds(window)
        self._tracks = GapTracker(feed, known or {}, copy)
        before = (*seen, *((name, last.id) for name, last in (known or {}).items()))
        for key in before:
            self._ids.add(key)
        self._places = Places(feed, offset, before, window)
        self._ids.repeats = 0
        self._newest: str | bytes | None = None
        # Before which message, from 0 on, and how often it had been asked to go back by then.
        self._session_gaps: deque[tuple[int, Gap, int]] = deque()
        self._back = self._begun = 0  # times that it should go back, and has reconnected for it
        self._stale = False  # what comes is behind a hole, until the next session
        # How many messages had come, and when, as it was looked when those before were handed out.
        self._looked = 0, time.monotonic()
        self._runner: asyncio.Runner | None = None
        self._closed = False
        self.store = open_feed(feed, self._resumed, loop)
        self._stream = self.store.stream(limit, "block", name="reader")
        self._observed = [
            self.store.gaps.subscribe(self._on_gap),
            *([] if feed.resume is None else [self.store.messages.subscribe(self._on_message)]),
            *(self.store.channel(name).subscribe(lambda _: None) for name in feed.channels),
        ]
        self.store.connect()

    @property
    def stats(self) -> ReaderStats:
        """The counters as they are now."""
        self._stats.repeats = self._ids.repeats
        self._stats.dropped = self._stream.stats.dropped - self._refetched
        return self._stats

    def __repr__(self) -> str:
        at = "" if self.offset is None else f"at {self.offset}, "
        return glance(self, f"{at}{self.stats.read} read, of {self.store!r}")

    @property
    def lag(self) -> float:
        """Seconds for which a message has waited here, at most; 0 where none waits."""
        waits = self._came or self._stream.stats.waiting
        return time.monotonic() - self._looked[1] if waits else 0.0

    @property
    def seen(self) -> tuple[tuple[str, str], ...]:
        """Channels and ids of what `rewind` repeats: keep them with `offset` for the next reader.

        Those of all that was handed out; empty without `rewind`. It can be pickled, or be JSON.
        """
        return self._places.seen

    async def batch(self, limit: int = 500, timeout: float | None = None) -> Batch:
        """Return what came: at least one event, unless the time is over.

        Args:
            limit: messages at most.
            timeout: seconds to wait for the first; None waits forever, 0 not at all.

        Raises:
            EOFError: all was handed out, and the reader is closed, or its feed has ended; the
                store's error is the cause.
            NoMessageId: a message must have an id and has none; what came before it is handed
                out first.
            Exception: what a rule for ids or offsets raised, in the same way.
        """
        now = self._stream.stats
        came = now.delivered + now.dropped + now.waiting
        if came - now.waiting - len(self._came) >= self._looked[0]:
            self._looked = came, time.monotonic()
        events = self._events
        if not events and (failure := self._failure) is not None:
            self._failure = None
            raise failure
        clock = asyncio.get_running_loop().time
        deadline = None if timeout is None else clock() + timeout
        with suppress(TimeoutError):
            while not events:
                try:
                    if not self._came:
                        await self._fetch(limit, deadline)
                except StopAsyncIteration:
                    events.extend(self._late_gaps(0.0))
                    if not events:
                        raise self._end() from self.store.state.value.error
                    break
                self._handle(limit, events)
                if deadline is not None and clock() >= deadline:
                    break
        events.extend(self._late_gaps(GAP_PATIENCE))
        self._events = []
        return Batch(tuple(events), self.offset)

    def poll(self, limit: int = 500, timeout: float = 0.0) -> Batch:
        """Return what came, as `batch`, from a thread without an event loop.

        The store then runs on the library's background thread.

        Raises:
            EOFError: as for `batch`.
            NoMessageId: as for `batch`.
            RuntimeError: an event loop runs in this thread, which the wait would block.
        """
        refuse_on_loop("poll()", "await batch()")
        if self._closed:
            raise EOFError("the reader is closed")
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=plain_loop)
        return self._runner.run(self.batch(limit, timeout))

    async def stop(self) -> None:
        """Close the socket; what came before can still be read, and then the batches end."""
        for subscription in self._observed:
            subscription.dispose()
        self._observed.clear()
        await self.store.aclose()

    async def aclose(self) -> None:
        """Close, and forget what waits. Idempotent."""
        await self.stop()
        self._came.clear()
        await self._stream.aclose()

    def close(self) -> None:
        """Close from the thread that calls `poll`, which runs no event loop. Idempotent."""
        if self._closed:
            return
        refuse_on_loop("close()", "await aclose()")
        self._closed = True
        with self._runner or asyncio.Runner(loop_factory=plain_loop) as runner:
            runner.run(self.aclose())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What came

    async def _fetch(self, limit: int, deadline: float | None) -> None:
        """Take what waits, and mark what is missing before it."""
        # No timeout where something waits: it would end a mere turn of the loop.
        waits = self._stream.stats.waiting > 0
        async with asyncio.timeout_at(None if waits else deadline):
            run = await self._stream._next_many(limit)
        self._came.extend(run.values)
        self._number = run.first
        if (count := run.dropped - self._dropped) > 0:
            self._dropped = run.dropped
            if self._go_back():
                self._refetched += count
            else:
                self._tracks.mark("overflow", None, time.time(), time.monotonic())

    def _handle(self, limit: int, events: list[_ReaderEvent]) -> None:
        """Handle what was taken; none of it has to be waited for."""
        came, now = self._came, time.time()
        try:
            for _ in range(min(limit, len(came))):
                while self._session_gaps and self._session_gaps[0][0] <= self._number:
                    self._mark_reconnect()
                self._number += 1
                message = came.popleft()
                if not self._stale:  # it comes again, behind what is missing before it
                    self._add(message, now, events)
        except Exception as error:
            if not events:
                raise
            self._failure = error

    def _go_back(self) -> bool:
        """Ask the server again for what had no room; return whether it can give it."""
        if self.feed.resume is None or self.offset is None or not self._observed:
            return False
        self._stale = True
        self._back += 1
        try:
            self.store.disconnect()
            self.store.connect()
        except StoreClosed:
            self._stale = False
            return False
        self._stats.again += 1
        return True

    def _add(self, message: str | bytes, now: float, events: list[_ReaderEvent]) -> None:
        taken = self._open(message)
        if taken is None:
            self._stats.left_out += 1
            return
        if taken.offset is not None and (self.offset is None or taken.offset > self.offset):
            self.offset = taken.offset
        if taken.id is not None and not self._ids.add((taken.channel, taken.id)):
            return
        if (missed := self._tracks.next(taken, now)) is not None:
            self._stats.gaps += 1
            events.append(missed)
        own = taken.id or ""
        self._places.add(taken)
        self._stats.read += 1
        events.append(Item(taken.channel, own, taken.data, taken.text, taken.offset, now))

    def _end(self) -> EOFError:
        why = self.store.state.value.error or "the server closed it for good"
        return EOFError(f"the feed has ended: {why}" if self._observed else "the reader is closed")

    def _late_gaps(self, patience: float) -> list[_ReaderEvent]:
        """Return the gaps whose channels are quiet."""
        while self._session_gaps and not self._came and self._stream.stats.waiting == 0:
            self._mark_reconnect()
        found = self._tracks.late(time.monotonic() - patience)
        self._stats.gaps += len(found)
        return list(found)

    def _mark_reconnect(self) -> None:
        _, gap, back = self._session_gaps.popleft()
        self._stale &= back != self._back
        self._tracks.mark("reconnect", gap.since, gap.until, time.monotonic())

    # Called by the store, on its event loop

    def _resumed(self) -> Any:
        """Return what `resume` makes of the newest offset that came; None without one."""
        self._begun = self._back
        newest = None if self._stale else self._newest
        return first_of(self.feed, self.offset, newest, self._open)

    def _on_message(self, message: str | bytes) -> None:
        self._newest = message

    def _on_gap(self, gap: Gap) -> None:
        stats = self._stream.stats
        number = stats.delivered + stats.dropped + stats.waiting
        self._session_gaps.append((number, gap, self._begun))
