"""`use_log`: a store over a real log, with the face and the promises of every other store."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable

from heimdall_reactive import (
    ConfigurationError,
    ConnectError,
    Gap,
    InvalidMessage,
    SendError,
    ServerMessage,
    Status,
)
from heimdall_reactive.dataflow import Log, LogStore, Record, StreamSettings, connect_log, use_log
from heimdall_reactive.dataflow.gaps import Missed
from heimdall_reactive.dataflow.log_place import Place, checked_start
from tests.support import record, run

from .nats_server import NatsServer

pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")


class Feed:
    """A stream of its own on a server, and what a test writes to it."""

    def __init__(self, server: NatsServer, log: Log) -> None:
        self.server = server
        self.log = log
        self.count = 0

    async def write(self, *numbers: int, channel: str = "a", kind: Any = "in") -> None:
        for n in numbers:
            self.count += 1
            one = Record(channel, b'{"n":%d}' % n, str(self.count), kind, received=1.0)
            await self.log.publish(one)

    def store(self, channel: str | None = "a", **options: Any) -> LogStore[Any]:
        options = {"servers": self.server.url, "reconnect_delay": 0.1, **options}
        return use_log(self.log.stream, channel, **options)


async def feed(server: NatsServer, **settings: Any) -> Feed:
    name = f"T{uuid4().hex}"
    return Feed(server, await connect_log(server.url, name, settings=StreamSettings(**settings)))


class Seen:
    """What an observable tells, and a way to wait for so much of it."""

    def __init__(self, source: Observable[Any]) -> None:
        self.values: list[Any] = []
        self._more = asyncio.Event()
        source.subscribe(self._take)

    def _take(self, value: Any) -> None:
        self.values.append(value)
        self._more.set()

    async def reach(self, count: int) -> list[Any]:
        """Return the values once there are so many; the `n` of messages."""
        async with asyncio.timeout(10):
            while len(self.values) < count:
                self._more.clear()
                await self._more.wait()
        return [value["n"] if isinstance(value, dict) else value for value in self.values]


async def test_a_store_over_the_log_tells_what_is_written_in_order(log_server: NatsServer) -> None:
    one = await feed(log_server)
    async with one.log, one.store() as store:
        seen = Seen(store.messages)
        await store.wait_connected(5)
        await one.write(*range(50))
        assert await seen.reach(50) == list(range(50))
        assert store.last_message.value == {"n": 49}
        assert store.is_connected.value
        assert store.stats.received == 50


@pytest.mark.parametrize(
    ("start", "told"),
    [("first", [0, 1, 2, 3]), ("last", [2, 3]), (2, [1, 2, 3]), ("new", [3]), ("time", [2, 3])],
)
async def test_it_begins_where_it_is_told_to(
    log_server: NatsServer, start: Any, told: list[int]
) -> None:
    one = await feed(log_server)
    async with one.log:
        await one.write(0, 1)
        info = await one.log.js.get_msg(one.log.stream, 2)
        await one.write(2)
        began = start
        if start == "time":
            stored = await one.log.js.get_msg(one.log.stream, 3)
            assert info.time != stored.time
            began = stored.time if isinstance(stored.time, datetime) else _time(stored.time)
        async with one.store(start=began) as store:
            seen = Seen(store.messages)
            await store.wait_connected(5)
            await one.write(3)
            assert await seen.reach(len(told)) == told
            assert store.position == 4


def _time(text: Any) -> datetime:
    return datetime.fromisoformat(str(text)[:26].rstrip("Z")).replace(tzinfo=UTC)


def test_nothing_is_missed_over_a_killed_server_and_no_gap_is_told(
    mortal_server: NatsServer,
) -> None:
    async def main() -> None:
        one = await feed(mortal_server)
        async with one.log, one.store(start="first", max_reconnect_attempts=None) as store:
            gaps, seen = record(store.gaps), Seen(store.messages)
            await one.write(*range(10))
            await seen.reach(10)
            mortal_server.kill()
            await store.wait_for(lambda state: not state.is_connected, 5)
            mortal_server.start()
            await store.wait_for(lambda state: state.session >= 2, 10)
            await one.write(*range(10, 20))
            assert await seen.reach(20) == list(range(20))
            assert gaps == []

    run(main, timeout=40)


async def test_what_is_sent_is_in_the_log_before_a_receipt_says_written(
    log_server: NatsServer,
) -> None:
    one = await feed(log_server)
    async with one.log, one.store() as store:
        receipts = [store.send({"n": n}) for n in range(20)]  # not connected yet
        for receipt in receipts:
            await receipt
        last = await one.log.last("a", "out")
        assert last is not None
        assert last.json() == {"n": 19}
        assert store.last_message.value is None, "what is sent does not come back"


async def test_sends_go_to_the_channel_that_was_named(log_server: NatsServer) -> None:
    one = await feed(log_server)
    async with one.log, one.store(None, send_channel="public:*") as store:
        await store.send(b"\x00\x01")
        last = await one.log.last("public:*", "out")
        assert last is not None
        assert (last.data, last.text) == (b"\x00\x01", False)


async def test_all_channels_can_be_read_at_once_and_told_apart(log_server: NatsServer) -> None:
    one = await feed(log_server)
    async with one.log, one.store(None) as store:
        seen = Seen(store.records)
        gps = record(store.channel("gps"))
        await store.wait_connected(5)
        await one.write(1, channel="a.b")
        await one.write(2, channel="gps")
        await one.write(3, channel="user:*")
        told = await seen.reach(3)
        assert [one.record.channel for one in told] == ["a.b", "gps", "user:*"]
        assert [one.record.seq for one in told] == [1, 2, 3]
        assert gps == [{"n": 2}]


async def test_what_the_ingest_has_missed_is_told_as_a_gap(log_server: NatsServer) -> None:
    one = await feed(log_server)
    async with one.log, one.store() as store:
        gaps, seen = record(store.gaps), Seen(store.messages)
        await store.wait_connected(5)
        missed = Missed(channel="a", reason="restart", since=10.0, until=12.5, count=3)
        await one.log.publish(missed.record())
        await one.write(1)
        await seen.reach(1)
        assert gaps == [Gap(10.0, 12.5, 1)]


async def test_messages_are_typed_and_a_bad_one_costs_a_report(log_server: NatsServer) -> None:
    one = await feed(log_server)
    async with one.log, one.store(message_type=ServerMessage) as store:
        errors, seen = record(store.errors), Seen(store.messages)
        await store.wait_connected(5)
        await one.log.publish(Record("a", b"no json", "x"))
        good = b'{"type":"forceLogout","userId":"u1","timestamp":"2026-01-01T00:00:00Z"}'
        await one.log.publish(Record("a", good, "y"))
        (message,) = await seen.reach(1)
        assert message.user_id == "u1"
        assert isinstance(errors[0], InvalidMessage)
        assert store.connected


def test_the_end_of_a_users_session_in_the_log_is_not_the_end_of_the_store(
    mortal_server: NatsServer,
) -> None:
    async def main() -> None:
        one = await feed(mortal_server)
        async with one.log, one.store(max_reconnect_attempts=None) as store:
            await store.wait_connected(5)
            gone = b'{"type":"accountDeleted","userId":"u1","timestamp":"2026-01-01T00:00:00Z"}'
            seen = Seen(store.messages)
            await one.log.publish(Record("a", gone, "x"))
            await seen.reach(1)
            mortal_server.kill()
            mortal_server.start()
            await store.wait_for(lambda state: state.session >= 2, 10)

    run(main, timeout=30)


async def sent_to_reader(log: Log) -> int:
    """Return how many records the log has sent to its only reader."""
    (consumer,) = await log.js.consumers_info(log.stream)
    assert consumer.delivered is not None
    return consumer.delivered.consumer_seq


@pytest.mark.parametrize("how", ["purge", "bound"])
async def test_what_a_connected_but_slow_reader_has_missed_is_reported(
    log_server: NatsServer, how: str
) -> None:
    one = await feed(log_server)
    async with one.log, one.store(start="first", immediate=False) as store:
        errors = record(store.errors)
        await one.write(*range(1200))
        stream = store.stream(maxsize=10, overflow="block")
        store.connect()
        assert [(await anext(stream))["n"] for _ in range(5)] == list(range(5))
        async with asyncio.timeout(10):
            while await sent_to_reader(one.log) < 512:
                pass  # the purge takes only what is not on its way
        if how == "purge":
            await one.log.js.purge_stream(one.log.stream)
        else:
            config = (await one.log.js.stream_info(one.log.stream)).config
            config.max_msgs = 100
            await one.log.js.update_stream(config)
        await one.write(1200)
        async with asyncio.timeout(10):
            while (await anext(stream))["n"] != 1200:
                pass
        first = 1201 if how == "purge" else 1102
        assert [str(error) for error in errors] == [
            f"the stream keeps 513 to {first - 1} no more; raise its max_age or max_bytes"
        ]


async def test_records_that_the_stream_keeps_no_more_are_reported(
    mortal_server: NatsServer,
) -> None:
    one = await feed(mortal_server)
    async with one.log:
        await one.write(*range(5))
        await one.log.js.purge_stream(one.log.stream, keep=2)
        async with one.store(start=2) as store:
            errors, seen = record(store.errors), Seen(store.messages)
            assert await seen.reach(2) == [3, 4]
            assert "keeps 2 to 3 no more" in str(errors[0])


async def test_a_request_that_ran_out_as_the_connection_ended_ends_the_session_quietly(
    log_server: NatsServer,
) -> None:
    one = await feed(log_server)
    async with one.log, one.store() as store:
        await store.wait_connected(5)
        session = store._core.connection.sessions.current
        assert session is not None
        wire: Any = session.wire
        await wire._client.close()
        await wire._pull()  # what a request that ran out in the same turn has started
        await store.wait_for(lambda state: state.session == 2, 8)


async def test_a_stream_that_is_not_there_is_dialled_again_until_it_is(
    log_server: NatsServer,
) -> None:
    name = f"T{uuid4().hex}"
    async with use_log(name, "a", servers=log_server.url, reconnect_delay=0.05) as store:
        state = await store.wait_for(lambda state: state.error is not None, 5)
        assert isinstance(state.error, ConnectError)
        assert "no stream" in str(state.error)
        async with await connect_log(log_server.url, name):
            await store.wait_connected(5)


def test_a_password_that_the_log_refuses_ends_in_failed_without_showing_it(
    tmp_path: Any, log_server: NatsServer
) -> None:
    secret = "s3cret-canary"
    server = NatsServer(tmp_path, "--user", "u", "--pass", "right")
    server.start()

    async def main() -> None:
        client = {"user": "u", "password": secret}
        async with use_log("T", "a", servers=server.url, client=client) as store:
            state = await store.wait_for(lambda state: state.status is Status.FAILED, 10)
            shown = f"{state} {state.error!r} {store!r} {store.journal}"
            assert "credentials" in str(state.error)
            assert secret not in shown

    run(main)
    server.kill()


async def test_a_send_is_delivered_when_the_log_has_acknowledged_it(log_server: NatsServer) -> None:
    one = await feed(log_server)
    async with one.log, one.store(ping_interval=None) as store:  # no ping proves it
        receipt = store.send({"n": 1})
        assert await receipt.delivered(10) is receipt
        assert store.stats.delivered == 1
        last = await one.log.last("a", "out")
        assert last is not None
        assert last.json() == {"n": 1}


class DeafProxy:
    """Stands before a server; while `deaf` it keeps the server's answers back.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self.deaf = False
        self.url = ""
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> DeafProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, ours: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        theirs, on = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += back, on
        await asyncio.gather(self._pass(ours, on, deaf=False), self._pass(theirs, back, deaf=True))

    async def _pass(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, deaf: bool
    ) -> None:
        with suppress(OSError):
            while data := await source.read(2**16):
                if not (deaf and self.deaf):
                    to.write(data)
        to.close()


