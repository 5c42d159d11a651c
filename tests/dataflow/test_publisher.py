"""`LogPublisher`: in order, and kept until acknowledged, whatever the log does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heimdall_reactive.dataflow import Ack, LogError, Record
from heimdall_reactive.dataflow.publisher import LogPublisher
from heimdall_reactive.dataflow.pulling import Incoming, Outgoing, headers_of, raw_headers
from tests.support import run

from .kills import until

Take = Callable[[Sequence[Incoming]], None]
Fate = str  # what happens to one publish: "fine", "cut", "lost ack", "error" or "large"


class FakeLog:
    """A log with de-duplication whose connections fail as a script says; after it, never."""

    def __init__(self, fates: list[Fate], slow: float = 0.0, never: str = "") -> None:
        self.fates = iter(fates)
        self.slow = slow  # seconds until it answers
        self.never = never  # the record that no stream of it takes
        self.stored: list[str] = []
        self.reachable = True

    async def dial(self, on_end: Callable[[str], Awaitable[None]]) -> Any:
        if not self.reachable:
            raise LogError("no connection")
        return FakeClient(self, on_end)

    def take(self, own: str) -> dict[str, Any]:
        if duplicate := own in self.stored:
            return {"seq": self.stored.index(own) + 1, "duplicate": duplicate}
        self.stored.append(own)
        return {"seq": len(self.stored)}


class FakeClient:
    max_payload = 10_000

    def __init__(self, log: FakeLog, on_end: Callable[[str], Awaitable[None]]) -> None:
        self._log = log
        self._on_end = on_end
        self._take: Take | None = None
        self._open = self._listens = True

    def new_inbox(self) -> str:
        return "_INBOX.x"

    async def subscribe_batches(self, _: str, take: Take) -> None:
        self._take = take

    async def publish_batch(self, messages: Sequence[Outgoing]) -> None:
        for _, reply, headers, _ in messages:
            self._publish(reply, headers_of(headers))

    def _publish(self, reply: bytes, headers: dict[str, str]) -> None:
        own = headers["Nats-Msg-Id"].rpartition(".")[2]
        if own == self._log.never:
            answer_later = asyncio.get_running_loop().call_later
            answer_later(0.01, self._answer, reply, {}, {"Status": "503"})
            return
        fate = next(self._log.fates, "fine") if self._open else "gone"
        if fate == "cut":
            self._open = False
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, self._on_end("cut"))
        if not self._open:
            return  # it went into a buffer, or was lost on the wire
        answer: dict[str, Any] = {"error": {"err_code": 10077, "description": "busy"}}
        if fate == "large":
            answer = {"error": {"err_code": 10054, "description": "too large"}}
        elif fate != "error":
            answer = self._log.take(own)
        else:
            self._open = False  # a log that refuses one must not get those behind it
        if fate != "lost ack":
            asyncio.get_running_loop().call_later(self._log.slow, self._answer, reply, answer)

    def _answer(
        self, reply: bytes, answer: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        if not self._listens:
            return
        assert self._take is not None
        raw = b"" if headers is None else raw_headers(headers)
        self._take([(reply, b"", raw, json.dumps(answer).encode())])

    async def close(self) -> None:
        self._open = self._listens = False


def publisher_of(log: FakeLog, **options: Any) -> LogPublisher:
    return LogPublisher(log.dial, "s", close=lambda client: client.close(), **options)


def record(number: int) -> Record:
    return Record("c", b"{}", str(number))


fates = st.sampled_from(["fine"] * 8 + ["cut", "lost ack", "error"])


@settings(max_examples=60, deadline=None)
@given(st.lists(fates, max_size=60), st.integers(1, 40), st.integers(1, 12))
def test_whatever_fails_the_log_gets_everything_once_and_in_order(
    script: list[Fate], count: int, window: int
) -> None:
    async def main() -> None:
        log, acked = FakeLog(script), []
        publisher = publisher_of(log, limit=10, window=window, ack_timeout=0.02, pause=0.0)
        publisher.start()
        for number in range(count):
            await publisher.put(record(number), lambda one, _: acked.append(one.id))
        await publisher.flush()
        assert log.stored == [str(number) for number in range(count)]
        assert sorted(acked, key=int) == log.stored
        assert publisher.stats.acknowledged == count
        assert publisher.stats.high_water <= 10
        assert await publisher.aclose() == 0

    run(main)


async def test_who_puts_more_than_the_limit_waits() -> None:
    log = FakeLog([])
    log.reachable = False
    publisher = publisher_of(log, limit=3)
    publisher.start()
    for number in range(3):
        await publisher.put(record(number))
    more = asyncio.create_task(publisher.put(record(3)))
    await asyncio.sleep(0.05)
    assert not more.done()
    log.reachable = True
    async with asyncio.timeout(5):
        await more
        await publisher.flush()
    assert log.stored == ["0", "1", "2", "3"]
    await publisher.aclose()


async def test_the_limit_counts_bytes_too() -> None:
    publisher = publisher_of(FakeLog([]), max_bytes=2000)
    publisher.add(Record("c", b"x" * 3000, "1"))  # one is always taken
    waiting = asyncio.create_task(publisher.put(record(2)))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    publisher.start()
    async with asyncio.timeout(5):
        await waiting
    await publisher.aclose()


async def test_what_the_log_never_takes_is_refused_and_the_rest_goes_on() -> None:
    settled: list[tuple[str, Ack | None]] = []
    log = FakeLog(["fine", "large"])
    publisher = publisher_of(log)
    publisher.start()
    for one in (record(1), record(2), Record("c", b"x" * 10_000, "3"), record(4)):
        await publisher.put(one, lambda one, ack: settled.append((one.id, ack)))
    await publisher.flush()
    assert log.stored == ["1", "4"]
    assert {own for own, ack in settled if ack is None} == {"2", "3"}
    assert publisher.stats.refused == 2
    await publisher.aclose()


async def test_what_was_not_acknowledged_at_the_end_is_counted() -> None:
    log = FakeLog(["lost ack"] * 5)
    publisher = publisher_of(log, ack_timeout=60)
    publisher.start()
    for number in range(3):
        await publisher.put(record(number))
    await until(lambda: len(log.stored) == 3)
    assert await publisher.aclose() == 3


@pytest.mark.heimdall_virtual_time
async def test_a_log_that_is_only_slow_gets_a_record_twice_and_not_without_end() -> None:
    log = FakeLog([], slow=8.0)
    publisher = publisher_of(log, ack_timeout=5.0)
    publisher.start()
    for number in range(3):
        await publisher.put(record(number))
        async with asyncio.timeout(60):
            await publisher.flush()
    assert log.stored == ["0", "1", "2"]
    assert publisher.stats.repeated == 1
    await publisher.aclose()


@pytest.mark.heimdall_virtual_time
async def test_a_record_that_no_stream_takes_is_tried_with_pauses_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = FakeLog([], never="0")
    publisher = publisher_of(log)
    publisher.start()
    for number in range(200):
        await publisher.put(record(number))
        await asyncio.sleep(0.05)
    await asyncio.sleep(2)
    assert sorted(log.stored, key=int) == [str(number) for number in range(1, 200)]
    assert publisher.stats.connections < 20
    assert "no stream takes s.in.c" in caplog.text
    assert await publisher.aclose() == 1


@pytest.mark.heimdall_virtual_time
async def test_the_lag_is_that_of_the_oldest_record() -> None:
    log = FakeLog([])
    log.reachable = False
    publisher = publisher_of(log)
    assert publisher.lag == 0.0
    publisher.start()
    await publisher.put(record(1))
    await asyncio.sleep(3)
    await publisher.put(record(2))
    assert publisher.lag == pytest.approx(3.0)
    assert not publisher.is_open
    log.reachable = True
    async with asyncio.timeout(5):
        await publisher.flush()
    assert publisher.lag == 0.0
    assert publisher.is_open
    await publisher.aclose()
