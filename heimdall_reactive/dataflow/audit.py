"""What the log already has: of a gap, before it is written down, and before a reader begins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from heimdall_reactive.base.starting import start_task

from .gaps import Missed, holes
from .log_client import Log, LogError
from .nats_client import told
from .records import Kind, Record, read_record, subject
from .tasks import end, raise_if_cancelled

if TYPE_CHECKING:
    from nats.js.client import JetStreamContext

__all__ = ["Audits", "audit", "ids_since"]

logger: Final = logging.getLogger("heimdall_reactive.dataflow")

MOST: Final = 500_000  # records that are looked through; nats-server 2.9 gave 26,000 a second here
BATCH: Final = 1_000
MOST_RUNS: Final = 100  # gaps that one look may find; more of them are told as one
MOST_LOOKS: Final = 20  # at one gap
MOST_WAITING: Final = 100  # gaps of a channel that wait for a look and cannot be taken together
MAX_DIGITS: Final = 128  # of an id that is a number
AT_A_TIME: Final = 4  # looks
# Records of the log in which gaps of a copy that was killed are looked for.
RECALLED: Final = 10_000
RETRY: Final = 1.0  # seconds until the log is asked again


class Audits:
    """Looks for what is missing before it is told, after other copies had their time.

    A channel has one look at a time, and what is missed during it is looked for together: a server
    that leaves out every second id costs two looks, not one for each message.

    Args:
        log: where it is looked for.
        settle: seconds that other copies get.
        tell: is told what is missing.
    """

    def __init__(self, log: Log, settle: float, tell: Callable[[Missed], None]) -> None:
        self._log = log
        self._settle = settle
        self._tell = tell
        self._waiting: dict[str, list[tuple[Missed, int]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._recalls: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        self._places = asyncio.Semaphore(AT_A_TIME)

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, missed: Missed, begin: int) -> None:
        """Look for a gap from a sequence of the log on."""
        channel = missed.channel
        waiting = self._waiting.setdefault(channel, [])
        if waiting and _follows(missed, waiting[-1][0]):
            last, earliest = waiting[-1]
            both = replace(last, before=missed.before, until=max(last.until, missed.until))
            waiting[-1] = both, min(earliest, begin)
        elif len(waiting) < MOST_WAITING:
            waiting.append((missed, begin))
        else:
            self._tell(replace(missed, count=None))
        if channel not in self._tasks:
            work = start_task(self._run(channel), "heimdall-audit")
            self._tasks[channel] = work

    def recall(self, record: Record) -> None:
        """Look up to a record, the channel's newest, for what a copy that was killed did not tell.

        A gap waits `settle` seconds before it is written; whoever noticed it may die.
        """
        work = start_task(self._recall(record), "heimdall-audit")
        self._recalls.add(work)
        work.add_done_callback(self._recalls.discard)

    async def finish(self) -> None:
        """Look at what waits again, without waiting for other copies, and tell it."""
        self._ending.set()
        try:
            while left := (*self._recalls, *self._tasks.values()):  # the one begins the other
                await asyncio.gather(*left, return_exceptions=True)
        finally:
            await end((*self._recalls, *self._tasks.values()))

    async def _recall(self, record: Record) -> None:
        begin = record.seq - RECALLED
        try:
            async with self._places:
                found = await untold(self._log, record.channel, begin, record.seq)
        except LogError as error:
            logger.warning("%s; gaps of before the start may be untold", error)
            return
        for missed in found:
            self.add(missed, begin)

    async def _run(self, channel: str) -> None:
        waiting: list[tuple[Missed, int]] = []
        try:
            while waiting := self._waiting.pop(channel, []):
                while waiting:
                    found = await self._look(*waiting[0])
                    waiting.pop(0)
                    for one in found:
                        self._tell(one)
        finally:
            del self._tasks[channel]
            for missed, _ in (*waiting, *self._waiting.pop(channel, [])):  # it was cut short
                self._tell(replace(missed, count=None))

    async def _look(self, missed: Missed, begin: int) -> list[Missed]:
        """Return what is missing in the log.

        While the log still gets some of it, somebody is writing what he held: so it is asked
        until two answers are the same.
        """
        before: list[Missed] | None = None
        found = [missed]
        for _ in range(MOST_LOOKS):
            await self._wait(self._settle)
            async with self._places:
                found = await self._asked(missed, begin)
            if found in ([], before) or self._ending.is_set():
                break
            before = found
        return found

    async def _asked(self, missed: Missed, begin: int) -> list[Missed]:
        while True:
            try:
                return await audit(self._log, missed, begin)
            except LogError as error:
                raise_if_cancelled()
                logger.warning("%s; asking again in %.0f s", error, RETRY)
            except Exception as error:  # `nats-py` raises this and that of a killed server
                raise_if_cancelled()
                logger.warning("a gap could not be looked for: %s", type(error).__name__)
            await asyncio.sleep(RETRY)  # at the end too: who ends it says how long it may take

    async def _wait(self, seconds: float) -> None:
        raise_if_cancelled()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()


def _follows(missed: Missed, last: Missed) -> bool:
    """Return whether two gaps can be taken for one that is behind neither's begin and end."""
    return int(missed.after) >= int(last.after) and int(missed.before) >= int(last.before)


