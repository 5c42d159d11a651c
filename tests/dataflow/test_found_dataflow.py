"""Defects that were found in the dataflow once; each stays shown to be gone."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import threading
import time
from collections import Counter
from concurrent.futures import Future
from typing import Any

import pytest

from heimdall_reactive import ConfigurationError
from heimdall_reactive.dataflow import (
    Feed,
    Ingest,
    LogError,
    Missed,
    NoMessageId,
    Reader,
    Record,
    Sending,
    connect_log,
    use_log,
)
from heimdall_reactive.dataflow.feeds import Taken
from heimdall_reactive.dataflow.gap_tracker import GapTracker
from heimdall_reactive.dataflow.records import read_record
from tests.support import record, run

from .feed_server import FeedServer
from .kills import until
from .nats_server import NatsServer
from .stream_check import look

pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")

QUICK = {"reconnect_delay": 0.02, "close_timeout": 0.3}


def feed(server: FeedServer, channel: str = "c", kind: str = "live", **fields: Any) -> Feed:
    return Feed(endpoint=f"{server.url}/{kind}/{channel}", channel=channel, options=QUICK, **fields)


def ingest(nats: NatsServer, stream: str, *feeds: Feed, **options: Any) -> Ingest:
    return Ingest(nats.url, stream, feeds, **{"settle": 0.1, **options})


async def test_an_ingest_that_ends_at_once_ends_at_once(
    log_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server:
        begun = time.monotonic()
        async with ingest(log_server, stream, feed(server)):
            pass
        assert time.monotonic() - begun < 3


def test_an_end_that_is_cancelled_leaves_nothing(log_server: NatsServer, stream: str) -> None:
    async def main() -> None:
        async with FeedServer() as server:
            one = ingest(log_server, stream, feed(server), replicas=1, handover=30, drain=60)
            other = ingest(log_server, stream, feed(server), replicas=1)
            await one.start()
            await until(lambda: server.clients("c") == 1)
            async with other:
                await until(lambda: one._leases is not None and len(one._leases.copies) == 2)
                ending = asyncio.create_task(one.aclose())
                await asyncio.sleep(0.3)
                ending.cancel()
                await asyncio.gather(ending, return_exceptions=True)
                assert server.clients("c") <= 1

    run(main, timeout=30)


async def test_records_of_another_program_do_not_stall_a_reader(
    log_server: NatsServer, stream: str
) -> None:
    async with (
        await connect_log(log_server.url, stream) as log,
        use_log(stream, "a", servers=log_server.url, start="first", immediate=False,
                message_type=int) as store,
    ):  # fmt: skip
        for _ in range(512):
            await log.js.publish(f"{stream}.other.a", b"x")
        await log.publish(Record("a", b"1", "1"))
        seen = record(store.messages)
        store.connect()
        await until(lambda: seen == [1])


async def test_a_rule_that_raises_ends_the_ingest(log_server: NatsServer, stream: str) -> None:
    async with FeedServer() as server:
        one = feed(server, id=lambda message: message["nothing"])
        async with ingest(log_server, stream, one, feed(server, "d")) as running:
            await until(lambda: server.clients("c") == 1)
            server.tell("c")
            with pytest.raises(KeyError):
                async with asyncio.timeout(5):
                    await running.run()


async def test_a_long_channel_and_a_large_message_do_not_stop_the_log(
    log_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server:
        rest = 2**20 - 2000
        one = feed(server, channels=["ö*"])
        async with ingest(log_server, stream, one) as running:
            await until(lambda: server.clients("c") == 1)
            text = json.dumps({"seq": 1, "pad": "x" * rest})
            payload = {"type": "Message", "channel": "ö" + "🙂" * 199, "data": text}
            server.say("c", json.dumps(payload, ensure_ascii=False))
            server.say("c", json.dumps({"seq": 2}))
            await until(lambda: running.stats.written >= 1)
            assert running.stats.refused == 1
            assert running.stats.publisher.connections == 1


async def test_a_restart_finds_the_channels_that_a_pattern_named(
    log_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        one = feed(server, kind="log", channels=["p:*"], id="seq", resume=lambda at: f"?from={at}")
        await log.publish(Record("p:x", b'{"seq": 7}', "7"))
        async with ingest(log_server, stream, one):
            await until(lambda: server.clients("c") == 1)
        assert server.paths == ["/log/c?from=7"]


def test_ids_that_are_left_out_all_the_time_are_looked_for_together(
    log_server: NatsServer, stream: str
) -> None:
    async def main() -> None:
        async with (
            FeedServer() as server,
            ingest(log_server, stream, feed(server, consecutive=True), settle=0.3) as one,
        ):
            await until(lambda: server.clients("c") == 1)
            most = 0
            for number in range(1, 1001, 2):
                server.say("c", json.dumps({"seq": number}))
                await asyncio.sleep(0)
                most = max(
                    most,
                    len([t for t in asyncio.all_tasks() if t.get_name() == "heimdall-audit"]),
                )
            await until(lambda: one.stats.missed == 499, 20)
            assert most < 10

    run(main, timeout=40)


async def test_a_stream_made_anew_that_has_grown_is_read_from_its_beginning(
    log_server: NatsServer, stream: str
) -> None:
    async with await connect_log(log_server.url, stream) as log:
        await log.publish(Record("a", b"1", "1"))
        async with use_log(
            stream, "a", servers=log_server.url, start="first", message_type=int,
            reconnect_delay=1.0, max_reconnect_attempts=None,
        ) as store:  # fmt: skip
            seen, errors = record(store.messages), record(store.errors)
            await until(lambda: seen == [1])
            await log.js.delete_stream(stream)
            again = await connect_log(log_server.url, stream)
            async with again:
                for number in (2, 3, 4):
                    await again.publish(Record("a", str(number).encode(), str(number)))
                await until(lambda: seen == [1, 2, 3, 4])
            assert any("recreated" in str(error) for error in errors)


async def test_what_can_never_be_sent_does_not_stop_what_follows(
    log_server: NatsServer, stream: str
) -> None:
    def encode(record: Record) -> Any:
        return object() if record.data == b"1" else record.json()

    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        one = feed(server, sending=Sending(encode=encode))
        for number in (1, 2):
            await log.publish(Record("c", str(number).encode(), str(number), "out"))
        async with ingest(log_server, stream, one):
            await until(lambda: server.received == [2])


@pytest.mark.parametrize("url", ["nats://localhost:secret", "nats://u:secret", "bad://x:y:z"])
async def test_a_server_that_is_no_url_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(LogError) as caught:
        await connect_log(url, "s")
    assert "secret" not in str(caught.value)


def test_a_time_that_is_none_is_none() -> None:
    for text in ("nan", "inf", "-1e400", "1e300"):
        assert read_record("s.in.c", b"", {"Heimdall-Received": text}).received == 0.0


def stopped(server: NatsServer) -> None:
    assert server._process is not None
    os.kill(server._process.pid, signal.SIGSTOP)


def test_a_store_over_a_log_that_hangs_closes_in_its_time(
    mortal_server: NatsServer, stream: str
) -> None:
    async def main() -> None:
        async with await connect_log(mortal_server.url, stream) as log:
            await log.publish(Record("a", b"1", "1"))
            store = use_log(
                stream, "a", servers=mortal_server.url, start="first", close_timeout=0.5
            )
            await store.wait_connected(5)
            stopped(mortal_server)
            begun = time.monotonic()
            await store.aclose()
            took = time.monotonic() - begun
            print("use_log", took)
            begun = time.monotonic()
        print("log", time.monotonic() - begun)
        assert took < 2

    run(main, timeout=30)


def test_an_ingest_over_a_log_that_hangs_closes_in_its_time(
    mortal_server: NatsServer, stream: str
) -> None:
    async def main() -> None:
        async with FeedServer() as server:
            one = ingest(
                mortal_server, stream, feed(server, sending=Sending()), drain=1, replicas=2
            )
            await one.start()
            await until(lambda: server.clients("c") == 1)
            server.tell("c", 10)
            await until(lambda: one.stats.written == 10)
            stopped(mortal_server)
            server.tell("c", 10)
            await asyncio.sleep(0.2)
            begun = time.monotonic()
            await one.aclose()
            took = time.monotonic() - begun
            print("ingest", took)
            assert took < 10

    run(main, timeout=60)


class FeedThread:
    """A feed server with so many messages, on a thread of its own."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._ended = asyncio.Event()
        self._url: Future[str] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with FeedServer() as server:
            server.tell("c", self._count)
            self._url.set_result(server.url)
            await self._ended.wait()

    def __enter__(self) -> str:
        self._thread.start()
        return self._url.result(10)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()