async def test_what_is_sent_again_is_in_the_log_once(log_server: NatsServer) -> None:
    one = await feed(log_server)
    async with (
        one.log,
        DeafProxy(int(log_server.url.rpartition(":")[2])) as proxy,
        one.store(servers=proxy.url, resend=True) as store,
    ):
        await store.wait_connected(5)
        proxy.deaf = True
        receipt = store.send({"n": 1})
        while await one.log.last("a", "out") is None:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0.01)
        proxy.deaf = False
        proxy.cut()
        await receipt.delivered(10)
        assert receipt.attempts == 2
        assert (await one.log.js.stream_info(one.log.stream)).state.messages == 1


async def test_a_send_that_the_log_did_not_confirm_is_in_doubt(mortal_server: NatsServer) -> None:
    one = await feed(mortal_server)
    async with one.log, one.store() as store:
        await store.wait_connected(5)
        mortal_server.kill()
        receipt = store.send({"n": 1})
        store.disconnect()
        with pytest.raises(SendError):
            await receipt


async def test_disconnect_leaves_no_consumer_and_connect_goes_on_behind(
    log_server: NatsServer,
) -> None:
    one = await feed(log_server)
    async with one.log, one.store(start="first") as store:
        seen = Seen(store.messages)
        await one.write(1)
        await seen.reach(1)
        store.disconnect()
        await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 5)
        assert await one.log.js.consumers_info(one.log.stream) == []
        await one.write(2)
        store.connect()
        assert await seen.reach(2) == [1, 2]


