"""What a stream holds after a test: what is missing, what is there twice, what is out of order."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from nats.js.api import AckPolicy, ConsumerConfig

from heimdall_reactive.dataflow import Log, Record, read_record
from heimdall_reactive.dataflow.gaps import Missed, holes

__all__ = ["Found", "look", "records"]


@dataclass
class Found:
    """The numbers of one channel, in the order of the log."""

    numbers: list[int] = field(default_factory=list)

    @property
    def missing(self) -> int:
        first, last = min(self.numbers), max(self.numbers)
        return sum(b - a + 1 for a, b in holes(first, last, self.numbers))

    @property
    def repeats(self) -> int:
        return len(self.numbers) - len(set(self.numbers))

    @property
    def disorder(self) -> int:
        """How many come after a higher one."""
        highest, found = 0, 0
        for number in self.numbers:
            found += number < highest
            highest = max(highest, number)
        return found


async def records(log: Log) -> list[Record]:
    """Return everything in the stream, in order."""
    config = ConsumerConfig(ack_policy=AckPolicy.NONE, mem_storage=True)
    made = await log.js.add_consumer(log.stream, config, inactive_threshold=30.0)
    pull = await log.js.pull_subscribe_bind(stream=log.stream, consumer=made.name)
    left = made.num_pending or 0
    found: list[Record] = []
    while len(found) < left:
        messages = await pull.fetch(min(1000, left - len(found)), timeout=5)
        found.extend(
            read_record(one.subject, one.data, one.headers, one.metadata.sequence.stream)
            for one in messages
        )
    await pull.unsubscribe()
    return found


async def look(log: Log) -> tuple[dict[str, Found], list[Missed]]:
    """Return the numbers of each channel, and the gaps that were written down."""
    found: defaultdict[str, Found] = defaultdict(Found)
    gaps: list[Missed] = []
    for record in await records(log):
        if record.kind == "in":
            found[record.channel].numbers.append(record.json()["seq"])
        elif record.kind == "gap":
            gaps.append(Missed.of(record))
    return dict(found), gaps