@pytest.fixture
def short_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heimdall_reactive.consuming.holding.HOLD_LIMIT", 0.05)


@pytest.mark.usefixtures("short_hold")
@pytest.mark.parametrize("first", [0, None])
def test_a_slow_reader_loses_nothing_that_the_server_can_replay(first: int | None) -> None:
    async def main() -> None:
        async with FeedServer() as server:
            server.padding = "x" * 500
            server.tell("c", 20_000)
            one = feed(
                server, kind="log", consecutive=True, resume=lambda at: f"?from={at}", rewind=2
            )
            async with Reader(one, first, limit=100) as reader:
                seen: list[int] = []
                for pause in (0.6, 0.6, 0.0):
                    while not (batch := await reader.batch(1, timeout=30)).events:
                        pass
                    assert batch.offset == int(batch.items[-1].id)
                    seen += [int(item.id) for item in batch.items]
                    await asyncio.sleep(pause)
                while seen[-1] < 20_000:
                    batch = await reader.batch(5000, timeout=30)
                    assert len(batch.events) == len(batch.items)
                    seen += [int(item.id) for item in batch.items]
                assert seen == [*range(1, 20_001)]
                assert reader.stats.again >= 1
                assert reader.stats.dropped == 0
                assert reader.stats.gaps == 0

    run(main, timeout=150)


