"""The readers over a real log, without Spark: ranges, offsets, and records that are gone."""

from __future__ import annotations

import asyncio
import json
import pickle
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="pip install 'heimdall-reactive[spark]'")

from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadMaxRows

from heimdall_reactive import ConfigurationError
from heimdall_reactive.dataflow import connect_log
from heimdall_reactive.dataflow.log_client import LogError, StreamSettings
from heimdall_reactive.dataflow.records import Record
from heimdall_reactive.dataflow.spark import DataLost, HeimdallDataSource, LogUnavailable
from heimdall_reactive.dataflow.spark.source import StreamReader

from .nats_server import NatsServer

TICK = "tests.dataflow.spark_models:Tick"


def fill(url: str, stream: str, count: int, first: int = 0, channels: int = 4) -> None:
    async def write() -> None:
        async with await connect_log(url, stream) as log:
            for index in range(first, first + count):
                data = json.dumps({"key": f"k{index % 8}", "value": index}).encode()
                await log.publish(Record(f"c{index % channels}", data, id=str(index)))

    asyncio.run(write())


def source(server: NatsServer, stream: str, **options: Any) -> HeimdallDataSource:
    given = {"servers": server.url, "stream": stream, "model": TICK, "timeout": "5", **options}
    return HeimdallDataSource({name: str(value) for name, value in given.items()})


