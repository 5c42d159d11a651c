"""`BatchClient`: the same messages as by `nats-py` itself, however the bytes are cut."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")

from nats.errors import ConnectionClosedError, FlushTimeoutError, ProtocolError
from nats.protocol.parser import Parser

from heimdall_reactive.dataflow import Record, batch_client, connect_log, use_log
from heimdall_reactive.dataflow.batch_client import BatchClient, BatchParser
from heimdall_reactive.dataflow.checked_client import CheckedClient
from heimdall_reactive.dataflow.nats_client import close_client
from heimdall_reactive.dataflow.publisher import LogPublisher
from heimdall_reactive.dataflow.pulling import Incoming, raw_headers
from tests.support import run

from .nats_server import NatsServer

Told = tuple[Any, ...]


class Noting:
    """What a parser calls of its client."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None
    ) -> None:
        self.told.append((sid, bytes(subject), bytes(reply), data, headers or b""))

    async def _process_ping(self) -> None:
        self.told.append(("ping",))

    async def _process_pong(self) -> None:
        self.told.append(("pong",))

    async def _process_err(self, text: str) -> None:
        self.told.append(("error", text))

    async def _process_info(self, info: dict[str, Any]) -> None:
        self.told.append(("info", info))

    def taker(self, sid: int) -> Callable[[Sequence[Incoming]], None]:
        """Return what takes the messages of a subscription, noted as those of the parser are."""

        def take(batch: Sequence[Incoming]) -> None:
            assert batch
            self.told += [(sid, name, reply, data, head) for name, reply, head, data in batch]

        return take


def wire_of(message: tuple[int, str, bytes | None, bytes]) -> bytes:
    sid, reply, headers, data = message
    names = " ".join(filter(None, ("a.b", str(sid), reply)))
    if headers is None:
        return f"MSG {names} {len(data)}\r\n".encode() + data + b"\r\n"
    head = f"HMSG {names} {len(headers)} {len(headers) + len(data)}\r\n".encode()
    return head + headers + data + b"\r\n"


payloads = st.binary(max_size=30) | st.sampled_from([b"\r\n", b"MSG a 1 5\r\n", b"PING\r\n" * 9])
headers = st.none() | st.just(raw_headers({"a": "b"})) | st.just(b"NATS/1.0 503\r\n\r\n")
messages = st.tuples(
    st.sampled_from([1, 2, 11]), st.sampled_from(["", "$JS.ACK.x"]), headers, payloads
).map(wire_of)
lines = st.sampled_from([
    b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'Permissions Violation for Publish to \"a\"'\r\n",
    b'INFO {"max_payload": 7}\r\n', b"-ERR '1 1 1 1'\r\n",
])  # fmt: skip


@settings(deadline=None)
@given(st.lists(messages | lines, max_size=12), st.lists(st.integers(1, 40), max_size=30))
@example([wire_of((1, "", None, b"x" * 100))], [1] * 99)
def test_messages_are_those_of_nats_py_however_they_are_cut(
    sent: list[bytes], sizes: list[int]
) -> None:
    async def parsed(parser: Any) -> None:
        data = b"".join(sent)
        for size in sizes:
            await parser.parse(data[:size])
            data = data[size:]
        await parser.parse(data)

    async def main() -> None:
        ours, theirs = Noting(), Noting()
        parser: Any = BatchParser(ours)  # type: ignore[arg-type]
        parser.takers.update({b"1": ours.taker(1), b"11": ours.taker(11)})
        await parsed(parser)
        await parsed(Parser(theirs))
        assert ours.told == theirs.told

    run(main)


@pytest.mark.parametrize("line", [b"WHAT\r\n", b"MSG a 1 what\r\n", b"MSG\r\n", b"\r\n"])
async def test_what_is_no_nats_ends_the_connection(line: bytes) -> None:
    parser: Any = BatchParser(Noting())  # type: ignore[arg-type]
    with pytest.raises(ProtocolError):
        await parser.parse(line)