async def test_a_block_stream_holds_the_log_back_and_loses_nothing(log_server: NatsServer) -> None:
    one = await feed(log_server)
    async with one.log:
        await one.write(*range(2000))
        async with one.store(start="first", immediate=False) as store:
            stream = store.stream(maxsize=10, overflow="block")
            store.connect()
            seen: list[int] = []
            async for message in stream:
                seen.append(message["n"])
                if len(seen) == 2000:
                    break
            await stream.aclose()
            assert seen == list(range(2000))


def test_it_works_from_a_thread_and_leaves_nothing(log_server: NatsServer) -> None:
    async def make() -> str:
        async with (await feed(log_server)).log as log:
            return log.stream

    with use_log(run(make), "a", servers=log_server.url, loop="thread") as store:
        store.wait_connected().result(5)
        store.send({"n": 1}).result(5)


async def test_latency_is_measured(log_server: NatsServer) -> None:
    one = await feed(log_server)
    async with one.log, one.store(ping_interval=0.05) as store:
        measured = Seen(store.latency)
        assert (await measured.reach(2))[:1] == [None]


@pytest.mark.parametrize("option", ["access_token", "share", "ssl"])
def test_what_only_a_socket_has_is_refused(option: str) -> None:
    options: Any = {option: True}
    with pytest.raises(ConfigurationError, match=option):
        use_log("T", **options)


