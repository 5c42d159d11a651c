"""What the log already has: of a gap, before it is written down, and before a reader begins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .gaps import Missed, holes
from .log_client import Log, LogError
from .records import MESSAGE_ID, id_of, subject
from .tasks import raise_if_cancelled

if TYPE_CHECKING:
    from nats.js.client import JetStreamContext

__all__ = ["Audits", "audit", "ids_since"]

logger: Final = logging.getLogger("heimdall_reactive.dataflow")

MOST: Final = 500_000  # records that are looked through; nats-server 2.9 gave 26,000 a second here
BATCH: Final = 1_000
MOST_RUNS: Final = 100  # gaps that one look may find; more of them are told as one
MOST_LOOKS: Final = 20  # at one gap
MOST_WAITING: Final = 100  # gaps of a channel that wait for a look and can not be taken together
AT_A_TIME: Final = 4  # looks
RETRY: Final = 1.0  # seconds until the log is asked again


class Audits:
    """Looks for what is missing before it is told, after other copies had their time.

    A channel has one look at a time, and what is missed meanwhile is looked for together: a server
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
            work = asyncio.create_task(self._run(channel), name="heimdall-audit")
            self._tasks[channel] = work

    async def finish(self) -> None:
        """Look at what waits once more, without waiting for other copies, and tell it."""
        self._ending.set()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

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
            except Exception as error:  # of a record that no ingest has written
                raise_if_cancelled()
                logger.warning("a gap could not be looked for: %s", type(error).__name__)
                return [replace(missed, count=None)]
            if self._ending.is_set():
                return [replace(missed, count=None)]
            await self._wait(RETRY)

    async def _wait(self, seconds: float) -> None:
        raise_if_cancelled()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()


def _follows(missed: Missed, last: Missed) -> bool:
    """Tell whether two gaps can be taken for one that is behind neither's begin and end."""
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
    numbers = (int(own) for own in found if own.removeprefix("-").isdecimal())
    runs = holes(first, last, numbers)
    if len(runs) > MOST_RUNS:
        return [replace(missed, count=sum(end - start + 1 for start, end in runs))]
    return list(missed.split(runs))


async def ids_since(log: Log, channel: str, begin: int) -> list[str] | None:
    """Return the ids of a channel's records from a sequence on; None where they are too many.

    Raises:
        LogError: the log did not answer.
    """
    import nats.errors

    try:
        return await _ids(log, channel, begin)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise LogError(f"the log did not show its ids: {type(error).__name__}") from None


async def _ids(log: Log, channel: str, begin: int) -> list[str] | None:
    """Read headers alone."""
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

    name = subject(log.stream, "in", channel)
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
        return None if pending > MOST else await _read(pull, pending)
    finally:
        await pull.unsubscribe()
        await log.js.delete_consumer(log.stream, made.name)


async def _read(pull: JetStreamContext.PullSubscription, pending: int) -> list[str]:
    found: list[str] = []
    while len(found) < pending:
        messages = await pull.fetch(min(pending - len(found), BATCH), timeout=5.0)
        found.extend(id_of((message.headers or {}).get(MESSAGE_ID, "")) for message in messages)
    return found