@pytest.mark.usefixtures("short_hold")
def test_a_slow_poll_loses_nothing_that_the_server_can_replay() -> None:
    with FeedThread(3000) as url:
        one = Feed(
            endpoint=f"{url}/log/c", channel="c", options=QUICK, consecutive=True,
            resume=lambda at: f"?from={at}",
        )  # fmt: skip
        seen: list[int] = []
        with Reader(one, 0, limit=50, loop="thread") as reader:
            while not seen or seen[-1] < 3000:
                seen += [int(item.id) for item in reader.poll(40, timeout=1).items]
                if len(seen) < 200:
                    time.sleep(0.3)  # on a quick machine it has to go back by then
        assert seen == [*range(1, 3001)]


async def test_poll_and_close_inside_a_loop_say_what_to_await() -> None:
    async with FeedServer() as server, Reader(feed(server)) as reader:
        with pytest.raises(RuntimeError, match="await batch"):
            reader.poll()
        with pytest.raises(RuntimeError, match="await aclose"):
            reader.close()


async def test_what_came_before_a_message_without_an_id_is_handed_out_first() -> None:
    async with FeedServer() as server, Reader(feed(server)) as reader:
        await until(lambda: server.clients("c") == 1)
        server.tell("c", 3)
        server.say("c", "{}")
        server.tell("c", 1)
        await until(lambda: reader.store.stats.received == 5)
        batch = await reader.batch()
        assert [item.id for item in batch.items] == ["1", "2", "3"]
        assert batch.offset == 3
        with pytest.raises(NoMessageId):
            await reader.batch()
        assert [item.id for item in (await reader.batch()).items] == ["4"]


