"""What the log already has: of a gap, before it is written down, and before a reader begins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .gaps import Missed, holes
from .log_client import Log, LogError
from .records import MESSAGE_ID, id_of, subject

if TYPE_CHECKING:
    from nats.js.client import JetStreamContext

__all__ = ["audit", "ids_since"]

MOST: Final = 500_000  # records that are looked through; nats-server 2.9 gave 26,000 a second here
BATCH: Final = 1_000
MOST_RUNS: Final = 100  # gaps that one look may find; more of them are told as one


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
