"""Audit: before a gap is written down, the log is asked what another copy brought meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .gaps import Missed, holes
from .log_client import Log, LogError
from .records import MESSAGE_ID, id_of, subject

if TYPE_CHECKING:
    from nats.js.client import JetStreamContext

__all__ = ["audit"]

MOST: Final = 200_000  # records that are looked through for one gap
BATCH: Final = 1_000


async def audit(log: Log, missed: Missed, begin: int) -> list[Missed]:
    """Return what of a gap between two numbers is in the log from no copy.

    Args:
        log: where it is looked for.
        missed: with `after` and `before`, both whole numbers.
        begin: sequence in the log from which on the missing could be.

    Raises:
        LogError: the log did not answer.
    """
    import nats.errors

    first, last = int(missed.after) + 1, int(missed.before) - 1
    try:
        found = await _numbers(log, missed.channel, begin, last)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise LogError(f"the log did not show its ids: {type(error).__name__}") from None
    return list(missed.split(holes(first, last, found)))


async def _numbers(log: Log, channel: str, begin: int, last: int) -> set[int]:
    """Read the ids of a channel's records, without their data."""
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
    try:
        return await _read(pull, made.num_pending or 0)
    finally:
        await pull.unsubscribe()
        await log.js.delete_consumer(log.stream, made.name)


async def _read(pull: JetStreamContext.PullSubscription, pending: int) -> set[int]:
    found: set[int] = set()
    left = min(pending, MOST)
    while left > 0:
        messages = await pull.fetch(min(left, BATCH), timeout=5.0)
        left -= len(messages)
        for message in messages:
            own = id_of((message.headers or {}).get(MESSAGE_ID, ""))
            if own.removeprefix("-").isdecimal():
                found.add(int(own))
    return found