async def test_what_a_rewind_repeats_can_be_kept_with_the_offset() -> None:
    async with FeedServer() as server:
        server.tell("c", 50)
        one = feed(server, kind="log", resume=lambda at: f"?from={at}", rewind=10)
        kept: Any = None
        for begin, end in ((0, 50), (50, 55), (55, 60)):
            offset, seen = pickle.loads(kept) if kept else (0, ())
            async with Reader(one, offset, seen=seen) as reader:
                found: list[int] = []
                while len(found) < end - begin:
                    found += [int(item.id) for item in (await reader.batch()).items]
                assert found == [*range(begin + 1, end + 1)]
                assert len(reader.seen) <= 21
                kept = pickle.dumps((reader.offset, reader.seen))
            server.tell("c", 5)
        assert server.paths == ["/log/c?from=0", "/log/c?from=40", "/log/c?from=45"]


async def test_what_waits_is_polled_without_waiting() -> None:
    async with FeedServer() as server, Reader(feed(server)) as reader:
        await until(lambda: server.clients("c") == 1)
        server.tell("c", 3)
        await until(lambda: reader.store.stats.received == 3)
        await asyncio.sleep(0.02)  # longer than a stream goes without a turn of the loop
        assert len((await reader.batch(timeout=0)).items) == 3


@pytest.mark.parametrize("own", ["a\r\nX-Own: 1", "a\nX-Own: 1", "ü", "x" * 5000])
async def test_an_id_is_no_header_of_its_own(log_server: NatsServer, stream: str, own: str) -> None:
    async with await connect_log(log_server.url, stream) as log:
        acks = [await log.publish(Record("c", b"1", own)) for _ in range(2)]
        assert acks[1].duplicate
        last = await log.last("c")
        assert last is not None
        assert (last.data, dict(last.headers)) == (b"1", {})
        assert last.id.startswith("sha256:")


def test_a_name_of_half_a_character_costs_no_batch() -> None:
    pytest.importorskip("pyspark", reason="pip install 'heimdall-reactive[spark]'")
    rows = pytest.importorskip("heimdall_reactive.dataflow.spark.rows")
    made = rows.Rows(rows.schema_of("json"), "json", "PERMISSIVE", False)
    (row,) = made.batch([Record("p:\ud800", b"{}", "1")]).to_pylist()
    assert (row["_channel"], row["value"], row["_error"]) == ("p:?", "{}", None)


def test_a_counter_is_json() -> None:
    pytest.importorskip("pyspark", reason="pip install 'heimdall-reactive[spark]'")
    columns = pytest.importorskip("heimdall_reactive.dataflow.spark.columns")
    assert columns.column_of(Counter[str]).type.simpleString() == "string"


def test_a_sink_shows_no_password() -> None:
    pytest.importorskip("pyspark", reason="pip install 'heimdall-reactive[spark]'")
    source = pytest.importorskip("heimdall_reactive.dataflow.spark")
    types = pytest.importorskip("pyspark.sql.types")
    options = {"endpoint": "wss://u:secret@host/x", "keyColumns": "k"}
    made = source.HeimdallDataSource(options)
    with pytest.raises(ConfigurationError, match="accessTokenEnv") as caught:
        made.streamWriter(types.StructType().add("k", "string"), False)
    assert "secret" not in str(caught.value)


def test_the_door_of_a_log_that_hangs_closes_in_its_time(
    mortal_server: NatsServer, stream: str
) -> None:
    pytest.importorskip("pyspark", reason="pip install 'heimdall-reactive[spark]'")
    door = pytest.importorskip("heimdall_reactive.dataflow.spark.sync_client")
    given = pytest.importorskip("heimdall_reactive.dataflow.spark.options")

    async def made() -> None:
        async with await connect_log(mortal_server.url, stream) as log:
            for number in range(2000):
                await log.js.publish(f"{stream}.in.c", b"x" * 1000, headers={"n": str(number)})

    asyncio.run(made())
    options = {"servers": mortal_server.url, "stream": stream, "timeout": "1", "window": "10"}
    one = door.SyncClient(given.LogOptions.of(given.SparkOptions(options, given.LogOptions.NAMES)))
    reading = one.read(f"{stream}.in.c", 1, 2001)
    next(reading)
    stopped(mortal_server)
    begun = time.monotonic()
    with pytest.raises(Exception, match="no record"):
        list(reading)
    one.close()
    assert time.monotonic() - begun < 6


