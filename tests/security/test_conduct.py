"""Logs, randomness and time, whatever a server does: T20 to T25 of the list in docs/security.md."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from email.utils import formatdate
from typing import Any

import pytest
from pydantic import BaseModel

from heimdall_reactive import (
    ConfigurationError,
    ConnectionState,
    Status,
    WebSocketStore,
    create_websocket,
    use_websocket,
)
from heimdall_reactive.testing import Accept, CloseWith, Garbage, HttpAnswer, NoAnswer
from tests.peers import quick
from tests.socket_peer import EndlessHeader, Handshake, SocketPeer, build_frame
from tests.support import record, run, until

TEXT = 1
MIB = 2**20
EVIL = "x\r\nCRITICAL forged\x1b[2J\u202e\x85\u2028\x00y"


class Reading(BaseModel):
    celsius: float


async def ended(store: WebSocketStore[Any]) -> ConnectionState:
    over = (Status.FAILED, Status.DISCONNECTED, Status.WAITING)
    state: ConnectionState = await store.wait_for(lambda s: s.status in over, 15)
    return state


# T20 to T22: logs, Origin, keys


class Sly(Exception):
    """Its name and its text forge a line of the log."""


Sly.__name__ = Sly.__qualname__ = EVIL.replace("\x00", "")


def sly() -> str:
    raise Sly(EVIL)


def raises(_: object) -> None:
    raise Sly(EVIL)


def test_t20_one_record_of_the_log_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "heimdall_reactive")

    async def main() -> None:
        evil_type = {"type": EVIL, "celsius": EVIL, EVIL: EVIL}
        step = Accept(first_messages=[evil_type, EVIL, {"celsius": 1}])
        async with SocketPeer(step, CloseWith(1011, EVIL)) as peer:
            url = f"{peer.url}/{EVIL[-8:-3]}"
            tokens = iter([lambda: "token", sly])
            async with quick(
                peer.url, message_type=Reading, access_token=lambda: next(tokens, sly)()
            ) as store:
                store.messages.subscribe(raises)
                await store.wait_connected(2)
                await until(store, lambda: store.last_message.value is not None)
                (await peer.accepted(8)).close(1011, EVIL)
                await store.wait_for(lambda s: s.status is Status.FAILED, 8)
                seen: list[Any] = [store.state.value.close, store.state.value.error]
            async with use_websocket(url, access_token=sly, max_reconnect_attempts=0) as store:
                await ended(store)
            bad: Any = {"X-Evil": EVIL}
            with pytest.raises(ConfigurationError) as caught:
                quick(peer.url, additional_headers=bad)
            seen.append(caught.value)
            async with quick(peer.url, additional_headers=lambda: bad) as store:
                error = (await ended(store)).error
                assert isinstance(error, ConfigurationError)
                seen += [error, store]
        assert all("forged" not in str(one) or str(one).isprintable() for one in seen)

    run(main)
    lines = [each.getMessage() for each in caplog.records if each.name.startswith("heimdall")]
    assert len(lines) >= 4
    for line in lines:
        assert line.isprintable(), repr(line)
        assert len(line) < 800
    assert not any(each.exc_info for each in caplog.records)


async def test_t20_a_close_reason_is_one_line_of_bounded_length() -> None:
    step = CloseWith(1011, EVIL)
    async with SocketPeer(step) as peer, quick(peer.url, auto_reconnect=False) as store:
        close = (await ended(store)).close
        assert close is not None
        assert close.reason == "x??CRITICAL forged?[2J????y"


async def test_t21_an_origin_is_sent_only_where_one_is_given() -> None:
    async with SocketPeer() as peer:
        for origin in (None, "https://app.example"):
            async with quick(peer.url, origin=origin) as store:
                await store.wait_connected(8)
        assert [dial.headers.get("origin") for dial in peer.dials] == [
            None, "https://app.example",
        ]  # fmt: skip


async def test_t22_keys_and_masks_do_not_follow_the_seed_of_random() -> None:
    arrived: list[bytes] = []

    class Tap(SocketPeer):
        def _accept(self, side: Any) -> None:
            take = side.data_received

            def keep(data: bytes) -> None:
                arrived.append(data)
                take(data)

            side.data_received = keep
            super()._accept(side)

    async with Tap() as peer:
        for _ in range(2):
            random.seed(1)
            # Without pings: one may come in front of the frame, in the same segment.
            async with quick(peer.url, compression=None, ping_interval=None) as store:
                await store.wait_connected(8)
                link = await peer.accepted(8)
                await store.send("x" * 100)
                await link.receive(8)
        keys = {dial.headers["sec-websocket-key"] for dial in peer.dials}
        masks = {data[2:6] for data in arrived if data[:2] == b"\x81\xe4"}
        assert (len(keys), len(masks)) == (2, 2)


# T23 to T25: time

HOLDS: dict[str, Any] = {
    "no answer": NoAnswer(),
    "endless header": EndlessHeader(None),
    "dripping handshake": Handshake(bytes_per_second=20),
    "endless body": HttpAnswer(503, [("Content-Length", str(2**40))], b"x", hold=True),
    "close, held open": CloseWith(1001, hold=True),
    "garbage, held open": Garbage(b"\xff" * 50, hold=True),
}


@pytest.mark.parametrize("how", HOLDS)
async def test_t23_a_server_can_not_hold_a_store(how: str) -> None:
    loop = asyncio.get_running_loop()
    times: Any = {"open_timeout": 0.2, "close_timeout": 0.2, "auto_reconnect": False}
    async with SocketPeer(HOLDS[how]) as peer, quick(peer.url, **times) as store:
        before = loop.time()
        await ended(store)
        assert loop.time() - before < 10.0


RETRY_AFTER: dict[str, tuple[str, float | None]] = {
    "zero": ("0", 0.0),
    "seconds": ("2", 2.0),
    "negative": ("-5", None),
    "very long": ("1" + "0" * 12, 5.0),
    "digits of another script": ("\u0661", None),
    "a date": (formatdate(time.time() + 10**6, usegmt=True), 5.0),
    "a past date": ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    "a year of five digits": ("Wed, 21 Oct 99999 07:28:00 GMT", None),
    "garbage": ("soon", None),
    "a number that is none": ("1e3", None),
    "many digits": ("9" * 5000, None),
}


@pytest.mark.parametrize("name", RETRY_AFTER)
async def test_t24_a_server_can_not_postpone_the_next_attempt_beyond_the_bound(name: str) -> None:
    text, wait = RETRY_AFTER[name]
    began = time.time()
    async with SocketPeer(HttpAnswer(503, [("Retry-After", text)])) as peer:
        options: Any = {"max_retry_after": 5.0, "reconnect_delay": 1.0}
        async with quick(peer.url, **options) as store:
            state = await ended(store)
            assert state.retry_at is not None
            asked = max(1.0, wait or 0.0)
            assert state.retry_at - began >= asked
            assert state.retry_at - time.time() <= asked * 1.2


async def test_t24_a_retry_after_of_a_mebibyte_ends_the_attempt_and_not_the_store() -> None:
    step = HttpAnswer(503, [("Retry-After", "9" * MIB)])
    async with SocketPeer(step) as peer, quick(peer.url) as store:
        state = await ended(store)
        assert state.status in (Status.WAITING, Status.FAILED)
        assert len(str(state.error)) < 200


async def test_t25_slow_async_handlers_do_not_keep_the_loop_from_its_work() -> None:
    done: list[Any] = []
    answered, over = asyncio.Event(), asyncio.Event()

    async def slow(message: Any) -> None:
        await answered.wait()
        done.append(message)
        if len(done) == 30:
            over.set()

    async with SocketPeer(Accept(first_messages=range(30))) as peer:
        client = create_websocket(peer.url, on_message=slow, ping_interval=0.05)
        async with client:
            link = await peer.accepted(8)
            link.ping(b"alive?")
            await link.wait_for(lambda: any(f.payload == b"alive?" for f in link.frames))
            assert done == []
            answered.set()
            await asyncio.wait_for(over.wait(), 8)


async def test_t25_a_burst_of_small_messages_leaves_the_loop_responsive() -> None:
    loop = asyncio.get_running_loop()
    lags: list[float] = []

    def tick(since: float) -> None:
        lags.append(time.process_time() - since)
        if len(hot) < 20_001:
            loop.call_later(0.005, tick, time.process_time())

    async with SocketPeer() as peer, quick(peer.url) as store:
        hot = record(store.messages)
        link = await peer.accepted(8)
        loop.call_soon(tick, time.process_time())  # no clock: others may use the machine
        await link.flood(build_frame(TEXT, b"1"), 20_000)
        link.send("2")
        await until(store, lambda: store.last_message.value == 2)
        assert max(lags) < 1.0
