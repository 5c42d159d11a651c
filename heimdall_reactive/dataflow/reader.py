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
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

from heimdall_reactive import Gap

from .feeds import Feed
from .gaps import Missed
from .ids import RecentIds
from .resuming import LoopOption, open_feed
from .tracks import GAP_PATIENCE, Known, Tracks

__all__ = ["Batch", "Item", "Known", "Reader", "ReaderStats"]

LIMIT: Final = 4096  # messages that wait for who reads
WINDOW: Final = 100_000  # recent ids


@dataclass(frozen=True, slots=True)
class Item:
    """One message of a batch.

    Attributes:
        channel: where it came.
        id: what tells it from all others of the channel; empty in a feed that is `single`.
        data: the message as it came, UTF-8 where it was text.
        text: whether it was text.
        offset: where it stands in the server's order, None where it has no offset.
        received: when it was read, in seconds since the epoch.
    """

    channel: str
    id: str
    data: bytes
    text: bool
    offset: int | None
    received: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What came, in order.

    Attributes:
        events: messages, and what was missed between them.
        offset: what a next reader goes on from when all of this was handled; None is unknown.
    """

    events: tuple[Item | Missed, ...] = ()
    offset: int | None = None

    @property
    def items(self) -> list[Item]:
        """The messages alone."""
        return [event for event in self.events if isinstance(event, Item)]


@dataclass(slots=True)
class ReaderStats:
    """Counters of a reader.

    Attributes:
        read: messages handed out.
        repeats: messages that came again, and were not.
        left_out: messages without an id that the rule left out, and Heimdall's control messages.
        dropped: messages that had no room, because who reads was too slow.
        gaps: gaps handed out.
    """

    read: int = 0
    repeats: int = 0
    left_out: int = 0
    dropped: int = 0
    gaps: int = 0


_Event: TypeAlias = Item | Missed


class Reader:
    """Reads one feed; use it on one event loop, or by `poll` from one thread without any.

    Args:
        feed: what is read.
        offset: where to begin on a server that replays; None dials the endpoint as it is.
        known: the last message of each channel that was handled before, for gaps and repeats.
        seen: channels and ids of further messages that were handled before.
        limit: messages that may wait; the server is then held back for 5 s, and after that the
            oldest goes and is counted and told as a gap.
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
        self._dropped = 0  # of which a gap was told
        self._open = feed.opener()
        self._ids = RecentIds(window)
        self._tracks = Tracks(feed, known or {}, copy)
        for key in (*seen, *((name, last.id) for name, last in (known or {}).items())):
            self._ids.add(key)
        self._ids.repeats = 0
        self._newest: str | bytes | None = None
        self._session_gaps: deque[tuple[int, Gap]] = deque()  # before which message, from 0 on
        self._runner: asyncio.Runner | None = None
        self._closed = False
        self.store = open_feed(feed, self._resumed, loop)
        self._stream = self.store.stream(limit, "block", name="reader")
        self._observed = [
            self.store.gaps.subscribe(self._on_gap),
            self.store.messages.subscribe(self._on_message),
            *(self.store.channel(name).subscribe(lambda _: None) for name in feed.channels),
        ]
        self.store.connect()

    @property
    def stats(self) -> ReaderStats:
        """The counters as they are now."""
        self._stats.repeats = self._ids.repeats
        self._stats.dropped = self._stream.stats.dropped
        return self._stats

    async def batch(self, limit: int = 500, timeout: float | None = None) -> Batch:
        """Return what came: at least one event, unless the time is over.

        Args:
            limit: messages at the most.
            timeout: seconds to wait for the first; None waits for ever, 0 not at all.

        Raises:
            EOFError: all was handed out, and the reader is closed, or its feed has ended; the
                store's error is the cause.
            NoMessageId: a message must have an id and has none.
        """
        events: list[_Event] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not events:
                    try:
                        message = await anext(self._stream)
                    except StopAsyncIteration:
                        events.extend(self._late_gaps(0.0))
                        if not events:
                            raise self._end() from self.store.state.value.error
                        break
                    await self._take(message, limit, events)
        events.extend(self._late_gaps(GAP_PATIENCE))
        return Batch(tuple(events), self.offset)

    def poll(self, limit: int = 500, timeout: float = 0.0) -> Batch:
        """Return what came, as `batch`, from a thread without an event loop.

        The store then runs on the library's background thread.

        Raises:
            EOFError: as for `batch`.
            NoMessageId: a message must have an id and has none.
        """
        if self._closed:
            raise EOFError("the reader is closed")
        if self._runner is None:
            self._runner = asyncio.Runner()
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
        await self._stream.aclose()

    def close(self) -> None:
        """Close from the thread that calls `poll`. Idempotent."""
        if self._closed:
            return
        self._closed = True
        with self._runner or asyncio.Runner() as runner:
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

    async def _take(self, message: str | bytes, limit: int, events: list[_Event]) -> None:
        """Take a message, and those that wait behind it: none of these has to be waited for."""
        left = min(self._stream.stats.waiting, limit - 1)
        self._add(message, events)
        for _ in range(left):
            self._add(await anext(self._stream), events)

    def _mark_breaks(self) -> None:
        """Mark what is missing before the message just taken; the store may be on a thread."""
        now = self._stream.stats
        if now.dropped > self._dropped:
            self._tracks.mark("overflow", None, time.time(), time.monotonic())
            self._dropped = now.dropped
        number = now.delivered + now.dropped - 1
        while self._session_gaps and self._session_gaps[0][0] <= number:
            self._mark_reconnect()

    def _add(self, message: str | bytes, events: list[_Event]) -> None:
        self._mark_breaks()
        taken = self._open(message)
        if taken is None:
            self._stats.left_out += 1
            return
        if taken.offset is not None and (self.offset is None or taken.offset > self.offset):
            self.offset = taken.offset
        if taken.id is not None and not self._ids.add((taken.channel, taken.id)):
            return
        now = time.time()
        if (missed := self._tracks.next(taken, now)) is not None:
            self._stats.gaps += 1
            events.append(missed)
        own = taken.id or ""
        self._stats.read += 1
        events.append(Item(taken.channel, own, taken.data, taken.text, taken.offset, now))

    def _end(self) -> EOFError:
        why = self.store.state.value.error or "the server closed it for good"
        return EOFError(f"the feed has ended: {why}" if self._observed else "the reader is closed")

    def _late_gaps(self, patience: float) -> list[_Event]:
        """Return the gaps whose channels are quiet."""
        while self._session_gaps and self._stream.stats.waiting == 0:
            self._mark_reconnect()
        found = self._tracks.late(time.monotonic() - patience)
        self._stats.gaps += len(found)
        return list(found)

    def _mark_reconnect(self) -> None:
        gap = self._session_gaps.popleft()[1]
        self._tracks.mark("reconnect", gap.since, gap.until, time.monotonic())

    # Called by the store, on its event loop

    def _resumed(self) -> Any:
        """Return what `resume` makes of the newest offset that came; None without one."""
        offset = self.offset
        if self._newest is not None:
            with suppress(Exception):  # the reader raises it, in its own turn
                taken = self._open(self._newest)
                if taken is not None and taken.offset is not None:
                    offset = max(taken.offset, offset or taken.offset)
        if offset is None or self.feed.resume is None:
            return None
        return self.feed.resume(offset - self.feed.rewind)

    def _on_message(self, message: str | bytes) -> None:
        self._newest = message

    def _on_gap(self, gap: Gap) -> None:
        stats = self._stream.stats
        self._session_gaps.append((stats.delivered + stats.dropped + stats.waiting, gap))
