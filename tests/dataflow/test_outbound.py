"""`Outbound`: records of the log sent through a store, and acknowledged when they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from heimdall_reactive import ConfigurationError, WebSocketStore, use_websocket
from heimdall_reactive.dataflow import Log, Outbound, Record, Sending, connect_log
from tests.socket_peer import SocketPeer
from tests.support import run

from .feed_server import FeedServer
from .kills import until
from .nats_server import NatsServer


class Stage:
    def __init__(self, log: Log, server: FeedServer, store: WebSocketStore[Any]) -> None:
        self.log, self.server, self.store = log, server, store

    async def write(self, *ids: str, channel: str = "c") -> None:
        for own in ids:
            data = json.dumps({"n": own}).encode()
            await self.log.publish(Record(channel, data, own, "out"))

    async def unacknowledged(self) -> int:
        """Count what the consumer of the channel still has to deliver, or to have acknowledged."""
        (info,) = await self.log.js.consumers_info(self.log.stream)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)


@asynccontextmanager
async def stage(nats: NatsServer, stream: str, acks: bool = False) -> AsyncIterator[Stage]:
    async with FeedServer(acks=acks) as server, await connect_log(nats.url, stream) as log:
        store = use_websocket(f"{server.url}/live/c", message_type=str | bytes,
                              reconnect_delay=0.05, max_reconnect_attempts=None)  # fmt: skip
        async with store:
            yield Stage(log, server, store)


@asynccontextmanager
async def sending(stage: Stage, **options: Any) -> AsyncIterator[Outbound]:
    made = Outbound(stage.log, stage.store, ["c"], Sending(**options))
    made.start()
    try:
        yield made
    finally:
        await made.aclose()


def with_id(record: Record) -> dict[str, Any]:
    return {"id": record.id, **record.json()}


def answered(record: Record, message: Any) -> bool:
    return bool(json.loads(message).get("ack") == record.id)


async def test_records_are_sent_in_order_and_once(log_server: NatsServer, stream: str) -> None:
    async with stage(log_server, stream) as at:
        await at.write(*map(str, range(100)))
        async with sending(at) as out:
            await until(lambda: out.stats.sent == 100)
            assert at.server.received == [{"n": str(n)} for n in range(100)]
            assert await at.unacknowledged() == 0
        async with sending(at):  # another time: nothing is left
            await at.write("more")
            await until(lambda: len(at.server.received) == 101)


async def test_binary_records_go_out_as_binary(log_server: NatsServer, stream: str) -> None:
    async with stage(log_server, stream) as at, sending(at):
        await at.log.publish(Record("c", b"\x00\xff", "b", "out", text=False))
        await until(lambda: at.server.received == [b"\x00\xff"])


async def test_what_is_not_answered_comes_again_with_its_id(
    log_server: NatsServer, stream: str
) -> None:
    async with stage(log_server, stream) as at:  # the peer answers nothing
        await at.write("x", "y")
        async with sending(at, encode=with_id, ack=answered, timeout=0.3) as out:
            await until(lambda: len(at.server.received) >= 2)
            assert {message["id"] for message in at.server.received} == {"x"}
            assert out.stats.sent == 0
            at.server.answer()
            await until(lambda: out.stats.sent == 2)
            assert out.stats.again > 0
            assert at.server.received[-1] == {"id": "y", "n": "y"}
            assert await at.unacknowledged() == 0


async def test_nothing_is_taken_while_the_store_is_not_connected(
    log_server: NatsServer, stream: str
) -> None:
    async with stage(log_server, stream) as at, sending(at) as out:
        await at.write("1")
        await until(lambda: out.stats.sent == 1)
        at.store.disconnect()
        await at.store.wait_for(lambda state: not state.is_connected, 5)
        await at.write("2")
        await asyncio.sleep(0.3)
        assert out.stats.sent == 1
        at.store.connect()
        await until(lambda: out.stats.sent == 2)
        assert at.server.received == [{"n": "1"}, {"n": "2"}]


async def test_a_lost_connection_loses_nothing(log_server: NatsServer, stream: str) -> None:
    async with (
        stage(log_server, stream, acks=True) as at,
        sending(at, encode=with_id, ack=answered, timeout=2) as out,
    ):
        for n in range(0, 60, 20):
            await at.write(*map(str, range(n, n + 20)))
            at.server.drop("c")
        await until(lambda: out.stats.sent >= 60, timeout=15)
        sent = [message["id"] for message in at.server.received]
        assert set(sent) == {str(n) for n in range(60)}
        assert await at.unacknowledged() == 0


async def test_what_the_peer_is_not_proved_to_have_comes_again(
    log_server: NatsServer, stream: str
) -> None:
    async with (
        SocketPeer() as peer,
        await connect_log(log_server.url, stream) as log,
        use_websocket(peer.url, reconnect_delay=0.05) as store,
    ):
        link = await peer.accepted(5)
        link.silence()
        for own in "xyz":
            await log.publish(Record("c", own.encode(), own, "out"))
        outbound = Outbound(log, store, ["c"])
        outbound.start()
        await until(lambda: store.stats.sent == 3)
        link.reset()
        link = await peer.accepted(5)
        assert [await link.receive(5) for _ in range(3)] == ["x", "y", "z"]
        await until(lambda: outbound.stats.sent == 3)
        assert outbound.stats.again == 3
        await outbound.aclose()


async def test_a_proof_that_comes_late_repeats_nothing(log_server: NatsServer, stream: str) -> None:
    async with (
        SocketPeer() as peer,
        await connect_log(log_server.url, stream) as log,
        use_websocket(peer.url) as store,
    ):
        link = await peer.accepted(5)
        link.silence()
        # The log would give a record again after 2.4 s.
        outbound = Outbound(log, store, ["c"], Sending(timeout=0.2))
        outbound.start()
        await log.publish(Record("c", b"slow", "x", "out"))
        await until(lambda: store.stats.sent == 1)
        await asyncio.sleep(3)
        assert (outbound.stats.sent, outbound.stats.again) == (0, 0)
        link.resume()
        await until(lambda: outbound.stats.sent == 1)
        assert store.stats.sent == 1
        await outbound.aclose()


async def test_copies_share_the_records_of_a_channel(log_server: NatsServer, stream: str) -> None:
    async with (
        stage(log_server, stream) as at,
        sending(at, in_flight=4) as one, sending(at, in_flight=4) as other,
    ):  # fmt: skip
        await at.write(*map(str, range(50)))
        await until(lambda: one.stats.sent + other.stats.sent == 50)
        found = sorted(int(message["n"]) for message in at.server.received)
        assert found == [*range(50)]


def test_a_record_that_can_not_be_encoded_is_taken_out(
    log_server: NatsServer, stream: str, caplog: pytest.LogCaptureFixture
) -> None:
    def encode(record: Record) -> Any:
        return record.json()["other"]

    async def main() -> None:
        async with stage(log_server, stream) as at, sending(at, encode=encode) as out:
            await at.write("secret")
            await until(lambda: out.stats.refused == 1)
            await at.log.publish(Record("c", b'{"other": "good"}', "b", "out"))
            await until(lambda: out.stats.sent == 1)
            assert await at.unacknowledged() == 0

    run(main)
    assert "encode raised KeyError" in caplog.text
    assert "secret" not in caplog.text


async def test_it_ends_with_its_store(log_server: NatsServer, stream: str) -> None:
    async with stage(log_server, stream) as at, sending(at) as out:
        await at.write("1")
        await until(lambda: out.stats.sent == 1)
        await at.store.aclose()
        await until(lambda: all(task.done() for task in out._tasks))


@pytest.mark.parametrize("fields", [{"timeout": 0}, {"in_flight": 0}])
def test_numbers_that_can_not_work_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        Sending(**fields)  # type: ignore[arg-type]
