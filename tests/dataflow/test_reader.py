"""`Reader`: feeds read over real sockets; no log is needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heimdall_reactive import ConfigurationError, InvalidEndpoint, Status
from heimdall_reactive.dataflow import Feed, Item, Known, Missed, NoMessageId, Reader
from heimdall_reactive.dataflow.feeds import Taken, moved
from heimdall_reactive.dataflow.gap_tracker import GapTracker
from heimdall_reactive.devserver import DevServer, serve_in_thread
from tests.support import run

from .feed_server import FeedServer
from .kills import until

QUICK = {"reconnect_delay": 0.02, "close_timeout": 0.3}


def live(server: FeedServer, channel: str = "c", **fields: Any) -> Feed:
    fields = {"endpoint": f"{server.url}/live/{channel}", "channel": channel, **fields}
    return Feed(options=QUICK, **fields)


def log(server: FeedServer, **fields: Any) -> Feed:
    """A feed of a server that replays."""
    fields = {"resume": lambda at: f"?from={at}", **fields}
    return live(server, endpoint=f"{server.url}/log/c", **fields)


async def take(reader: Reader, done: Callable[[list[Any]], bool]) -> list[Any]:
    """Read until what came is enough."""
    events: list[Any] = []
    async with asyncio.timeout(10):
        while not done(events):
            events.extend((await reader.batch(timeout=1)).events)
    return events


def numbers(events: Iterable[Any]) -> list[int]:
    return [int(event.id) for event in events if isinstance(event, Item)]


async def test_batches_are_ordered_and_bounded() -> None:
    async with FeedServer() as server, Reader(live(server)) as reader:
        await reader.store.wait_connected(5)
        await until(lambda: server.clients("c") == 1)
        server.tell("c", 100)
        await until(lambda: reader.store.stats.received == 100)
        batches = [await reader.batch(30) for _ in range(4)]
        assert [len(batch.items) for batch in batches] == [30, 30, 30, 10]
        assert [batch.offset for batch in batches] == [30, 60, 90, 100]
        assert numbers(event for batch in batches for event in batch.events) == [*range(1, 101)]
        assert (await reader.batch(timeout=0)).events == ()
        assert reader.stats.read == 100


async def test_a_feed_that_replays_goes_on_where_it_ended() -> None:
    async with FeedServer() as server:
        server.tell("c", 50)
        async with Reader(log(server, rewind=3), 40) as reader:
            events = await take(reader, lambda seen: len(seen) == 14)
            assert numbers(events) == [*range(37, 51)]
            server.drop("c")
            server.tell("c", 5)  # nobody listens
            more = await take(reader, lambda seen: len(seen) == 5)
            assert numbers(more) == [*range(51, 56)]
            assert reader.stats.repeats == 4  # 47 to 50
        assert server.paths == ["/log/c?from=37", "/log/c?from=47"]


async def test_what_was_handled_before_is_not_handed_out_again() -> None:
    async with FeedServer() as server:
        server.tell("c", 10)
        seen = [("c", str(n)) for n in range(5, 8)]
        known = {"c": Known("8", 1.0)}
        async with Reader(log(server, rewind=3), 8, known=known, seen=seen) as reader:
            events = await take(reader, lambda found: len(found) == 2)
            assert numbers(events) == [9, 10]


async def test_a_resume_that_is_no_text_is_sent_first_in_each_session() -> None:
    async with FeedServer() as server:
        feed = live(server, resume=lambda at: {"subscribe": at})
        async with Reader(feed, 7) as reader:
            await until(lambda: server.clients("c") == 1)
            server.counts["c"] = 11
            server.tell("c")
            await take(reader, lambda seen: len(seen) == 1)
            server.drop("c")
            await until(lambda: len(server.received) == 2)
            assert server.received == [{"subscribe": 7}, {"subscribe": 12}]


async def test_another_origin_gets_no_token() -> None:
    async with FeedServer() as server:
        feed = live(server, resume=lambda at: f"ws://127.0.0.1:9/{at}")
        async with Reader(feed, 7) as reader:
            state = await reader.store.wait_for(lambda s: s.status is Status.FAILED, 5)
            assert isinstance(state.error, InvalidEndpoint)


async def test_a_feed_that_can_never_be_read_is_no_quiet_one() -> None:
    async with FeedServer() as server:
        feed = live(server, resume=lambda at: f"ws://127.0.0.1:9/{at}")
        async with Reader(feed, 7) as reader:
            with pytest.raises(EOFError, match="same origin") as caught:
                await reader.batch(timeout=5)
            assert isinstance(caught.value.__cause__, InvalidEndpoint)


def test_what_came_before_the_server_said_goodbye_is_handed_out() -> None:
    with serve_in_thread(require_token=False) as server:
        options: Any = {**QUICK, "reconnect_rules": {"close 1000": "end"}}
        feed = Feed(endpoint=f"{server.url}/v1/ws", id="n", options=options)
        with Reader(feed) as reader:
            reader.store.wait_connected(5).result()
            server.send_raw('{"n": 1}')
            server.drop(1000)
            assert numbers(reader.poll(timeout=5).events) == [1]
            for _ in range(2):
                with pytest.raises(EOFError, match="closed it for good"):
                    reader.poll(timeout=5)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("?from=3", "wss://h:1/a/b?from=3"),
        ("/c?x", "wss://h:1/c?x"),
        ("wss://h:1/other", "wss://h:1/other"),
    ],
)
def test_a_resumed_endpoint_is_relative(endpoint: str, url: str) -> None:
    assert moved("wss://h:1/a/b?old=1", endpoint) == url


@pytest.mark.parametrize("endpoint", ["ws://h:1/", "wss://h:2/", "//evil/", "wss://u@h:1/"])
def test_an_origin_is_scheme_host_and_port(endpoint: str) -> None:
    with pytest.raises(InvalidEndpoint, match="same origin"):
        moved("wss://h:1/a", endpoint)


async def test_what_a_lost_connection_left_out_is_counted() -> None:
    async with FeedServer() as server, Reader(live(server, consecutive=True)) as reader:
        await until(lambda: server.clients("c") == 1)
        server.tell("c", 3)
        await take(reader, lambda seen: len(seen) == 3)
        server.drop("c")
        await until(lambda: server.clients("c") == 0)
        server.tell("c", 4)
        await until(lambda: server.clients("c") == 1)
        server.tell("c", 2)
        gap, *rest = await take(reader, lambda seen: len(seen) == 3)
        assert numbers(rest) == [8, 9]
        assert isinstance(gap, Missed)
        assert (gap.after, gap.before, gap.count) == ("3", "8", 4)
        assert gap.reason == "reconnect"
        assert gap.since <= gap.until <= time.time()
        assert reader.stats.gaps == 1


async def test_a_lost_connection_that_left_nothing_out_is_no_gap() -> None:
    async with FeedServer() as server, Reader(live(server, consecutive=True)) as reader:
        for _ in range(2):
            await until(lambda: server.clients("c") == 1)
            server.tell("c")
            await take(reader, lambda seen: len(seen) == 1)
            server.drop("c")
            await until(lambda: server.clients("c") == 0)
        assert reader.stats.gaps == 0


async def test_without_consecutive_ids_each_lost_connection_is_told() -> None:
    async with FeedServer() as server, Reader(live(server)) as reader:
        await until(lambda: server.clients("c") == 1)
        server.tell("c")
        await take(reader, lambda seen: len(seen) == 1)
        server.drop("c")
        await until(lambda: server.clients("c") == 0)
        await until(lambda: server.clients("c") == 1)
        server.tell("c")
        gap, _ = await take(reader, lambda seen: len(seen) == 2)
        assert (gap.after, gap.before, gap.count) == ("1", "2", None)


def test_messages_keep_their_form_and_may_be_left_out() -> None:
    def own(message: Any) -> Any:
        return message.hex() if isinstance(message, bytes) else message.get("at")

    async def main() -> None:
        async with FeedServer() as server, Reader(live(server, id=own)) as reader:
            await until(lambda: server.clients("c") == 1)
            server.say("c", '{"no": 1}')
            server.say("c", '{"at":  "x"}')
            server.say("c", b"\x00\xff")
            text, binary = await take(reader, lambda seen: len(seen) == 2)
            assert (text.id, text.data, text.text) == ("x", b'{"at":  "x"}', True)
            assert (binary.id, binary.data, binary.text) == ("00ff", b"\x00\xff", False)
            assert reader.stats.left_out == 1

    run(main)


async def test_a_message_without_an_id_is_refused_loudly() -> None:
    async with FeedServer() as server, Reader(live(server)) as reader:
        await until(lambda: server.clients("c") == 1)
        server.say("c", '{"type": "Pong"}')  # about the connection: left out
        server.say("c", '{"value": 1}')
        with pytest.raises(NoMessageId, match="'c' has no field id or seq"):
            await take(reader, lambda seen: bool(seen))


async def test_a_single_feed_needs_no_ids() -> None:
    async with FeedServer() as server, Reader(live(server, single=True)) as reader:
        await until(lambda: server.clients("c") == 1)
        server.say("c", "same")
        server.say("c", "same")
        found = await take(reader, lambda seen: len(seen) == 2)
        assert [(one.id, one.data) for one in found] == [("", b"same")] * 2


async def test_after_stop_what_had_come_is_handed_out_and_then_it_ends() -> None:
    async with FeedServer() as server, Reader(live(server)) as reader:
        await until(lambda: server.clients("c") == 1)
        server.tell("c", 7)
        await until(lambda: reader.store.stats.received == 7)
        await reader.stop()
        assert numbers((await reader.batch()).events) == [*range(1, 8)]
        with pytest.raises(EOFError):
            await reader.batch()


async def test_a_rule_that_raises_costs_its_message_and_none_behind_it() -> None:
    def own(message: Any) -> int:
        if message["seq"] in (3, 5):
            raise LookupError(message["seq"])
        return int(message["seq"])

    async with FeedServer() as server:
        feed = Feed(endpoint=f"{server.url}/c", channel="c", id=own, options=QUICK)
        async with Reader(feed) as reader:
            await until(lambda: server.clients("c") == 1)
            server.tell("c", 8)
            await until(lambda: reader.store.stats.received == 8)
            assert numbers((await reader.batch(7)).events) == [1, 2]
            with pytest.raises(LookupError, match="3"):
                await reader.batch()
            assert numbers((await reader.batch(7)).events) == [4]
            with pytest.raises(LookupError, match="5"):
                await reader.batch()
            assert reader.lag > 0.0
            assert numbers((await reader.batch(1)).events) == [6]
            assert numbers((await reader.batch(1)).events) == [7]
            assert numbers((await reader.batch(1)).events) == [8]
            assert reader.lag == 0.0


def test_a_thread_without_a_loop_polls() -> None:
    with serve_in_thread(require_token=False) as server:
        feed = Feed(endpoint=f"{server.url}/v1/ws", id="n", options=QUICK)
        with Reader(feed, loop="thread") as reader:
            reader.store.wait_connected(5).result()
            for n in range(5):
                server.send_raw(f'{{"n": {n}}}')
            found: list[int] = []
            until_then = time.monotonic() + 10
            while len(found) < 5 and time.monotonic() < until_then:
                found += numbers(reader.poll(2, 0.5).events)
            assert found == [0, 1, 2, 3, 4]
            assert reader.poll().events == ()
        with pytest.raises(EOFError):
            reader.poll()


def test_a_hole_that_comes_while_a_batch_is_taken_is_told_with_the_message_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a later batch it is too late: an engine may have kept the offset behind it by then."""
    monkeypatch.setattr("heimdall_reactive.consuming.holding.HOLD_LIMIT", 0.01)

    def wait(done: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not done():
            assert time.monotonic() < end
            time.sleep(0.005)

    with serve_in_thread(require_token=False) as server:

        def own(message: Any) -> int:
            if message["n"] == 3:  # the reader's thread is slow
                for n in range(6, 200):
                    server.send_raw(f'{{"n": {n}}}')
                wait(lambda: reader.stats.dropped > 0)
            return int(message["n"])

        feed = Feed(endpoint=f"{server.url}/v1/ws", id=own, options=QUICK)
        with Reader(feed, limit=10, loop="thread") as reader:
            reader.store.wait_connected(5).result()
            for n in range(1, 6):
                server.send_raw(f'{{"n": {n}}}')
            wait(lambda: reader.store.stats.received == 5)
            last = told = 0
            while last < 199:
                missed = False
                for event in reader.poll(timeout=5).events:
                    if isinstance(event, Missed):
                        missed = True
                        continue
                    number = int(event.id)
                    assert missed == (number > last + 1)
                    told, last, missed = told + missed, number, False
            assert told
            assert reader.stats.gaps == told


async def test_channels_of_the_server_are_channels_of_the_log() -> None:
    async with DevServer(require_token=False) as server:
        feed = Feed(endpoint=f"{server.url}/v1/ws", channel="own", channels=("public", "gps"),
                    id="id", options=QUICK)  # fmt: skip
        async with Reader(feed) as reader:
            await until(lambda: any("gps" in peer.channels for peer in server.connections))
            server.publish("public", {"id": "p1"})
            server.publish("gps", {"id": "g1"})
            server.send_raw('{"id": "o1"}')
            found = await take(reader, lambda seen: len(seen) == 3)
            assert [(one.channel, one.id) for one in found] == [
                ("public", "p1"), ("gps", "g1"), ("own", "o1"),
            ]  # fmt: skip
            assert found[0].data == b'{"id":"p1"}'


@pytest.mark.parametrize(
    ("name", "taken"),
    [("public", True), ("user:7", True), ("user:", True), ("users", False), ("", False),
     (7, False), ("user:" + "x" * 300, False)],
)  # fmt: skip
def test_a_server_can_not_invent_channels(name: object, taken: bool) -> None:
    feed = Feed(endpoint="/", channels=("public", "user:*"))
    assert feed.takes(name) is taken


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"channel": ""}, "a channel needs a name"),
        ({"single": True, "id": "x"}, "leave id= out"),
        ({"rewind": -1}, "0 or more"),
        ({"options": {"message_type": str}}, "leave message_type out"),
    ],
)
def test_feeds_that_can_not_work_are_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Feed(**{"endpoint": "/", **fields})