async def test_a_gap_that_a_killed_copy_did_not_tell_is_told_by_the_next(
    log_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        for number in (1, 2, 5, 9, 10):
            record = Record("c", json.dumps({"seq": number}).encode(), str(number), received=7)
            await log.publish(record)
        told = Missed(
            channel="c", reason="skipped", since=1, until=2, after="5", before="9", count=3
        )
        await log.publish(told.record())
        told_of: list[int] = []
        for _ in range(2):
            one = feed(server, consecutive=True)
            async with ingest(log_server, stream, one) as running:
                await until(lambda: server.clients("c") == 1)
            await until(lambda: server.clients("c") == 0)
            told_of.append(running.stats.gaps)
        assert told_of[1] == 0
        found, gaps = await look(log)
        assert found["c"].numbers == [1, 2, 5, 9, 10]
        assert [(gap.after, gap.before, gap.count, gap.reason) for gap in gaps] == [
            ("5", "9", 3, "skipped"),
            ("2", "5", 2, "restart"),
        ]
        assert (gaps[1].since, gaps[1].until) == (7, 7)


def test_a_server_that_makes_up_channels_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heimdall_reactive.dataflow.gap_tracker.MOST", 10)
    tracks = GapTracker(Feed(endpoint="/x", channel="c", channels=["p:*"]), {}, "me")
    for number in range(100):
        tracks.next(Taken(f"p:{number}", "1", None, b"", True), 1.0)
    assert len(tracks._all) == 10
    assert {"c", "p:*", "p:99"} <= tracks._all.keys()


async def test_an_ack_that_raises_once_stops_nothing(log_server: NatsServer, stream: str) -> None:
    raised: list[str] = []

    def answered(record: Record, message: Any) -> bool:
        if not raised:
            raised.append(record.id)
            raise KeyError(record.id)
        return bool(json.loads(message) == {"ack": record.id})

    def own(message: Any) -> Any:
        return message.get("seq")

    async with (
        FeedServer(acks=True) as server,
        await connect_log(log_server.url, stream) as log,
    ):
        sending = Sending(encode=lambda record: {"id": record.id}, ack=answered)
        for number in (1, 2):
            await log.publish(Record("c", b"", str(number), "out"))
        async with ingest(log_server, stream, feed(server, id=own, sending=sending)) as running:
            await until(lambda: running.stats.sent == 2)
        assert server.received == [{"id": "1"}, {"id": "1"}, {"id": "2"}]


@pytest.mark.usefixtures("short_hold")
def test_a_reader_of_the_log_may_take_its_time(
    log_server: NatsServer, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heimdall_reactive.dataflow.log_connection.CONSUMER_LIFE", 0.5)
    monkeypatch.setattr("heimdall_reactive.dataflow.log_wire.BEAT", 0.2)

    async def main() -> None:
        async with await connect_log(log_server.url, stream) as log:
            for number in range(1000):
                await log.publish(Record("a", str(number).encode(), str(number)))
            async with use_log(
                stream, "a", servers=log_server.url, start="first", immediate=False,
                message_type=int, reconnect_delay=0.05,
            ) as store:  # fmt: skip
                reading = store.stream(maxsize=10, overflow="block")
                store.connect()
                seen = [await anext(reading)]
                await asyncio.sleep(1.5)  # three times as long as the log keeps the consumer
                async with asyncio.timeout(15):
                    while len(seen) < 1000:
                        seen.append(await anext(reading))
                assert seen == [*range(1000)]

    run(main)


async def test_a_consumer_that_somebody_deleted_is_made_again(
    log_server: NatsServer, stream: str
) -> None:
    async with (
        FeedServer() as server,
        await connect_log(log_server.url, stream) as log,
        ingest(log_server, stream, feed(server, sending=Sending())),
    ):
        await log.publish(Record("c", b"1", "1", "out"))
        await until(lambda: server.received == [1])
        for consumer in await log.js.consumers_info(stream):
            await log.js.delete_consumer(stream, consumer.name)
        await log.publish(Record("c", b"2", "2", "out"))
        await until(lambda: server.received[-1] == 2)
