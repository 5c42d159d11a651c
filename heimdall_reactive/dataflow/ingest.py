"""`Ingest`: stores into the log; as many copies of it as you like, on as many machines."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import uuid4

from heimdall_reactive import ConfigurationError, HeimdallError
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.printable import count_of
from heimdall_reactive.base.starting import start_task

from .assignment import partition_of
from .counters import HolderStats, PublisherStats
from .feed_worker import FeedWorker
from .feeds import Feed
from .ids import NoMessageId
from .leases import Leases
from .log_client import Log, StreamSettings, connect_log, provide
from .nats_client import OnRefusal, close_client
from .publisher import LogPublisher
from .tasks import end

if TYPE_CHECKING:
    from .batch_client import BatchClient

__all__ = ["Ingest", "IngestStats"]

logger: Final = logging.getLogger("heimdall_reactive.dataflow")

LOOK: Final = 0.05  # seconds between two looks whether a copy has caught up
PROVIDE_TIMEOUT: Final = 2.0  # seconds for a log to say whether it has the stream


@dataclass(slots=True)
class IngestStats(HolderStats):
    """Counters of an ingest since it began: those of its feeds together, and some more.

    Attributes:
        feeds: sockets that it holds now.
        connected: those of them that are open.
        lag: seconds for which the oldest message that came has waited for the log, at most: what
            this copy would take with it if it were killed now.
        publisher: counters of the writing.
    """

    feeds: int = 0
    connected: int = 0
    lag: float = 0.0
    publisher: PublisherStats = field(default_factory=PublisherStats)


class Ingest:
    """Reads feeds into a stream of NATS JetStream.

    Without `replicas` it holds every feed. With it, the copies of one stream share the feeds by
    leases: each feed is held by so many copies, and those of a copy that dies go to the others.
    Redundant copies of a feed need ids in its messages; the log keeps each id once.

    Args:
        servers: URLs of the log, as for `connect_log`.
        stream: name of the stream; it is made where it does not exist.
        feeds: what is read; every copy must be given the same.
        name: of this copy, one that no other has; default: host, process and a random part.
        replicas: copies that hold each feed, None for all.
        partitions: groups of feeds for the leases; None leases each feed by itself, which costs
            the log a write for each of them four times in `lease` seconds.
        lease: seconds after which the feeds of a dead copy go to others.
        handover: seconds for which a feed is held on after another copy took its lease.
        settle: seconds that other copies get, twice, to bring what this one missed, before a gap
            is written; only of feeds with `consecutive` ids. Twice this is longer than a copy
            takes to write what it held while the log was away.
        drain: seconds that the end may take to write what was read.
        settings: of a stream that is made.
        **options: of the log's connection, as for `connect_log`.

    Raises:
        ConfigurationError: they cannot work together.

    Example:
        >>> feed = Feed(endpoint="wss://feed.example/ticks", channel="ticks", id="seq")
        >>> async with Ingest("nats://localhost:4222", "market", [feed]) as ingest:
        ...     await ingest.run()
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        stream: str,
        feeds: Sequence[Feed],
        *,
        name: str | None = None,
        replicas: int | None = None,
        partitions: int | None = None,
        lease: float = 6.0,
        handover: float = 5.0,
        settle: float = 3.0,
        drain: float = 10.0,
        settings: StreamSettings | None = None,
        **options: Any,
    ) -> None:
        if not feeds:
            raise ConfigurationError("an ingest needs one feed or more")
        _check_names(feeds, name)
        if any(feed.single for feed in feeds) and replicas != 1:
            raise ConfigurationError(
                "a feed with single=True needs replicas=1: without ids, copies would repeat"
            )
        if replicas is None and partitions is not None:
            raise ConfigurationError("partitions= is for leases: give replicas= as well")
        self.name = name or f"{_host()}-{os.getpid()}-{uuid4().hex[:6]}"
        self._feeds = tuple(feeds)
        self._connecting = (servers, stream, settings, options)
        self._replicas, self._partitions = replicas, partitions
        self._lease, self._handover = lease, handover
        self._settle, self._drain = settle, drain
        self._log: Log | None = None
        self._publisher: LogPublisher | None = None
        self._leases: Leases | None = None
        self._held: dict[int, FeedWorker] = {}  # by the number of the feed
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._leaving: dict[int, asyncio.TimerHandle] = {}
        self._stops: set[asyncio.Task[None]] = set()
        self._past = HolderStats()  # of feeds that are held no longer
        self._failed = 0
        self._failure: BaseException | None = None
        self._ended = asyncio.Event()
        self._closing = False

    @property
    def stats(self) -> IngestStats:
        """The counters as they are now."""
        parts = [self._past, *(holder.stats for holder in self._held.values())]
        sums = {f.name: sum(getattr(part, f.name) for part in parts) for f in fields(HolderStats)}
        lag = max((holder.lag for holder in self._held.values()), default=0.0)
        written = PublisherStats()
        if self._publisher is not None:
            lag, written = max(lag, self._publisher.lag), replace(self._publisher.stats)
        return IngestStats(
            feeds=len(self._held),
            connected=sum(holder.is_connected for holder in self._held.values()),
            lag=lag,
            publisher=written,
            **sums,
        )

    def __repr__(self) -> str:
        held = f"{len(self._held)} of {count_of(len(self._feeds), 'feed')}"
        return glance(self, f"{self.name}: {held}{', ended' if self._ended.is_set() else ''}")

    @property
    def channels(self) -> list[str]:
        """The channels of the feeds that this copy holds now."""
        return sorted(self._feeds[number].channel for number in self._held)

    def is_ready(self, lag: float = 1.0) -> bool:
        """Return whether this copy has caught up: what a probe of its readiness asks.

        The log can be written, each feed that it holds is connected, and no message has waited
        longer than `lag` seconds. A copy that holds no feed, because others do, is ready too.
        """
        if self._publisher is None or self._ended.is_set():
            return False
        if self._leases is not None and not self._leases.copies:
            return False  # it does not know yet what it holds
        now = self.stats
        return self._publisher.is_open and now.connected == now.feeds and now.lag <= lag

    async def ready(self, lag: float = 1.0) -> None:
        """Wait until this copy `is_ready`: then another one may be restarted.

        Raises:
            HeimdallError: it has ended before, for this reason; as `run` does.
        """
        while not self.is_ready(lag):
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._ended.wait()
                raise self._failure or HeimdallError("the ingest has ended")

    async def start(self) -> None:
        """Connect to the log, and begin to read.

        Raises:
            LogError: the log cannot be reached, or has no room for the stream.
            ConfigurationError: name or stream cannot work.
        """
        servers, stream, settings, options = self._connecting
        self._log = log = await connect_log(
            servers, stream, settings=settings, name=self.name, **options
        )
        self._publisher = LogPublisher(self._dial, log.stream)
        self._publisher.start()
        if self._replicas is None:
            for number in range(len(self._feeds)):
                self._hold(number)
            return
        self._leases = Leases(
            log,
            self.name,
            set(map(self._partition, self._feeds)),
            replicas=self._replicas,
            ttl=self._lease,
            on_change=self._on_leases,
        )
        self._leases.start()

    async def run(self) -> None:
        """Read until somebody cancels this, or nothing is left to read.

        Raises:
            NoMessageId: a message must have an id and has none.
            HeimdallError: every feed has ended, for this reason the last.
            Exception: what a rule for ids or offsets raised.
        """
        if self._log is None:
            await self.start()
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    async def aclose(self) -> None:
        """Let others take over, close the sockets, write what was read, and end. Idempotent."""
        if self._closing:
            return
        self._closing = True
        try:
            await self._hand_over()
            async with asyncio.timeout(self._drain):
                await self._write_out()
        except TimeoutError:
            logger.error("the log was too slow for the end of this copy")
        finally:
            await self._cut()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # The end

    async def _hand_over(self) -> None:
        if self._leases is not None:
            others = self._leases.copies - {self.name}
            await self._leases.aclose()
            if others and self._held:  # they dial while this copy still reads
                await asyncio.sleep(min(self._handover, self._drain / 2))

    async def _write_out(self) -> None:
        for number in tuple(self._held):
            self._leave(number)
        await asyncio.gather(*self._stops, return_exceptions=True)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._publisher is not None:
            await self._publisher.flush()

    async def _cut(self) -> None:
        for timer in self._leaving.values():
            timer.cancel()
        await end([*self._tasks.values(), *self._stops])
        if self._publisher is not None and (count := await self._publisher.aclose()):
            logger.error("%d records were read, and not acknowledged by the log", count)
        if self._log is not None:
            await self._log.aclose()
        self._ended.set()

    async def _dial(self, on_end: OnRefusal) -> BatchClient:
        """Open a connection to write on; make the stream again where somebody has deleted it."""
        assert self._log is not None
        client = await self._log.dial(on_end)
        stream, settings = self._log.stream, self._connecting[2] or StreamSettings()
        try:
            if await provide(client.jetstream(timeout=PROVIDE_TIMEOUT), stream, settings):
                logger.error("the stream %r was deleted with all records; it is made again", stream)
        except BaseException:
            await close_client(client)
            raise
        return client

    # Who holds what

    def _partition(self, feed: Feed) -> str:
        return partition_of(feed.channel, self._partitions)

    def _on_leases(self, held: frozenset[str]) -> None:
        for number, feed in enumerate(self._feeds):
            if self._partition(feed) in held:
                if (timer := self._leaving.pop(number, None)) is not None:
                    timer.cancel()
                if number not in self._tasks:
                    self._hold(number)
            elif number in self._held and number not in self._leaving:
                # Another copy connects now, and is not there yet.
                delay = 0.0 if feed.single else self._handover
                loop = asyncio.get_running_loop()
                self._leaving[number] = loop.call_later(delay, self._leave, number)

    def _hold(self, number: int) -> None:
        assert self._log is not None
        assert self._publisher is not None
        feed = self._feeds[number]
        holder = FeedWorker(feed, self._log, self._publisher, self.name, self._settle)
        self._held[number] = holder
        task = start_task(holder.run(), f"heimdall-feed-{feed.channel}")
        self._tasks[number] = task
        task.add_done_callback(partial(self._on_end, number))

    def _leave(self, number: int) -> None:
        self._leaving.pop(number, None)
        if number not in self._held:
            return  # it has ended by itself
        stop = start_task(self._held[number].stop(), "heimdall-leave")
        self._stops.add(stop)
        stop.add_done_callback(self._stops.discard)

    def _on_end(self, number: int, task: asyncio.Task[None]) -> None:
        holder = self._held.pop(number)
        del self._tasks[number]
        holder.retire(self._past)
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            if not self._closing and self._leases is not None:
                self._on_leases(self._leases.held)  # it may have come back by now
            return
        self._failed += 1
        # A feed may end without the others. A rule of the user's that raises ends everything.
        ended = isinstance(error, HeimdallError) and not isinstance(error, NoMessageId)
        if not ended or self._failed >= len(self._feeds):
            self._failure = error
            self._ended.set()


def _check_names(feeds: Sequence[Feed], name: str | None) -> None:
    """Refuse channels that two feeds share: equal ids in them would be taken for repeats.

    Raises:
        ConfigurationError: there is one; or the copy's name cannot stand in a key of the log.
    """
    counts = Counter(channel for feed in feeds for channel in feed.names)
    for channel, count in counts.items():
        if count > 1:
            raise ConfigurationError(
                f"{count} feeds have the channel {channel!r}: give each a channel= of its own"
            )
    if name is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise ConfigurationError(f"{name!r} is not a name of a copy: use letters, digits, - and _")


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:30] or "host"
