"""`LogPublisher`: writes records into the log in order, each kept until it is acknowledged.

Many records are on their way at a time, and go out in few writes. Whatever goes wrong, a lost
connection, a refusal or silence, the connection is dropped with all that it may still hold, and
everything without an acknowledgement is sent again on a new one, in the old order: the ids make the
repeats harmless. A client that reconnects by itself sends what it buffered before what was lost on
the wire.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic_core import from_json

from heimdall_reactive.base.exceptions import HeimdallError
from heimdall_reactive.base.starting import start_task

from .counters import PublisherStats
from .log_client import Ack
from .nats_client import TOO_LARGE, close_client
from .pulling import Incoming, Outgoing, raw_headers, status_of
from .records import Record
from .tasks import end, raise_if_cancelled

if TYPE_CHECKING:
    from .batch_client import BatchClient

__all__ = ["LogPublisher"]

logger: Final = logging.getLogger("heimdall_reactive.dataflow")

LIMIT: Final = 20_000  # records that may wait for an acknowledgement
MAX_BYTES: Final = 64 * 2**20  # of them
WINDOW: Final = 1_000  # records on their way at a time
WRITE: Final = 256 * 1024  # bytes of them that are written at once, and then the loop has its turn
ACK_TIMEOUT: Final = 5.0  # seconds until the oldest of them must have been acknowledged, at least
SLOWER: Final = 4  # times the usual time of an acknowledgement, and at most times the timeout
SHORTEST_WAIT: Final = 0.1  # seconds until the log is opened again
LONGEST_WAIT: Final = 1.0  # seconds between two dials
DIAL_TIMEOUT: Final = 3.0  # seconds; a server that has just begun may answer no dial for long

Dial: TypeAlias = "Callable[[Callable[[str], Awaitable[None]]], Awaitable[BatchClient]]"
Settled: TypeAlias = Callable[[Record, Ack | None], None]


@dataclass(slots=True, eq=False)
class _Unacknowledged:
    record: Record
    subject: bytes
    headers: bytes
    size: int
    settled: Settled | None
    added_at: float
    sends: int = 0
    sent_at: float = 0.0


class LogPublisher:
    """Writes records in the order in which they are put.

    Args:
        dial: opens a connection that does not reconnect, and calls what it is given when it ends,
            or when the log refuses something on it.
        stream: name of the stream.
        limit: records that may wait; `put` waits beyond.
        max_bytes: bytes of them.
        window: records on their way at a time.
        ack_timeout: seconds until the oldest of those must have been acknowledged, at least. A
            log that is only slow gets more, up to four times as much.
        pause: seconds until the log is opened again, the first time; it grows while it fails.
        close: ends a connection that `dial` opened, whatever has become of it.

    Attributes:
        stats: counters.
    """

    def __init__(
        self,
        dial: Dial,
        stream: str,
        *,
        limit: int = LIMIT,
        max_bytes: int = MAX_BYTES,
        window: int = WINDOW,
        ack_timeout: float = ACK_TIMEOUT,
        pause: float = SHORTEST_WAIT,
        close: Callable[[BatchClient], Awaitable[None]] = close_client,
    ) -> None:
        self.stats = PublisherStats()
        self._dial = dial
        self._stream = stream
        self._limit = limit
        self._max_bytes = max_bytes
        self._window = window
        self._ack_timeout = self._patience = ack_timeout
        self._usual = 0.0  # seconds that an acknowledgement takes
        self._pause = pause
        self._close = close
        self._waiting: deque[_Unacknowledged] = deque()  # not sent on this connection
        self._unacked: dict[
            int, _Unacknowledged
        ] = {}  # by the number in its reply subject, in order
        self._bytes = 0
        self._numbers = 0
        self._failure = ""
        self._open = False
        self._changed = asyncio.Event()
        self._freed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has a connection that works, as far as is known."""
        return self._open and not self._failure

    @property
    def lag(self) -> float:
        """Seconds for which the oldest record has waited for its acknowledgement; 0 for none."""
        oldest = next(iter(self._unacked.values()), None) or next(iter(self._waiting), None)
        return 0.0 if oldest is None else asyncio.get_running_loop().time() - oldest.added_at

    def start(self) -> None:
        """Begin to send; on the running event loop."""
        self._task = start_task(self._run(), "heimdall-publisher")

    async def put(self, record: Record, settled: Settled | None = None) -> None:
        """Add a record; wait while the limit is reached.

        Args:
            record: what is written.
            settled: notified of the record and the answer of the log; None where it never takes it.
        """
        while self._is_full():
            await self._freed.wait()
        self.add(record, settled)

    def add(self, record: Record, settled: Settled | None = None) -> None:
        """Add a record, beyond the limit if need be."""
        headers = raw_headers(record.all_headers())
        size = len(record.data) + len(headers)
        subject = record.subject(self._stream).encode()
        now = asyncio.get_running_loop().time()
        self._waiting.append(_Unacknowledged(record, subject, headers, size, settled, now))
        self._bytes += size
        self._count()
        self._changed.set()

    async def flush(self) -> None:
        """Return when the log has everything that was put."""
        while self._waiting or self._unacked:
            await self._freed.wait()

    async def aclose(self) -> int:
        """End; return how many records the log may not have. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            await end([task])
        return len(self._waiting) + len(self._unacked)

    # The connections, one after the other

    async def _run(self) -> None:
        delay = 0.0
        failing: _Unacknowledged | None = None
        while True:
            raise_if_cancelled()
            await asyncio.sleep(delay)
            self._failure = ""
            try:
                async with asyncio.timeout(DIAL_TIMEOUT):
                    client = await self._dial(self._ending_of(self.stats.connections))
            except Exception as error:  # `nats-py` raises this and that at a half-started server
                raise_if_cancelled()
                delay = self._longer(delay)
                why = error if isinstance(error, HeimdallError) else repr(error)
                logger.warning("%s; reconnecting in %.1f s", why, delay)
                continue
            self.stats.connections += 1
            self._open = True
            before = self.stats.acknowledged
            try:
                await self._send_on(client)
            finally:
                self._open = False
                self._take_back()
                with suppress(Exception):  # it is dropped, whatever it says
                    await self._close(client)
            # A log that does not take the next record is not asked without a pause, although it
            # may have taken others behind it.
            failed = self._waiting[0] if self._waiting else None
            progress = self.stats.acknowledged > before and failed is not failing
            delay, failing = 0.0 if progress else self._longer(delay), failed
            logger.warning(
                "the log failed (%s): %d records are sent again", self._failure, len(self._waiting)
            )

    def _longer(self, delay: float) -> float:
        return min(LONGEST_WAIT, max(self._pause, 2 * delay))

    async def _send_on(self, client: BatchClient) -> None:
        """Send until something goes wrong."""
        inbox = client.new_inbox()
        try:
            await client.subscribe_batches(f"{inbox}.*", self._on_replies)
            while not self._failure:
                raise_if_cancelled()
                async with asyncio.timeout(self._patience):  # a client may wait forever
                    while messages := self._next(inbox, client.max_payload):
                        await client.publish_batch(messages)
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._patience / 4):
                        await self._changed.wait()
                self._look_for_silence()
        except Exception as error:
            raise_if_cancelled()
            # Whatever the client raises, a new connection begins again.
            self._failure = self._failure or type(error).__name__

    def _next(self, inbox: str, max_payload: int) -> list[Outgoing]:
        """Return what is written next, as far as the window goes; none after a failure."""
        found: list[Outgoing] = []
        room = 0 if self._failure else self._window - len(self._unacked)
        now, written = asyncio.get_running_loop().time(), 0
        while self._waiting and len(found) < room and written < WRITE:
            entry = self._waiting.popleft()
            if entry.size > max_payload:
                self._refuse(entry)
                continue
            self._numbers += 1
            self._unacked[self._numbers] = entry
            self.stats.repeated += entry.sends > 0
            entry.sends += 1
            entry.sent_at = now
            written += entry.size
            reply = f"{inbox}.{self._numbers}".encode()
            found.append((entry.subject, reply, entry.headers, entry.record.data))
        return found

    def _take_back(self) -> None:
        """Put what has no acknowledgement before what waits, in its old order."""
        self._waiting.extendleft(reversed(self._unacked.values()))
        self._unacked.clear()

    def _look_for_silence(self) -> None:
        oldest = next(iter(self._unacked.values()), None)
        if oldest is not None:
            late = asyncio.get_running_loop().time() - oldest.sent_at
            if late > self._patience:
                self._fail(f"no acknowledgement in {self._patience:.3g} s")
                most = SLOWER * self._ack_timeout
                self._patience = max(self._patience, min(2 * self._patience, most))

    # What the log says

    def _ending_of(self, number: int) -> Callable[[str], Awaitable[None]]:
        """Return what is told why a connection has ended: an earlier one may be late."""

        async def on_end(why: str) -> None:
            if number + 1 == self.stats.connections:
                self._fail(why)

        return on_end

    def _on_replies(self, messages: Sequence[Incoming]) -> None:
        settled: list[tuple[_Unacknowledged, Ack]] = []
        for subject, reply, headers, data in messages:
            number = int(subject[subject.rindex(b".") + 1 :])
            entry = self._unacked.get(number)
            if entry is None:
                continue  # of an earlier connection
            if headers and status_of(reply, headers) == "503":
                self._fail(f"no stream takes {entry.subject.decode()}, or it has no leader")
                continue
            answer = from_json(data)
            error: dict[str, Any] | None = answer.get("error")
            if error is None:
                del self._unacked[number]
                settled.append((entry, Ack(answer["seq"], bool(answer.get("duplicate")))))
            elif error.get("err_code") in TOO_LARGE:
                del self._unacked[number]
                self._refuse(entry)
            else:
                self._fail(f"{error.get('description')} ({error.get('err_code')})")
        if settled:
            self._acknowledge(settled)

    def _acknowledge(self, settled: Sequence[tuple[_Unacknowledged, Ack]]) -> None:
        took = asyncio.get_running_loop().time() - settled[0][0].sent_at  # the longest of them
        self._usual += (took - self._usual) / 8
        wanted = max(self._ack_timeout, 2 * took, SLOWER * self._usual)
        self._patience = min(wanted, SLOWER * self._ack_timeout)
        self.stats.acknowledged += len(settled)
        for entry, ack in settled:
            self.stats.duplicates += ack.duplicate
            self._bytes -= entry.size
            if entry.settled is not None:
                entry.settled(entry.record, ack)
        self._free()

    def _refuse(self, entry: _Unacknowledged) -> None:
        self.stats.refused += 1
        logger.error("the log takes no record of %d bytes", len(entry.record.data))
        self._bytes -= entry.size
        self._free()
        if entry.settled is not None:
            entry.settled(entry.record, None)

    def _free(self) -> None:
        self._count()
        self._changed.set()
        self._freed.set()  # whoever waits now goes on, and may have to wait again
        self._freed.clear()

    def _fail(self, why: str) -> None:
        self._failure = self._failure or why
        self._changed.set()

    # Room

    def _is_full(self) -> bool:
        count = len(self._waiting) + len(self._unacked)
        return count >= self._limit or (count > 0 and self._bytes >= self._max_bytes)

    def _count(self) -> None:
        self.stats.waiting = len(self._waiting) + len(self._unacked)
        self.stats.high_water = max(self.stats.high_water, self.stats.waiting)
