"""What a stream holds after a test: what is missing, what is there twice, what is out of order."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

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
    info = await log.js.stream_info(log.stream)
    left = info.state.messages
    pull = await log.js.pull_subscribe(f"{log.stream}.>", stream=log.stream)
    found: list[Record] = []
    while len(found) < left:
        for message in await pull.fetch(min(1000, left - len(found)), timeout=5):
            found.append(read_record(
                message.subject, message.data, message.headers, message.metadata.sequence.stream
            ))  # fmt: skip
            await message.ack()
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
