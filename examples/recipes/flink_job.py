"""PyFlink over `Reader`: count and sum of ticks by symbol; `docs/dataflow/recipes.md` runs it."""

import json
import os
from typing import Any

from pyflink.common import Encoder, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import FileSink, RollingPolicy
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.table import StreamTableEnvironment

from heimdall_reactive.dataflow import Feed, Missed, Reader


class Read(KeyedProcessFunction):  # no sources in Python: a ticker, whose key is a channel
    def open(self, ctx: RuntimeContext) -> None:
        self.offset = ctx.get_state(ValueStateDescriptor("offset", Types.LONG()))
        self.readers: dict[str, Reader] = {}

    def process_element(self, value: Any, ctx: Any) -> Any:
        if (name := ctx.get_current_key()) not in self.readers:
            url = f"{os.environ['TICKS']}/ticks/{name}"  # it replays: go on behind the last
            feed = Feed(endpoint=url, resume=lambda at: f"?from={at + 1}")
            self.readers[name] = Reader(feed, self.offset.value() or 0, loop="thread")
        for event in (batch := self.readers[name].poll(500)).events:
            if isinstance(event, Missed):  # the checkpoint is older, and the server has it all
                raise RuntimeError(f"restart from the checkpoint: {event}")
            yield json.loads(event.data)
        self.offset.update(batch.offset)  # in the same checkpoint as what was yielded


class Add(KeyedProcessFunction):  # not reduce(): it forgets its state in a restart
    def open(self, ctx: RuntimeContext) -> None:
        self.sums = ctx.get_state(ValueStateDescriptor("sums", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: Any, ctx: Any) -> Any:
        count, total = self.sums.value() or (0, 0)
        self.sums.update((count + 1, total + value["value"]))
        yield f"{value['symbol']} {count + 1} {total + value['value']}"


env = StreamExecutionEnvironment.get_execution_environment()
tables = StreamTableEnvironment.create(env)
tables.execute_sql("CREATE TABLE t (n INT) WITH ('connector'='datagen', 'rows-per-second'='80')")
ticks = tables.to_data_stream(tables.from_path("t")).key_by(lambda row: f"c{row[0] % 4}")
sums = ticks.process(Read()).key_by(lambda tick: tick["symbol"]).process(Add(), Types.STRING())
sink = FileSink.for_row_format(os.environ["OUT"], Encoder.simple_string_encoder())
sums.sink_to(sink.with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy()).build())
env.execute("ticks")