def test_a_feed_shows_no_secrets() -> None:
    feed = Feed(endpoint="wss://u:pw@h/?token=t0p", options={"access_token": "t0p"})
    assert "t0p" not in repr(feed)
    assert "pw" not in repr(feed)


@settings(deadline=None)
@given(st.sets(st.integers(1, 80), min_size=1))
def test_counts_of_gaps_are_exactly_what_did_not_come(came: set[int]) -> None:
    tracks = GapTracker(Feed(endpoint="/", channel="c", consecutive=True), {}, "me")
    counted = 0
    for number in sorted(came):
        missed = tracks.next(Taken("c", str(number), number, b"", True), 1.0)
        counted += (missed and missed.count) or 0
    assert counted == max(came) - min(came) + 1 - len(came)


def test_a_gap_of_a_quiet_channel_is_told_without_the_message_behind_it() -> None:
    tracks = GapTracker(Feed(endpoint="/", channel="c"), {"c": Known("7", 1.0)}, "me")
    tracks.next(Taken("c", "8", 8, b"", True), 2.0)
    tracks.mark("reconnect", 3.0, 4.0, now=100.0)
    assert tracks.late(before=99.0) == []
    (missed,) = tracks.late(before=101.0)
    assert (missed.after, missed.before, missed.since, missed.until) == ("8", "", 3.0, 4.0)
    assert tracks.late(before=101.0) == []


def test_two_breaks_in_a_row_are_one_gap() -> None:
    tracks = GapTracker(Feed(endpoint="/", channel="c"), {}, "me")
    tracks.mark("reconnect", 3.0, 4.0, now=1.0)
    tracks.mark("overflow", 5.0, 6.0, now=2.0)
    missed = tracks.next(Taken("c", "8", 8, b"", True), 7.0)
    assert missed is not None
    assert (missed.reason, missed.since, missed.until) == ("reconnect", 3.0, 6.0)