def test_the_type_of_a_single_channel_is_refused() -> None:
    with use_log("T", immediate=False) as store, pytest.raises(ConfigurationError, match="use_log"):
        store.channel("a", int)


@pytest.mark.parametrize("start", ["newest", 0, -1, True, 1.5, datetime(2026, 1, 1)])
def test_a_start_that_is_none_is_refused(start: Any) -> None:
    with pytest.raises(ConfigurationError):
        checked_start(start)


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_place_never_skips_what_the_stream_still_has(
    position: int, first: int, more: int
) -> None:
    last = first + more
    place = Place("first", position)
    told = place.enter(first, last)
    policy = place.policy()
    if position > last:
        assert "recreated" in told
        assert policy == {"deliver_policy": "all"}
    else:
        assert policy["opt_start_seq"] == position + 1
        assert bool(told) == (position + 1 < first)


def test_a_place_that_only_wants_new_records_stays_where_it_was_first() -> None:
    place = Place("new")
    place.enter(1, 7)
    place.enter(1, 9)
    assert place.policy() == {"deliver_policy": "by_start_sequence", "opt_start_seq": 8}


def test_a_time_is_told_to_the_log_in_utc() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=1)
    assert Place(start).policy()["opt_start_time"] == "2026-01-01T01:00:00Z"


def test_an_option_that_nobody_knows_is_refused_by_its_name() -> None:
    options: Any = {"reconect_delay": 1.0}
    with pytest.raises(ConfigurationError, match="reconect_delay"):
        use_log("T", **options)