async def audit(log: Log, missed: Missed, begin: int) -> list[Missed]:
    """Return what of a gap between two numbers is in the log from no copy.

    Where too much has been written since, nobody looks: the gap is then one copy's, with no count.

    Args:
        log: where it is looked for.
        missed: with `after` and `before`, both whole numbers.
        begin: sequence in the log from which on the missing could be.

    Raises:
        LogError: the log did not answer.
    """
    found = await ids_since(log, missed.channel, begin)
    if found is None:
        return [replace(missed, count=None)]
    first, last = int(missed.after) + 1, int(missed.before) - 1
    numbers = (int(own) for own in found if _is_number(own))
    runs = holes(first, last, numbers)
    if len(runs) > MOST_RUNS:
        return [replace(missed, count=sum(end - start + 1 for start, end in runs))]
    return list(missed.split(runs))


async def untold(log: Log, channel: str, begin: int, last: int) -> list[Missed]:
    """Return the gaps between a channel's whole numbers of which no record tells.

    Args:
        log: where it is looked for.
        channel: whose.
        begin: sequence in the log.
        last: sequence of the last record that is looked at.

    Raises:
        LogError: the log did not answer.
    """
    times = await ids_since(log, channel, begin, last) or {}
    numbers = [int(own) for own in times if _is_number(own)]
    if not numbers or not (runs := holes(min(numbers), max(numbers), numbers)):
        return []
    gaps = [_bounds(own) for own in await ids_since(log, channel, begin, kind="gap") or {}]
    return [
        Missed(
            channel=channel,
            reason="restart",
            since=times[str(first - 1)],
            until=times[str(final + 1)],
            after=str(first - 1),
            before=str(final + 1),
            count=final - first + 1,
        )
        for first, final in runs[:MOST_RUNS]
        if not any(after < first and final < before for after, before in gaps)
    ]


def _bounds(own: str) -> tuple[int, int]:
    """Return the neighbours that the id of a gap's record names; an empty range for none."""
    rest, _, before = own.rpartition("..")
    after = rest.rpartition(".")[2]
    return (int(after), int(before)) if _is_number(after) and _is_number(before) else (0, 0)


def _is_number(own: str) -> bool:
    """Return whether an id is a whole number as it is written everywhere."""
    digits = own.removeprefix("-")
    return len(own) <= MAX_DIGITS and digits.isdecimal() and str(int(own)) == own


async def ids_since(
    log: Log, channel: str, begin: int, last: int | None = None, kind: Kind = "in"
) -> dict[str, float] | None:
    """Return the ids of a channel's records, with their times; None where they are too many.

    Args:
        log: where they are.
        channel: whose.
        begin: sequence in the log.
        last: that of the last one, None for all that there are now.
        kind: of the records.

    Raises:
        LogError: the log did not answer.
    """
    import nats.errors

    try:
        return await _ids(log, subject(log.stream, kind, channel), begin, last)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise LogError(f"the log did not show its ids: {told(error)}") from None


async def _ids(log: Log, name: str, begin: int, last: int | None) -> dict[str, float] | None:
    """Read headers alone."""
    import nats.errors
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=max(1, begin),
        ack_policy=AckPolicy.NONE,
        headers_only=True,
        filter_subject=name,
        inactive_threshold=30.0,
        mem_storage=True,
    )
    made = await log.js.add_consumer(log.stream, config)
    pull = await log.js.pull_subscribe_bind(stream=log.stream, consumer=made.name)
    pending = made.num_pending or 0
    try:
        return None if pending > MOST else await _read(pull, pending, last)
    finally:
        with suppress(nats.errors.Error, TimeoutError):  # a killed server has forgotten it
            await pull.unsubscribe()
            await log.js.delete_consumer(log.stream, made.name)


async def _read(
    pull: JetStreamContext.PullSubscription, pending: int, last: int | None
) -> dict[str, float]:
    found: dict[str, float] = {}
    left = pending
    while left > 0:
        messages = await pull.fetch(min(left, BATCH), timeout=5.0)
        left -= len(messages)
        for message in messages:
            seq = message.metadata.sequence.stream
            if last is not None and seq > last:
                return found
            record = read_record(message.subject, b"", message.headers, seq)
            found[record.id] = record.received
    return found
