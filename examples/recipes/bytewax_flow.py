"""Bytewax over `Reader`: count and sum of ticks by symbol; `docs/dataflow/recipes.md` runs it."""

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
from bytewax.connectors.files import FileSink
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from heimdall_reactive.dataflow import Feed, Missed, Reader


class Channel(StatefulSourcePartition):
    def __init__(self, name: str, offset: int | None) -> None:
        url = f"{os.environ['TICKS']}/ticks/{name}"  # it replays: go on behind the last we had
        feed = Feed(endpoint=url, channel=name, resume=lambda at: f"?from={at + 1}")
        self.reader = Reader(feed, offset or 0, loop="thread")

    def next_batch(self) -> list[dict[str, Any]]:
        for event in (batch := self.reader.poll(500)).events:
            if isinstance(event, Missed):  # the snapshot is older, and the server has it all
                raise RuntimeError(f"restart from the snapshot: {event}")
        return [json.loads(item.data) for item in batch.items]

    def next_awake(self) -> datetime:
        return datetime.now(UTC) + timedelta(milliseconds=5)

    def snapshot(self) -> int | None:
        return self.reader.offset  # of what was handed out; kept together with the sums


class Ticks(FixedPartitionedSource):
    def list_parts(self) -> list[str]:
        return ["c0", "c1", "c2", "c3"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Channel:
        return Channel(for_part, resume_state)


def add(old: tuple[int, int] | None, tick: dict[str, Any]) -> tuple[tuple[int, int], str]:
    new = count, total = (old or (0, 0))[0] + 1, (old or (0, 0))[1] + tick["value"]
    return new, f"{tick['symbol']} {count} {total}"


ticks = op.input("read", flow := Dataflow("ticks"), Ticks())
sums = op.stateful_map("add", op.key_on("by symbol", ticks, lambda tick: tick["symbol"]), add)
op.output("write", sums, FileSink(os.environ["OUT"]))