async def test_what_came_of_an_earlier_connection_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noting = Noting()
    parser: Any = BatchParser(noting)  # type: ignore[arg-type]

    async def reset(_: str) -> None:
        parser.reset()

    monkeypatch.setattr(noting, "_process_err", reset)
    await parser.parse(b"-ERR 'stale connection'\r\nMSG a 1 5\r\nhe")
    await parser.parse(b"PING\r\n")
    assert noting.told == [("ping",)]


async def test_a_taker_that_raises_costs_its_batch_and_not_the_connection(
    log_server: NatsServer,
) -> None:
    client, bad, good = BatchClient(), asyncio.Event(), asyncio.Event()
    await client.connect(log_server.url)

    def take(batch: Sequence[Incoming]) -> None:
        if batch[0][3] == b"bad":
            bad.set()
            raise LookupError
        good.set()

    subscription = await client.subscribe_batches("batches.of.mine", take)
    for which, event in ((b"bad", bad), (b"good", good)):
        await client.publish_batch([(b"batches.of.mine", b"", raw_headers({}), which)])
        async with asyncio.timeout(5):
            await event.wait()
    await subscription.unsubscribe()
    parser: Any = client._parser
    assert not parser.takers
    await client.close()
    with pytest.raises(ConnectionClosedError):
        await client.publish_batch([(b"batches.of.mine", b"", raw_headers({}), b"late")])


async def test_a_connection_that_nobody_reads_any_more_has_no_pong(
    mortal_server: NatsServer,
) -> None:
    client = CheckedClient()
    await client.connect(mortal_server.url)
    await client.pong()
    assert mortal_server._process is not None
    os.kill(mortal_server._process.pid, signal.SIGSTOP)
    pid = mortal_server._process.pid
    os.waitid(os.P_PID, pid, os.WSTOPPED)  # noqa: ASYNC222 - soon, and until then it answers
    with pytest.raises(FlushTimeoutError):
        await client.flush(cast("int", 0.05))
    os.kill(mortal_server._process.pid, signal.SIGCONT)
    reading: Any = client._reading_task
    await asyncio.wait({reading}, timeout=10)  # it ends with the pong that nobody waits for
    await client.flush()  # `nats-py` sees nothing wrong
    with pytest.raises(ConnectionClosedError):
        await client.pong()
    await close_client(client)


@pytest.fixture(params=["by the batch", "one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take a part of `nats-py` away for the second."""
    if request.param == "one by one":
        monkeypatch.setattr(batch_client, "PARTS", (*batch_client.PARTS, "_removed"))
    return str(request.param)


async def test_the_log_is_written_and_read_by_both_ways(
    log_server: NatsServer, stream: str, way: str
) -> None:
    count, read = 700, []
    log = await connect_log(log_server.url, stream)
    assert (log.client._parser is not None) == (way == "by the batch")
    publisher = LogPublisher(log.dial, stream)
    publisher.start()
    for number in range(count):
        await publisher.put(Record("c", b"%d" % number, str(number), received=1.5))
    async with asyncio.timeout(10):
        await publisher.flush()
    assert await publisher.aclose() == 0
    async with use_log(stream, servers=log_server.url, start="first") as store:
        done = asyncio.Event()

        def take(message: Any) -> None:
            read.append(message)
            if len(read) == count:
                done.set()

        store.messages.subscribe(take)
        async with asyncio.timeout(10):
            await done.wait()
    assert read == list(range(count))
    last = await log.last("c")
    assert last is not None
    assert (last.id, last.received) == (str(count - 1), 1.5)
    await log.aclose()


def test_nats_py_is_made_as_the_batches_need_it() -> None:
    """Fails with the version of `nats-py` that needs the slow way."""
    assert BatchClient()._parser is not None, "PARTS of batch_client.py"
