"""Quix Streams over `Reader`: `quix_flow.py ingest` once, `quix_flow.py` as often as you like."""

import json
import os
import sys
from typing import Any

from quixstreams import Application, State
from quixstreams.sources import StatefulSource

from heimdall_reactive.dataflow import Feed, Missed, Reader


class Ticks(StatefulSource):
    def run(self) -> None:
        readers = [self.reader(name) for name in ("c0", "c1", "c2", "c3")]
        while self.running:
            for reader in readers:
                for event in reader.poll(500, timeout=0.05).events:
                    if isinstance(event, Missed):  # the state is older, and the server has it all
                        raise RuntimeError(f"restart from the state: {event}")
                    tick = {**json.loads(event.data), "channel": event.channel}
                    self.produce(key=tick["symbol"], value=json.dumps(tick))
                self.state.set(reader.feed.channel, reader.offset)
            self.flush()  # waits until Kafka has the ticks, and only then keeps the offsets

    def reader(self, name: str) -> Reader:
        url = f"{os.environ['TICKS']}/ticks/{name}"  # it replays: go on behind the last we had
        feed = Feed(endpoint=url, channel=name, resume=lambda at: f"?from={at + 1}")
        return Reader(feed, self.state.get(name, 0), loop="thread")


def add(tick: dict[str, Any], state: State) -> list[str]:
    if tick["seq"] <= state.get(tick["channel"], 0):  # a killed ingest writes some again;
        return []  # enough while *one* ingest writes
    state.set(tick["channel"], tick["seq"])
    count, total = state.get("sums", (0, 0))
    state.set("sums", (count + 1, total + tick["value"]))
    return [f"{tick['symbol']} {count + 1} {total + tick['value']}"]


broker, quick = os.environ["KAFKA"], {"session.timeout.ms": 6000}
app = Application(broker, auto_offset_reset="earliest", consumer_extra_config=quick)
topic = app.topic("ticks", value_deserializer="json")
if sys.argv[1:] == ["ingest"]:
    app.add_source(Ticks("ingest"), topic)
else:
    app.dataframe(topic).apply(add, stateful=True, expand=True).update(print)
if __name__ == "__main__":  # the source is a process of its own
    app.run()
