"""A cluster of three: what is lost when its servers die, and when a reader notices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nats.errors import Error as NatsError

from heimdall_reactive.dataflow import Feed, Ingest, Log, LogStore, Missed, Record, use_log
from tests.support import record

from .feed_server import FeedServer
from .kills import until
from .nats_cluster import NatsCluster
from .nats_server import BINARY, MISSING, PROGRAMS, version
from .stream_check import Found, look

soon = partial(until, timeout=120)  # three servers have elections to hold, on a busy machine, too
pytestmark = pytest.mark.timeout(240)
QUICK: dict[str, Any] = {"reconnect_delay": 0.1, "close_timeout": 0.3}


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NatsCluster]:
    if not (program := getattr(request, "param", BINARY)):
        pytest.skip(MISSING)
    with NatsCluster(tmp_path, program) as servers:
        yield servers


async def leader(log: Log) -> str:
    """Return the server that leads the stream."""
    while True:
        with suppress(Exception):
            found = (await log.js.stream_info(log.stream)).cluster
            if found is not None and found.leader:
                return str(found.leader)
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("cluster", PROGRAMS or [""], ids=version, indirect=True)
async def test_nothing_is_lost_over_a_dead_leader_and_a_lost_quorum(
    cluster: NatsCluster, stream: str
) -> None:
    async with FeedServer() as server, await cluster.connect(stream) as log:
        feed = Feed(endpoint=f"{server.url}/live/c", channel="c", consecutive=True, options=QUICK)
        options: dict[str, Any] = {"max_reconnect_attempts": None, "reconnect_delay": 0.1}
        async with (
            Ingest(cluster.urls, stream, [feed]) as ingest,
            use_log(stream, "c", servers=cluster.urls, start="first", **options) as store,
        ):
            seen = record(store.messages)
            await soon(lambda: server.clients("c") == 1)
            server.tick(["c"], 200)
            await soon(lambda: len(seen) > 100)
            dead = await leader(log)
            cluster.servers[dead].kill()
            await caught_up(ingest, server)
            cluster.servers[dead].start()
            two = list(cluster.servers.values())[:2]
            for one in two:
                one.kill()
            await soon(lambda: ingest.stats.lag > 1)
            for one in two:
                one.start()
            await caught_up(ingest, server)
            await server.stop_ticking()
            count = server.counts["c"]
            await soon(lambda: len(seen) == count)
            assert [message["seq"] for message in seen] == list(range(1, count + 1))
        found, gaps = await look_at_last(log)
        assert found["c"].numbers == list(range(1, count + 1))
        assert gaps == []


async def look_at_last(log: Log) -> tuple[dict[str, Found], list[Missed]]:
    """Return what the stream has, from a cluster that may still be busy with its own."""
    async with asyncio.timeout(30):
        while True:
            with suppress(NatsError):
                return await look(log)


async def caught_up(ingest: Ingest, server: FeedServer) -> None:
    """Wait until the log has what came until now, and a little more."""
    count = server.counts["c"] + 100
    await soon(lambda: ingest.stats.written >= count and ingest.is_ready(0.5))


async def test_a_reader_notices_that_the_server_of_its_consumer_is_dead(
    cluster: NatsCluster, stream: str
) -> None:
    """The one that leads the stream and the one that the reader is connected to live."""
    async with await cluster.connect(stream) as log:
        first = await leader(log)
        near = next(name for name in cluster.servers if name != first)
        store = use_log(
            stream, "c", servers=cluster.servers[near].url, max_reconnect_attempts=None, **QUICK
        )
        async with store:
            session, dead = 1, first
            while dead in (first, near):
                await reach(store, session)
                if (dead := await consumer_server(log)) in (first, near):
                    store.reconnect()
                    session += 1
            seen = record(store.messages)
            await log.publish(Record("c", b"1", "1"))
            await soon(lambda: seen == [1])
            cluster.servers[dead].kill()
            killed = time.monotonic()
            await store.wait_for(lambda state: not state.is_connected, 120)
            noticed = time.monotonic() - killed
            await log.publish(Record("c", b"2", "2"))
            await soon(lambda: seen == [1, 2])
            assert noticed < 10, "it took 15 s when the log gave a sign of life every 5 s"


async def reach(store: LogStore[Any], session: int) -> None:
    await store.wait_for(lambda state: state.session >= session, 120)


async def consumer_server(log: Log) -> str:
    """Return where the stream's only consumer lives."""
    while True:
        found = [one.cluster for one in await log.js.consumers_info(log.stream)]
        if len(found) == 1 and found[0] is not None and found[0].leader:
            return str(found[0].leader)
        await asyncio.sleep(0.05)
