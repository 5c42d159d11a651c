"""`Ingest`: feeds into a real log, by one copy and by several."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heimdall_reactive import ConfigurationError, HeimdallError
from heimdall_reactive.cli import main as command
from heimdall_reactive.cli.ingest import _named
from heimdall_reactive.dataflow import (
    Feed,
    Ingest,
    Log,
    LogError,
    NoMessageId,
    Record,
    Sending,
    StreamSettings,
    connect_log,
)
from tests.support import run

from .conftest import served
from .feed_server import FeedServer
from .kills import ROOT, until
from .nats_server import NatsServer
from .stream_check import look, records

QUICK = {"reconnect_delay": 0.02, "close_timeout": 0.3}


def feed(server: FeedServer, channel: str = "c", kind: str = "live", **fields: Any) -> Feed:
    fields = {"consecutive": True, **fields}
    return Feed(endpoint=f"{server.url}/{kind}/{channel}", channel=channel, options=QUICK, **fields)


def ingest(nats: NatsServer, stream: str, *feeds: Feed, **options: Any) -> Ingest:
    return Ingest(nats.url, stream, feeds, **{"settle": 0.1, **options})


async def stored(log: Log) -> int:
    return (await log.js.stream_info(log.stream)).state.messages


async def listening(server: FeedServer, count: int, *channels: str) -> None:
    await until(lambda: all(server.clients(one) == count for one in channels or ("c",)))


async def test_messages_are_kept_as_they_came_with_their_ids(
    log_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        one = feed(server, consecutive=False, id=lambda m: m if isinstance(m, str) else "b")
        async with ingest(log_server, stream, one, name="me") as running:
            await listening(server, 1)
            server.say("c", "plain")
            server.say("c", b"\x00\xff")
            await until(lambda: running.stats.written == 2)
        text, binary = await records(log)
        assert (text.channel, text.data, text.id, text.text) == ("c", b"plain", "plain", True)
        assert (binary.data, binary.id, binary.text) == (b"\x00\xff", "b", False)
        assert text.headers == {"Heimdall-Copy": "me"}
        assert text.received <= binary.received


async def test_redundant_copies_write_each_message_once(
    log_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        one = feed(server)
        async with ingest(log_server, stream, one) as a, ingest(log_server, stream, one) as b:
            await listening(server, 2)
            server.tell("c", 300)
            await until(lambda: a.stats.written == b.stats.written == 300)
            assert a.stats.duplicates + b.stats.duplicates == 300
            server.drop("c", 1)  # only one of them misses what comes now
            await listening(server, 1)
            server.tell("c", 50)
            await listening(server, 2)
            server.tell("c", 50)
            await until(lambda: a.stats.written + b.stats.written == 750)
        found, gaps = await look(log)
        assert found["c"].numbers == [*range(1, 401)]
        assert gaps == []


async def test_what_no_copy_had_is_a_gap_with_its_bounds_once(
    log_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        one = feed(server)
        async with ingest(log_server, stream, one) as a, ingest(log_server, stream, one) as b:
            await listening(server, 2)
            server.tell("c", 10)
            await until(lambda: a.stats.written == b.stats.written == 10)
            server.drop("c")
            await listening(server, 0)
            server.tell("c", 5)
            await listening(server, 2)
            server.tell("c", 10)
            await until(lambda: a.stats.gaps == b.stats.gaps == 1)
        found, gaps = await look(log)
        assert found["c"].missing == 5
        (gap,) = gaps
        assert (gap.after, gap.before, gap.count) == ("10", "16", 5)
        assert gap.reason == "reconnect"
        assert a.stats.missed == 5


async def test_a_restart_alone_leaves_a_gap_that_is_counted(
    log_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        for told in (10, 20):
            async with ingest(log_server, stream, feed(server)) as running:
                await listening(server, 1)
                server.tell("c", told)
                await until(lambda n=told: running.stats.written == n)  # type: ignore[misc]
            server.tell("c", 7)  # nobody is there
        found, (gap,) = await look(log)
        assert found["c"].numbers == [*range(1, 11), *range(18, 38)]
        assert (gap.after, gap.before, gap.count, gap.reason) == ("10", "18", 7, "restart")


async def test_a_server_that_replays_leaves_no_gap_and_repeats_nothing(
    log_server: NatsServer, stream: str
) -> None:
    kept = StreamSettings(duplicate_window=0.1)  # the log forgets ids between the two
    async with (
        FeedServer() as server,
        await connect_log(log_server.url, stream, settings=kept) as log,
    ):
        one = feed(server, kind="log", resume=lambda at: f"?from={at}", rewind=5)
        for total in (20, 50):
            server.tell("c", 10)
            async with ingest(log_server, stream, one):
                await listening(server, 1)
                server.tell("c", total - server.counts["c"])
                while await stored(log) < server.counts["c"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
        found, gaps = await look(log)
        assert found["c"].numbers == [*range(1, 51)]
        assert gaps == []
        assert "/log/c?from=15" in server.paths


async def test_the_end_writes_what_was_read(log_server: NatsServer, stream: str) -> None:
    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        async with ingest(log_server, stream, feed(server)) as running:
            await listening(server, 1)
            server.tell("c", 3000)
            await until(lambda: running._held[0]._reader is not None)
            store = running._held[0]._reader.store  # type: ignore[union-attr]
            await until(lambda: store.stats.received == 3000)
        assert await stored(log) == 3000
        assert running.stats.written == 3000
        assert running.stats.feeds == 0


async def test_a_log_that_is_killed_gets_everything_in_order(
    mortal_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server:
        one = feed(server)
        async with ingest(mortal_server, stream, one) as a:
            await listening(server, 1)
            server.tick(["c"], 1000)
            for times in (1, 2):
                await until(lambda n=times: a.stats.publisher.connections == n)  # type: ignore[misc]
                await asyncio.sleep(0.1)
                mortal_server.kill()
                await asyncio.sleep(0.1)
                mortal_server.start()
            await until(lambda: a.stats.publisher.connections == 3)
            await server.stop_ticking()
            await until(lambda: a.stats.written == server.counts["c"])
        async with await connect_log(mortal_server.url, stream) as log:
            found, gaps = await look(log)
        assert found["c"].numbers == [*range(1, server.counts["c"] + 1)]
        assert gaps == []


async def test_a_stream_that_is_deleted_is_made_again(
    log_server: NatsServer, stream: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        settings = StreamSettings(max_age=60)
        async with ingest(log_server, stream, feed(server), settings=settings) as running:
            await listening(server, 1)
            server.tell("c", 3)
            await until(lambda: running.stats.written == 3)
            await log.js.delete_stream(stream)
            server.tell("c", 3)
            await until(lambda: running.stats.written == 6)
        assert [one.id for one in await records(log)] == ["4", "5", "6"]
        assert (await log.js.stream_info(stream)).config.max_age == 60
        assert "was deleted with all records; it is made again" in caplog.text


async def test_a_copy_is_ready_when_all_that_it_read_is_in_the_log(
    mortal_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server:
        running = ingest(mortal_server, stream, feed(server), feed(server, "d"))
        assert not running.is_ready()
        async with running:
            async with asyncio.timeout(5):
                await running.ready()
            assert running.stats.connected == running.stats.feeds == 2
            mortal_server.kill()
            await until(lambda: not running.is_ready())
            server.tell("c", 6000)  # more than a stream holds: also what waits before the log
            await until(lambda: running.stats.lag > 0.3)
            mortal_server.start()
            async with asyncio.timeout(10):
                await running.ready(lag=0.2)
            await until(lambda: running.stats.written == 6000)
        with pytest.raises(HeimdallError, match="has ended"):
            await running.ready()


async def test_a_copy_whose_feed_is_away_is_not_ready(log_server: NatsServer, stream: str) -> None:
    async with FeedServer() as server:
        away = Feed(endpoint="ws://127.0.0.1:1/", channel="away", options=QUICK)
        async with ingest(log_server, stream, feed(server), away) as running:
            await listening(server, 1)
            await until(lambda: running.stats.connected == 1)
            assert not running.is_ready()


async def test_a_copy_without_a_feed_to_hold_is_ready(log_server: NatsServer, stream: str) -> None:
    async with FeedServer() as server:
        options: dict[str, Any] = {"replicas": 1, "lease": 1.0}
        async with (
            ingest(log_server, stream, feed(server), **options) as a,
            ingest(log_server, stream, feed(server), **options) as b,
            asyncio.timeout(10),
        ):
            await a.ready()
            await b.ready()
            assert a.stats.feeds + b.stats.feeds == 1


async def test_a_message_that_the_log_can_not_take_is_told(
    log_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        async with ingest(log_server, stream, feed(server)) as running:
            await listening(server, 1)
            server.tell("c")
            server.padding = "x" * (2**20 - 100)  # nats-server takes 1 MiB with the headers
            server.tell("c")
            server.padding = ""
            server.tell("c")
            await until(lambda: running.stats.gaps == 1)
            assert running.stats.refused == 1
        found, (gap,) = await look(log)
        assert found["c"].numbers == [1, 3]
        assert (gap.reason, gap.after, gap.count) == ("refused", "2", None)


async def test_a_feed_without_ids_is_numbered_by_its_copy(
    log_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        one = feed(server, consecutive=False, single=True)
        async with ingest(log_server, stream, one, replicas=1, lease=1.0) as running:
            await listening(server, 1)
            for _ in range(3):
                server.say("c", "same")
            await until(lambda: running.stats.written == 3)
        found = await records(log)
        assert [one.data for one in found] == [b"same"] * 3
        assert len({one.id for one in found}) == 3


def test_feeds_are_spread_over_copies_and_taken_over_without_a_gap(
    log_server: NatsServer, stream: str
) -> None:
    names = [f"c{n}" for n in range(6)]

    async def main() -> None:
        async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
            feeds = [feed(server, name) for name in names]
            options: dict[str, Any] = {"replicas": 1, "lease": 2.0, "handover": 1.5}
            async with ingest(log_server, stream, *feeds, name="a", **options) as a:
                await listening(server, 1, *names)
                server.tick(names, 100)
                async with ingest(log_server, stream, *feeds, name="b", **options) as b:
                    await until(lambda: len(a.channels) == len(b.channels) == 3)
                    assert sorted([*a.channels, *b.channels]) == names
                # b has ended: what it held came back
                await until(lambda: a.channels == names)
                await listening(server, 1, *names)
                await server.stop_ticking()
                await asyncio.sleep(0.3)
            found, gaps = await look(log)
            for name in names:
                numbers = found[name].numbers
                assert sorted(numbers) == [*range(min(numbers), server.counts[name] + 1)]
            assert gaps == []

    run(main)


async def test_records_for_the_server_are_sent_on_its_socket(
    log_server: NatsServer, stream: str
) -> None:
    async with FeedServer() as server, await connect_log(log_server.url, stream) as log:
        one = feed(server, sending=Sending())
        async with ingest(log_server, stream, one) as running:
            await listening(server, 1)
            await log.publish(Record("c", b'{"order": 1}', "o1", "out"))
            await until(lambda: running.stats.sent == 1)
            assert server.received == [{"order": 1}]


async def test_a_message_without_an_id_ends_the_ingest(log_server: NatsServer, stream: str) -> None:
    async with (
        FeedServer() as server,
        ingest(log_server, stream, feed(server)) as running,
    ):
        await listening(server, 1)
        server.say("c", '{"value": 1}')
        with pytest.raises(NoMessageId, match="'c' has no field id or seq"):
            await running.run()


def test_it_ends_when_every_feed_has(
    log_server: NatsServer, stream: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        dead = Feed(endpoint="ws://127.0.0.1:1/", options={"auto_reconnect": False})
        async with ingest(log_server, stream, dead) as running:
            with pytest.raises(HeimdallError):
                await running.run()

    run(main)
    assert "the feed 'feed' has ended" in caplog.text


def _ingest_of(*feeds: Feed, **options: Any) -> Callable[[], Ingest]:
    return lambda: Ingest("nats://127.0.0.1:1", "s", feeds, **options)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (_ingest_of(), "one feed or more"),
        (_ingest_of(Feed(endpoint="/a"), Feed(endpoint="/b")), "2 feeds have the channel 'feed'"),
        (_ingest_of(Feed(endpoint="/", single=True)), "replicas=1"),
        (_ingest_of(Feed(endpoint="/"), partitions=4), "give replicas="),
        (_ingest_of(Feed(endpoint="/"), name="a.b"), "not a name of a copy"),
    ],
)
def test_what_can_not_work_together_is_refused(make: Callable[[], Ingest], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        make()


def test_settings_of_a_stream_are_bounds() -> None:
    with pytest.raises(ConfigurationError, match="max_bytes"):
        StreamSettings(max_bytes=0)


async def test_a_stream_is_made_as_told_and_then_left(log_server: NatsServer, stream: str) -> None:
    with pytest.raises(LogError, match="has no stream"):
        await connect_log(log_server.url, stream, create=False)
    kept = StreamSettings(max_age=60, max_bytes=2**20, duplicate_window=10)
    for settings in (kept, StreamSettings()):
        async with await connect_log(log_server.url, stream, settings=settings) as log:
            config = (await log.js.stream_info(stream)).config
            assert (config.max_age, config.max_bytes) == (60, 2**20)
            assert config.duplicate_window == 10
            assert (config.storage, config.discard) == ("file", "old")


def test_a_secret_of_the_log_is_in_no_error_and_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def main(server: NatsServer) -> None:
        url = server.url.replace("//", "//wr0ng@")
        with pytest.raises(LogError) as wrong:
            await connect_log(url, "s", allow_reconnect=False)
        assert "wr0ng" not in str(wrong.value)
        async with await connect_log(server.url, "s", token="s3cret") as log:
            assert "s3cret" not in repr(log)
            assert (await log.publish(Record("c", b"1", "1"))).seq == 1

    with served(tmp_path, "--auth", "s3cret") as server:
        run(lambda: main(server))
    assert "s3cret" not in caplog.text
    assert "wr0ng" not in caplog.text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("/v1/ws", ("", "/v1/ws")),
        ("ws://h/?a=b", ("", "ws://h/?a=b")),
        ("a:b=ws://h/?a=b", ("a:b", "ws://h/?a=b")),
        ("a=/v1/ws", ("a", "/v1/ws")),
    ],
)
def test_an_endpoint_may_have_a_channel_before_it(text: str, named: tuple[str, str]) -> None:
    assert _named(text) == named


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--resume", "?from="], "{offset}"),
        (["--nats-token-env", "NOT_SET_HERE"], "'NOT_SET_HERE' is not set"),
        (["--nats-creds", "/nowhere"], "no file '/nowhere'"),
        (["--nats-ca", __file__], "no certificate can be read from"),
        (["--nats-user-env", "HOME"], "a user needs a password"),
        (["--ready-file", "/nowhere/ready"], "cannot be made: No such file"),
        (["--nats-key", __file__], "needs a certificate"),
        (["--nats-token-env", "HOME", "--nats-nkey", __file__], "give one of"),
        (["--log", "nats://a:4222,nats://me:pw@b"], "which the process list shows"),
        (["--replicas", "0"], "is not a number above 0"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["ingest", "/x", "--stream", "s", *arguments]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.leaky
def test_without_the_library_the_command_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['nats'] = None; from heimdall_reactive.cli import main; "
        "sys.exit(main(['ingest', '/x', '--stream', 's']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'heimdall-reactive[nats]'" in done.stderr


def test_the_command_writes_and_prints_counters(
    log_server: NatsServer, stream: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        async with FeedServer() as server:
            server.tick(["c"], 200)
            arguments = ["ingest", f"c={server.url}/live/c", "--nats", log_server.url,
                         "--stream", stream, "--seconds", "1", "--every", "0.3"]  # fmt: skip
            assert await asyncio.to_thread(command, arguments) == 0

    run(main)
    first, *rest = capsys.readouterr().out.splitlines()
    assert f"writes to {stream}" in first
    assert "written" in rest[-1]
    assert rest[-1].endswith("waiting 0")


@pytest.mark.leaky
async def test_the_example_reads_resumes_and_sends(log_server: NatsServer) -> None:
    async with FeedServer(acks=True) as server:
        server.tell("trades", 3)
        program = [sys.executable, "-m", "examples.dataflow.ingest_feeds"]
        running = await asyncio.create_subprocess_exec(
            *program, log_server.url, server.url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        try:
            await listening(server, 1, "ticks", "trades", "orders")
            async with await connect_log(log_server.url, "market") as log:
                server.tell("ticks", 5)
                await log.publish(Record("orders", b'{"buy": 1}', "o1", "out"))
                await until(lambda: server.received == [{"id": "o1", "buy": 1}])
                while await stored(log) < 9:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                kinds = {(one.kind, one.channel) for one in await records(log)}
                assert kinds == {("in", "ticks"), ("in", "trades"), ("out", "orders")}
        finally:
            running.kill()
            await running.communicate()