class Job:
    """What Spark does with a streaming reader, one batch after the other."""

    def __init__(self, made: HeimdallDataSource) -> None:
        reader = made.streamReader(made.schema())
        assert isinstance(reader, StreamReader)
        self.reader = reader

    def batch(self, start: dict[str, Any], limit: Any = None) -> tuple[list[int], dict[str, Any]]:
        end = self.reader.latestOffset(start, limit or self.reader.getDefaultReadLimit())
        return self.values(start, end), end

    def whole(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return where a batch of all that there is begins and ends."""
        start = self.reader.initialOffset()
        return start, self.reader.latestOffset(start, ReadAllAvailable())

    def values(self, start: dict[str, Any], end: dict[str, Any]) -> list[int]:
        there: StreamReader = pickle.loads(pickle.dumps(self.reader))  # as an executor gets it
        return [
            row["value"]
            for part in self.reader.partitions(start, end)
            for batch in there.read(part)
            for row in batch.to_pylist()
        ]


@pytest.fixture
def jobs() -> Iterator[Any]:
    made: list[Job] = []

    def make(*args: Any, **options: Any) -> Job:
        made.append(Job(source(*args, **options)))
        return made[-1]

    yield make
    for job in made:
        job.reader.stop()


@pytest.mark.parametrize("by", ["channel", "sequence"])
@pytest.mark.parametrize("window", [1, 7, 1000])
def test_a_range_is_read_whole_and_once(
    log_server: NatsServer, stream: str, jobs: Any, by: str, window: int
) -> None:
    fill(log_server.url, stream, 100)
    job = jobs(log_server, stream, startingOffsets="earliest", partitionBy=by,
               partitions=3, window=window, maxRecordsPerBatch=30)  # fmt: skip
    start = job.reader.initialOffset()
    found: list[list[int]] = []
    while not found or found[-1]:
        values, start = job.batch(start)
        found.append(sorted(values))
    assert [len(values) for values in found] == [30, 30, 30, 10, 0]
    assert [value for values in found for value in values] == list(range(100))
    assert start["seq"] == 101


def test_one_channel_is_in_order_and_others_are_left_out(
    log_server: NatsServer, stream: str, jobs: Any
) -> None:
    fill(log_server.url, stream, 40)
    job = jobs(log_server, stream, startingOffsets="earliest", channels="c1, c3", partitions=1)
    values, _ = job.batch(job.reader.initialOffset())
    assert values == [*range(1, 40, 4), *range(3, 40, 4)]


def test_a_job_starts_where_it_is_told(log_server: NatsServer, stream: str, jobs: Any) -> None:
    fill(log_server.url, stream, 5)
    between = datetime.now(UTC)
    fill(log_server.url, stream, 5, first=5)
    later = (between + timedelta(hours=1)).isoformat()
    for text, sequence in (
        ("earliest", 1), ("latest", 11), ("4", 4), (between.isoformat(), 6), (later, 11),
    ):  # fmt: skip
        start = jobs(log_server, stream, startingOffsets=text).reader.initialOffset()
        assert start["seq"] == sequence, text
    with pytest.raises(ConfigurationError, match="earliest, latest, a sequence or"):
        jobs(log_server, stream, startingOffsets="soon").reader.initialOffset()


def test_a_bound_holds_but_all_available_is_all(
    log_server: NatsServer, stream: str, jobs: Any
) -> None:
    fill(log_server.url, stream, 20)
    job = jobs(log_server, stream, startingOffsets="earliest", maxRecordsPerBatch=6)
    start = job.reader.initialOffset()
    assert job.reader.getDefaultReadLimit() == ReadMaxRows(6)
    assert job.reader.latestOffset(start, ReadMaxRows(6))["seq"] == 7
    assert job.reader.latestOffset(start, ReadAllAvailable())["seq"] == 21
    job.reader.prepareForTriggerAvailableNow()
    fill(log_server.url, stream, 5, first=20)
    assert job.reader.latestOffset(start, ReadAllAvailable())["seq"] == 21
    assert job.reader.reportLatestOffset()["seq"] == 26


def test_a_batch_job_reads_between_two_offsets(log_server: NatsServer, stream: str) -> None:
    fill(log_server.url, stream, 20)
    made = source(log_server, stream, startingOffsets=5, endingOffsets=9)
    reader: Any = made.reader(made.schema())
    parts = list(reader.partitions())
    values = [
        row["value"] for part in parts for batch in reader.read(part) for row in batch.to_pylist()
    ]
    assert sorted(values) == [4, 5, 6, 7]


def test_records_that_the_log_has_dropped_end_the_job(
    log_server: NatsServer, stream: str, jobs: Any
) -> None:
    fill(log_server.url, stream, 20)
    job = jobs(log_server, stream, startingOffsets="earliest")
    start, end = job.whole()
    asyncio.run(_purge(log_server.url, stream, keep_from=11))
    with pytest.raises(DataLost, match=r"dropped the sequences 1 to 10 .*failOnDataLoss=false"):
        job.batch(start)
    with pytest.raises(DataLost, match="dropped"):
        job.values(start, end)
    lax = jobs(log_server, stream, failOnDataLoss="false", partitions=1)
    assert sorted(lax.batch(start)[0]) == list(range(10, 20))


def test_another_stream_of_the_same_name_ends_the_job(
    log_server: NatsServer, stream: str, jobs: Any
) -> None:
    fill(log_server.url, stream, 20)
    job = jobs(log_server, stream, startingOffsets="latest")
    start = job.reader.initialOffset()
    asyncio.run(_delete(log_server.url, stream))
    fill(log_server.url, stream, 30)
    with pytest.raises(DataLost, match="deleted and made again"):
        job.batch(start)
    lax = jobs(log_server, stream, failOnDataLoss="false")
    assert sorted(lax.batch(start)[0]) == list(range(30))


def test_a_read_goes_on_where_the_server_was_killed(
    mortal_server: NatsServer, stream: str, jobs: Any
) -> None:
    fill(mortal_server.url, stream, 60, channels=1)
    job = jobs(mortal_server, stream, startingOffsets="earliest", window=10, timeout=20)
    start, end = job.whole()
    (part,) = job.reader.partitions(start, end)
    batches = job.reader.read(part)
    rows = next(batches).to_pylist()
    mortal_server.restart()
    for batch in batches:
        rows += batch.to_pylist()
    assert [row["value"] for row in rows] == list(range(60))


def test_a_log_that_is_away_is_named(mortal_server: NatsServer, stream: str, jobs: Any) -> None:
    fill(mortal_server.url, stream, 2)
    job = jobs(mortal_server, stream, timeout=0.5)
    start = job.reader.initialOffset()
    job.reader.prepareForTriggerAvailableNow()
    mortal_server.kill()
    with pytest.raises(LogUnavailable, match=r"did not answer in 0\.5 s"):
        job.batch(start)


def test_a_job_waits_for_a_log_that_is_away_for_longer_than_the_timeout(
    mortal_server: NatsServer, stream: str, jobs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fill(mortal_server.url, stream, 2)
    job = jobs(mortal_server, stream, timeout=0.5)
    start = job.reader.initialOffset()
    mortal_server.kill()
    for _ in range(2):
        assert job.reader.latestOffset(start, ReadAllAvailable()) == start
        assert job.reader.reportLatestOffset() is None
    assert "did not answer in 0.5 s" in caplog.text
    mortal_server.start()
    fill(mortal_server.url, stream, 2, first=2)
    values: list[int] = []
    while not values:
        values, start = job.batch(start)
    assert sorted(values) == [2, 3]


def test_what_spark_shows_of_an_error_begins_with_the_reason(
    log_server: NatsServer, stream: str, jobs: Any
) -> None:
    fill(log_server.url, stream, 20)
    job = jobs(log_server, stream, startingOffsets="earliest")
    start, end = job.whole()
    parts = job.reader.partitions(start, end)
    asyncio.run(_purge(log_server.url, stream, keep_from=11))
    for call in (lambda: job.batch(start), lambda: list(job.reader.read(parts[0]))):
        with pytest.raises(DataLost) as caught:
            call()
        shown = "".join(traceback.format_exception(caught.value))  # as Spark's worker makes it
        assert shown.startswith("heimdall_reactive.dataflow.spark.exceptions.DataLost: the stream")


def test_a_stream_that_does_not_exist_is_named(log_server: NatsServer, jobs: Any) -> None:
    with pytest.raises(LogError, match="nothing_here"):
        jobs(log_server, "nothing_here").reader.initialOffset()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"stream": "a b"}, "name of a stream"),
        ({"maxRecordPerBatch": 5}, "unknown options: maxrecordperbatch"),
        ({"maxRecordsPerBatch": "many"}, "a whole number"),
        ({"timeout": "-1"}, "seconds above 0"),
        ({"partitionBy": "luck"}, "one of auto, channel, sequence"),
        ({"accessToken": "hush"}, "accessTokenEnv"),
        ({"servers": "nats://user:hush@host"}, "credentialsFile"),
    ],
)
def test_options_that_can_not_work_are_refused(options: dict[str, Any], text: str) -> None:
    made = HeimdallDataSource({"stream": "s", **{name: str(v) for name, v in options.items()}})
    with pytest.raises(ConfigurationError, match=text) as caught:
        made.schema()
    assert "hush" not in str(caught.value)


async def _purge(url: str, stream: str, keep_from: int) -> None:
    async with await connect_log(url, stream) as log:
        await log.js.purge_stream(stream, seq=keep_from)


async def _delete(url: str, stream: str) -> None:
    async with await connect_log(url, stream, settings=StreamSettings()) as log:
        await log.js.delete_stream(stream)
