"""`FeedWorker`: one feed that an ingest holds: its reader, and its messages' way to the log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from typing import Final
from uuid import uuid4

from heimdall_reactive import ConnectionState, HeimdallError
from heimdall_reactive.base.starting import start_task

from .audit import Audits, ids_since
from .batches import Item
from .counters import HolderStats
from .feeds import Feed, parsed
from .gap_tracker import MOST, Known
from .gaps import Missed
from .ids import number_rule
from .last_records import last_records
from .log_client import Ack, Log, LogError
from .outbound import Outbound
from .publisher import LogPublisher
from .reader import Reader
from .records import COPY, Record
from .resuming import ended

__all__ = ["FeedWorker"]

logger: Final = logging.getLogger("heimdall_reactive.dataflow")

PATIENCE: Final = 1.0  # seconds of a wait for messages, after which late gaps are looked for
RETRY: Final = 1.0  # seconds until the log is asked again
MARGIN: Final = 2_000  # records that an audit goes back beyond the last acknowledged one
REWIND: Final = 20_000  # records of the log in which ids are looked for that a rewind repeats


class FeedWorker:
    """Reads one feed into the log, from `run` until `stop`.

    Args:
        feed: what is read.
        log: is asked for what it has.
        publisher: writes.
        copy: name of this copy.
        settle: seconds that other copies get to bring what this one missed.

    Attributes:
        feed: what is read.
        failure: why it ended by itself, None while it goes on.
    """

    def __init__(
        self, feed: Feed, log: Log, publisher: LogPublisher, copy: str, settle: float
    ) -> None:
        self.feed = feed
        self.failure: Exception | None = None
        self._log = log
        self._publisher = publisher
        self._copy = copy
        self._headers = {COPY: copy}
        self._stats = HolderStats()
        self._reader: Reader | None = None
        self._outbound: Outbound | None = None
        self._own = uuid4().hex[:12]  # the ids of a `single` feed begin with it
        self._numbers = 0
        self._acked: dict[str, tuple[str, int]] = {}  # id and sequence of each channel's newest
        self._audits = Audits(log, settle, self._write)
        self._stopping = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None

    @property
    def stats(self) -> HolderStats:
        """The counters as they are now."""
        if self._reader is not None:
            read = self._reader.stats
            self._stats.read, self._stats.repeats = read.read, read.repeats
            self._stats.dropped = read.dropped
        if self._outbound is not None:
            self._stats.sent = self._outbound.stats.sent
        return self._stats

    @property
    def is_connected(self) -> bool:
        """Whether its socket is open."""
        return self._reader is not None and self._reader.store.connected

    @property
    def lag(self) -> float:
        """Seconds for which a message has waited to be put into the log, at most."""
        return 0.0 if self._reader is None else self._reader.lag

    def retire(self, past: HolderStats) -> None:
        """Add its counters to those of the past, and count there what is still to come."""
        now = self.stats
        for one in fields(HolderStats):
            setattr(past, one.name, getattr(past, one.name) + getattr(now, one.name))
        self._stats, self._reader, self._outbound = past, None, None

    async def run(self) -> None:
        """Read until `stop`, or until the store gives up.

        Raises:
            NoMessageId: a message must have an id and has none.
        """
        found = await self._found()
        if found is None:
            return
        last, seen = found
        known = {record.channel: Known(record.id, record.received) for record in last}
        async with Reader(
            self.feed, self._offset(last), known=known, seen=seen, copy=self._copy
        ) as self._reader:
            watching = self._reader.store.transitions.subscribe(self._on_transition)
            if self.feed.sending is not None:
                names = self.feed.names
                self._outbound = Outbound(self._log, self._reader.store, names, self.feed.sending)
                self._outbound.start()
            if self.feed.consecutive:
                for record in last:
                    self._audits.recall(record)
            try:
                await self._pump(self._reader)
            finally:
                watching.dispose()
                await self._end()
        if self.failure is not None:
            raise self.failure

    async def stop(self) -> None:
        """Close the socket; what has come by then is still written by `run`."""
        self._stopping.set()
        if self._outbound is not None:
            await self._outbound.aclose()
        if self._reader is not None:
            await self._reader.stop()

    async def _pump(self, reader: Reader) -> None:
        with suppress(EOFError):
            while True:
                batch = await reader.batch(timeout=PATIENCE)
                for event in batch.events:
                    if isinstance(event, Item):
                        await self._publisher.put(self._record(event), self._settled)
                    else:
                        self._miss(event)

    async def _end(self) -> None:
        if self._outbound is not None:
            await self._outbound.aclose()
        await self._audits.finish()

    # What the log has

    async def _found(self) -> tuple[list[Record], list[tuple[str, str]]] | None:
        """Return what `_ask` does as soon as the log answers; None where `stop` came first."""
        while not self._stopping.is_set():
            try:
                found = await self._ask()
                return None if self._stopping.is_set() else found
            except LogError as error:
                logger.warning("%s; asking again in %.0f s", error, RETRY)
                with suppress(TimeoutError):
                    async with asyncio.timeout(RETRY):
                        await self._stopping.wait()
        return None

    async def _ask(self) -> tuple[list[Record], list[tuple[str, str]]]:
        """Return the newest record of each channel, and the ids that a rewind would repeat.

        The log drops a repeat only within its window; this copy may have been away for longer.
        """
        names = set(self.feed.names)
        if any(
            name.endswith("*") for name in names
        ):  # the server has named those that it stands for
            names.update(filter(self.feed.takes, await self._log.channels()))
        last = await last_records(self._log, sorted(names))
        self._acked = {record.channel: (record.id, record.seq) for record in last}
        seen: list[tuple[str, str]] = []
        if self.feed.resume is not None and self.feed.rewind:
            for record in last:
                ids = await ids_since(self._log, record.channel, record.seq - REWIND)
                seen.extend((record.channel, own) for own in ids or ())
        return last, seen

    def _offset(self, last: Iterable[Record]) -> int | None:
        """Return where to go on, on a server that replays."""
        if self.feed.resume is None:
            return None
        place = number_rule(self.feed.offset or self.feed.id)
        found: list[int] = []
        for record in last:
            with suppress(ValueError):  # not UTF-8: another program's
                at = place(parsed(record.data.decode() if record.text else record.data))
                found += [] if at is None else [at]
        return max(found, default=None)

    # Records

    def _record(self, item: Item) -> Record:
        own = item.id
        if not own:
            self._numbers += 1
            own = f"{self._copy}-{self._own}-{self._numbers}"
        return Record(
            item.channel, item.data, own, received=item.received, text=item.text,
            headers=self._headers,
        )  # fmt: skip

    def _settled(self, record: Record, ack: Ack | None) -> None:
        if ack is not None:
            self._stats.written += 1
            self._stats.duplicates += ack.duplicate
            self._acked[record.channel] = (record.id, ack.seq)
            if len(self._acked) > MOST:
                self._acked.pop(next(iter(self._acked)))
            return
        self._stats.refused += 1
        now = time.time()
        refused = Missed(
            channel=record.channel, reason="refused", since=record.received, until=now,
            after=record.id, before=record.id, copy=self._copy,
        )  # fmt: skip
        self._write(refused)

    # Gaps

    def _miss(self, missed: Missed) -> None:
        if missed.count is None:
            self._write(missed)
            return
        self._audits.add(missed, self._acked.get(missed.channel, ("", 1))[1] - MARGIN)

    def _write(self, missed: Missed) -> None:
        self._stats.gaps += 1
        self._stats.missed += missed.count or 0
        logger.warning("a gap in %r (%s): %s messages are missing", missed.channel, missed.reason,
                       "some" if missed.count is None else missed.count)  # fmt: skip
        self._publisher.add(missed.record())

    # The store

    def _on_transition(self, pair: tuple[ConnectionState, ConnectionState]) -> None:
        if self._stopping.is_set():
            return
        state = pair[1]
        if ended(pair):
            why = state.error or HeimdallError("the server closed the connection for good")
            logger.error("the feed %r has ended: %s", self.feed.channel, why)
            self.failure = why
            assert self._reader is not None
            # A task: this is called by the store that is to be closed.
            self._closing = start_task(self._reader.stop(), "heimdall-feed-end")
