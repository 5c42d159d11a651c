"""What the wire promises, over real sockets; and what of `websockets` it relies upon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import struct
import sys
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import (
    CertificateError,
    CloseInfo,
    ConnectError,
    ConnectTimeout,
    HandshakeRefused,
    Status,
    StoreOptions,
    use_websocket,
)
from heimdall_reactive.connecting.codec import encode
from heimdall_reactive.transports.deafness import deafen
from heimdall_reactive.transports.websockets_dial import dial
from tests.peers import answer_to, frame, peer, quick, raw_peer
from tests.socket_peer import build_close
from tests.socket_peer.frames import FrameReader
from tests.support import descriptors, fate, record, run, until
from tests.transports.bench import Notes

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter


def writing(*chunks: bytes, then_close: bool = False) -> Any:
    """Write the chunks, then read until the client goes."""

    async def handler(reader: Reader, writer: Writer) -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        if then_close:
            return
        while await reader.read(4096):
            pass

    return handler


def test_websockets_still_has_what_the_wire_overrides() -> None:
    for name in (
        "process_event",
        "data_received",
        "connection_lost",
        "resume_writing",
        "send_data",
    ):
        assert callable(getattr(ClientConnection, name))


async def test_fragments_and_whole_messages_keep_their_order_also_in_one_segment() -> None:
    burst = b"".join(
        (
            frame(TEXT, b'"a', fin=False),
            frame(PING, b"p"),
            frame(CONT, b'bc"'),
            frame(TEXT, b"1"),
            frame(BINARY, b"x", fin=False),
            frame(CONT, b"y"),
            frame(TEXT, b"2"),
        )
    )
    async with raw_peer(writing(burst)) as url, quick(url) as store:
        hot = record(store.messages)
        await until(store, lambda: len(hot) == 4)
        assert hot == ["abc", 1, b"xy", 2]


async def test_a_frame_right_behind_the_handshake_comes_after_the_announcement() -> None:
    async with raw_peer(writing(frame(TEXT, b"1"))) as url, quick(url) as store:
        seen: list[Any] = []
        store.is_connected.subscribe(seen.append)
        store.messages.subscribe(seen.append)
        await until(store, lambda: 1 in seen and len(seen) == 3)
        assert seen == [False, True, 1]
        assert type(seen[2]) is int


async def test_nothing_is_read_behind_a_failure_also_in_the_same_segment() -> None:
    burst = frame(TEXT, b"1") + frame(TEXT, b'"\xff"') + frame(TEXT, b"2")
    async with raw_peer(writing(burst)) as url, quick(url, max_reconnect_attempts=0) as store:
        seen = record(store.messages)
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert state.close is not None
        assert (state.close.code, seen) == (1007, [1])


class Count:
    """Counts the frames that it is given."""

    def __init__(self) -> None:
        self.frames = 0
        self.got = asyncio.Event()

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        self.frames += 1
        self.got.set()

    def on_ping(self) -> None: ...

    def on_pong(self) -> None: ...

    def on_latency(self, seconds: float) -> None: ...
    def on_writable(self) -> None: ...
    def on_closed(self, close: CloseInfo) -> None: ...


async def test_what_comes_before_the_announcement_is_held_and_bounded() -> None:
    stuck = asyncio.Event()

    async def flood(reader: Reader, writer: Writer) -> None:
        try:
            while True:
                writer.write(frame(TEXT, b"x" * 1000) * 100)
                await asyncio.wait_for(writer.drain(), 0.3)
        except TimeoutError:
            stuck.set()
        while await reader.read(4096):
            pass

    async with raw_peer(flood) as url:
        wire = await dial(url, [], None, StoreOptions(compression=None))
        await asyncio.wait_for(stuck.wait(), 8)  # the peer can write no more
        count = Count()
        wire.start(count)
        held = count.frames
        assert 0 < held < 1000
        count.got.clear()
        await asyncio.wait_for(count.got.wait(), 8)
        assert count.frames > held
        wire.kill()


async def test_messages_and_the_close_of_one_segment_arrive_in_order() -> None:
    burst = b"".join(frame(TEXT, b"%d" % n) for n in range(5))
    burst += frame(CLOSE, (4401).to_bytes(2, "big") + b"expired")
    async with raw_peer(writing(burst)) as url, quick(url, access_token="t") as store:
        seen: list[Any] = []
        store.messages.subscribe(seen.append)
        store.is_connected.skip(1).subscribe(seen.append)
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert seen == [True, 0, 1, 2, 3, 4, False]
        assert state.close is not None
        assert (state.close.code, state.close.reason) == (4401, "expired")


async def test_too_many_fragments_close_with_1009() -> None:
    burst = frame(TEXT, b"x", fin=False) + frame(CONT, b"x", fin=False) * 4100
    async with (
        raw_peer(writing(burst)) as url,
        quick(url, auto_reconnect=False, close_timeout=0.1) as store,
    ):
        state = await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
        assert state.close is not None
        assert (state.close.code, state.close.who) == (1009, "client")
        assert state.close.reason == "too many fragments"


async def test_what_came_before_the_end_of_a_socket_is_pushed_when_the_wire_starts() -> None:
    burst = frame(TEXT, b"1") + frame(BINARY, b"2", fin=False) + frame(CONT, b"3")
    async with raw_peer(writing(burst)) as url:
        wire: Any = await dial(url, [], None, StoreOptions(compression=None))
        while not wire._unread:  # noqa: ASYNC110 - nobody is notified of it
            await asyncio.sleep(0.001)
        wire.transport.abort()
        await wire.wait_closed()
        notes = Notes()
        wire.start(notes)
        assert notes.told == [
            (b"1", True), (b"23", False),
            CloseInfo(1006, "the socket ended without a close frame"),
        ]  # fmt: skip


class Raising(Notes):
    """Notes a frame, and cannot handle it."""

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        super().on_frame(data, text)
        raise LookupError("secret")


@pytest.mark.parametrize("fin", [True, False], ids=["whole", "in fragments"])
def test_a_receiver_that_raises_closes_with_1011_and_gets_nothing_more(
    fin: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        message = frame(TEXT, b"1", fin=fin) + (b"" if fin else frame(CONT, b"2"))
        async with raw_peer(writing(message + frame(TEXT, b"3"), frame(TEXT, b"4"))) as url:
            options = StoreOptions(compression=None, close_timeout=0.1)
            wire = await dial(url, [], None, options)
            notes = Raising()
            wire.start(notes)
            await asyncio.wait_for(notes.ended.wait(), 8)
            assert notes.told == [
                (b"1" if fin else b"12", True),
                CloseInfo(1011, "LookupError while receiving", "client"),
            ]

    run(main)
    (entry,) = caplog.records
    assert entry.getMessage().startswith("a frame could not be processed: LookupError at test_web")
    assert "secret" not in caplog.text


async def test_the_first_reason_for_which_we_fail_a_connection_is_told() -> None:
    async with raw_peer(writing()) as url:
        wire = await dial(url, [], None, StoreOptions(close_timeout=0.1))
        notes = Notes()
        wire.start(notes)
        wire.fail(4000, "first")
        wire.fail(4001, "second")
        await asyncio.wait_for(notes.ended.wait(), 8)
        assert notes.told == [CloseInfo(4000, "first", "client")]


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (b"\xff" * 20, 1002),
        (frame(CONT, b"orphan"), 1002),
        (frame(3, b"reserved"), 1002),
        (frame(CLOSE, (999).to_bytes(2, "big")), 1002),
        (frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
        (frame(TEXT, b"\xff"), 1007),
        (b"\x81\x7f" + (2**40).to_bytes(8, "big"), 1009),
    ],
)
async def test_garbage_ends_in_time_also_where_the_peer_keeps_tcp_open(
    garbage: bytes, code: int
) -> None:
    async with (
        raw_peer(writing(garbage)) as url,
        quick(url, auto_reconnect=False, close_timeout=0.1) as store,
    ):
        state = await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
        assert state.close is not None
        assert (state.close.code, state.close.who) == (code, "client")


async def test_a_close_frame_with_tcp_held_open_is_seen_in_time() -> None:
    close = frame(CLOSE, (1001).to_bytes(2, "big"))
    async with (
        raw_peer(writing(close)) as url,
        quick(url, auto_reconnect=False, close_timeout=0.1, ping_interval=None) as store,
    ):
        state = await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 8)
        assert state.close is not None
        assert (state.close.code, state.close.who) == (1001, "server")


async def vanish(writer: Writer) -> None:
    """Hear and say nothing any more."""
    deafen(writer.transport)
    await asyncio.Future()


@pytest.mark.parametrize("flood", [False, True], ids=["silent", "full write buffer"])
async def test_a_peer_that_is_gone_is_noticed(flood: bool) -> None:
    async def gone(reader: Reader, writer: Writer) -> None:
        await vanish(writer)

    async with (
        raw_peer(gone) as url,
        quick(url, auto_reconnect=False, ping_interval=0.2, ping_timeout=0.2) as store,
    ):
        await store.wait_connected(8)
        receipts = [store.send(b"x" * 2**20) for _ in range(12)] if flood else []
        state = await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 15)
        assert state.close is not None
        assert (state.close.code, state.close.who) == (1006, "network")
        assert "ping" in state.close.reason
        if flood:  # a full buffer stops the writing, and what waits stays in order
            assert receipts[-1].state == "queued"
            assert store.stats.queued > 0


async def test_any_byte_of_the_peer_counts_as_a_sign_of_life() -> None:
    async def chatty(reader: Reader, writer: Writer) -> None:
        for _ in range(10):
            writer.write(frame(TEXT, b"1"))
            await asyncio.sleep(0.1)  # a second in all: longer than the timeout
        writer.write(frame(TEXT, b"2"))
        await vanish(writer)

    async with (
        raw_peer(chatty) as url,
        quick(url, auto_reconnect=False, ping_interval=0.1, ping_timeout=0.6) as store,
    ):
        hot = record(store.messages)
        await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 15)
        assert hot[-1] == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a peer has taken")
@pytest.mark.parametrize("reads", [True, False])
async def test_a_peer_that_answers_no_ping_and_takes_what_we_write_lives(reads: bool) -> None:
    """A server whose handler only pushes; the timeout of the pings passes five times."""
    dies = asyncio.Event()

    async def push_only(reader: Reader, writer: Writer) -> None:
        if not reads:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(1.0)
        writer.write(frame(TEXT, b"1"))
        await asyncio.sleep(1.0)
        writer.write(frame(TEXT, b"2"))
        await dies.wait()
        await vanish(writer)

    async with (
        raw_peer(push_only) as url,
        quick(url, auto_reconnect=False, ping_interval=0.2, ping_timeout=0.2) as store,
    ):
        hot = record(store.messages)
        await until(store, lambda: len(hot) == 2)
        assert (store.state.value.session, store.latency.value) == (1, None)
        dies.set()
        state = await store.wait_for(lambda s: not s.is_connected, 8)
        assert state.close is not None
        assert state.close.reason == "keepalive ping timeout"


def test_writing_goes_on_when_the_peer_reads_again() -> None:
    async def main() -> None:
        go = asyncio.Event()
        got = 0

        async def handler(reader: Reader, writer: Writer) -> None:
            nonlocal got
            await go.wait()
            while chunk := await reader.read(2**20):
                got += len(chunk)

        async with raw_peer(handler) as url, quick(url, ping_interval=None) as store:
            await store.wait_connected(8)
            receipts = [store.send(b"x" * 2**20) for _ in range(12)]
            assert fate(receipts[0]) == "written"
            assert receipts[-1].state == "queued"
            go.set()
            await asyncio.wait_for(receipts[-1], 8)
            assert {fate(r) for r in receipts} == {"written"}

    run(main)


async def test_a_slow_observer_does_not_cost_the_connection_its_keep_alive() -> None:
    async def flood(ws: ServerConnection) -> None:
        for n in range(2000):
            await ws.send(f"{n}")
        await ws.wait_closed()

    async with (
        peer(flood, ping_interval=0.1, ping_timeout=1) as url,
        quick(url, ping_interval=0.1, ping_timeout=1) as store,
    ):
        hot = record(store.messages)
        late: list[Any] = []

        async def consume() -> None:
            while len(late) < 40:  # for longer than the timeout
                await asyncio.sleep(0.03)
                late.append(store.last_message.value)

        await consume()
        await until(store, lambda: len(hot) == 2000)
        assert hot == list(range(2000))
        assert store.state.value.session == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [(b"", ConnectError), (b"garbage\r\n\r\n", ConnectError), (None, ConnectTimeout)],
)
async def test_an_upgrade_that_is_not_answered_properly_is_a_failed_attempt(
    answer: bytes | None, error: type[Exception]
) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)

    async with (
        raw_peer(handler, upgrade=False) as url,
        quick(url, max_reconnect_attempts=0, open_timeout=0.2) as store,
    ):
        state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
        assert isinstance(state.error, error)


async def test_closing_is_quick_under_a_flood() -> None:
    async def flood(reader: Reader, writer: Writer) -> None:
        try:
            while True:
                writer.write(frame(TEXT, b"1") * 100)
                await writer.drain()
                await asyncio.sleep(0)  # on some loops drain() does not let others run
        except ConnectionError:
            return

    async with raw_peer(flood) as url:
        store = quick(url, close_timeout=0.2)
        await store.wait_connected(8)
        loop = asyncio.get_running_loop()
        before = loop.time()
        await store.aclose()
        assert loop.time() - before < 4.0  # without a deadline of its own it never ends


def test_a_proxy_of_the_environment_is_not_used_for_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")

    async def main() -> None:
        async with peer(lambda ws: ws.wait_closed()) as url, quick(url) as store:
            await store.wait_connected(8)

    run(main)


def test_the_token_is_in_no_log_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        async with (
            peer(lambda ws: ws.wait_closed(), logger=logging.getLogger("peer.quiet")) as url,
            quick(url, access_token="c4nary") as store,
        ):
            await store.wait_connected(8)
            assert "c4nary" not in repr(vars(store._core.connection))

    logging.getLogger("peer.quiet").setLevel(logging.INFO)
    run(main)
    assert "c4nary" not in caplog.text


@pytest.mark.leaky
async def test_a_certificate_is_verified_and_an_unknown_one_is_not_retried(
    certificate: Path,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    async with peer(lambda ws: ws.wait_closed(), ssl=context) as url:
        secure = url.replace("ws://127.0.0.1", "wss://localhost")
        async with quick(secure) as store:
            state = await store.wait_for(lambda s: s.status is Status.FAILED, 8)
            assert isinstance(state.error, CertificateError)
            assert store.stats.attempts == 1
        async with quick(secure, ssl=trusting, access_token="t") as store:
            await store.wait_connected(8)


async def test_a_port_that_nobody_listens_on_is_retried() -> None:
    async with use_websocket("ws://127.0.0.1:9/", reconnect_delay=0.01) as store:
        state = await store.wait_for(lambda s: s.attempt == 2, 8)
        said = "no connection: Connection refused (ws://127.0.0.1:9/)"
        assert str(state.error) == said


async def test_a_socket_that_was_reset_says_so() -> None:
    async def reset(reader: Reader, writer: Writer) -> None:
        await reader.readexactly(1)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with raw_peer(reset) as url:
        wire = await dial(url, [], None, StoreOptions())
        notes = Notes()
        wire.start(notes)
        await asyncio.wait_for(notes.ended.wait(), 8)
        assert notes.told == [CloseInfo(1006, "the connection was reset")]


# The answer to the upgrade


HELD = b"Content-Length: 1000000\r\n\r\n<html>"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n5\r\n<html\r\n"
LONG = b"Content-Length: 2000000\r\n\r\n" + b"x" * 200_000
ENDLESS = b"\r\n" + b"x" * 200_000


@pytest.mark.parametrize(
    "body", [HELD, CHUNKED, LONG, ENDLESS], ids=["held", "chunked", "long", "endless"]
)
@pytest.mark.parametrize("status", [401, 404, 503])
async def test_the_status_of_a_refusal_decides_as_soon_as_the_headers_are_in(
    status: int, body: bytes
) -> None:
    async def refuse(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d No\r\nRetry-After: 7\r\n" % status + body)
        await reader.read()

    async with raw_peer(refuse, upgrade=False) as url:
        with pytest.raises(HandshakeRefused) as caught:
            await dial(url, [], None, StoreOptions(open_timeout=20.0))
    assert (caught.value.http_status, caught.value.retry_after) == (status, 7.0)


@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_interim_answers_precede_the_one_that_counts(step: int) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"

    async def switch(reader: Reader, writer: Writer) -> None:
        answer = interim + answer_to(await reader.readuntil(b"\r\n\r\n")) + frame(1, b'"hello"')
        for at in range(0, len(answer), step):
            writer.write(answer[at : at + step])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    async with raw_peer(switch, upgrade=False) as url, quick(url) as store:
        await until(store, lambda: store.last_message.value == "hello")
        assert store.stats.attempts == 1


@pytest.mark.parametrize("value", [b"Upgrade", b"keep-alive, Upgrade"])
async def test_what_comes_together_with_the_answer_counts(value: bytes) -> None:
    async def all_at_once(reader: Reader, writer: Writer) -> None:
        answer = answer_to(await reader.readuntil(b"\r\n\r\n"))
        answer = answer.replace(b"Connection: Upgrade", b"Connection: " + value)
        said = frame(PONG, b"unasked") + frame(TEXT, b'"full"') + build_close(4001, "later")
        await writing(answer + said)(reader, writer)

    async with raw_peer(all_at_once, upgrade=False) as url, quick(url) as store:
        messages, ends = record(store.messages), record(store.select(lambda s: s.close))
        await until(store, lambda: any(ends))
        first = next(filter(None, ends))
    assert (messages[0], first.code, first.reason) == ("full", 4001, "later")


# A peer that does not close the socket


async def held(reader: Reader, writer: Writer, gone: asyncio.Event, *chunks: bytes) -> None:
    """Write the chunks, and keep the socket until the client goes."""
    try:
        await writing(*chunks)(reader, writer)
    except ConnectionError:
        pass
    finally:
        gone.set()


def sockets_to(url: str) -> int:
    """Return how many sockets of this process are connected to a peer."""
    port, count = int(url.rpartition(":")[2].strip("/")), 0
    for descriptor in descriptors():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(descriptor))) as sock:
            count += sock.family == socket.AF_INET and sock.getpeername()[1] == port
    return count


GOING = build_close(1012, "restart")


@pytest.mark.parametrize("stuck", [False, True], ids=["idle", "the peer reads nothing"])
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("retry", [False, True])
@pytest.mark.leaky
async def test_a_close_frame_ends_connected_at_once_where_the_peer_keeps_tcp_open(
    stuck: bool, secure: bool, retry: bool, certificate: Path
) -> None:
    go, gone, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(reader: Reader, writer: Writer) -> None:
        await go.wait()
        writer.write(GOING)
        if stuck:
            await over.wait()
        await held(reader, writer, gone)

    tls: dict[str, Any] = {}
    options: dict[str, Any] = {"auto_reconnect": retry, "reconnect_delay": 60}
    if secure:
        tls["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls["ssl"].load_cert_chain(certificate)
        authority = str(certificate.with_suffix(".crt"))
        options["ssl"] = ssl.create_default_context(cafile=authority)
    async with raw_peer(handler, **tls) as url:
        if secure:
            url = url.replace("ws://127.0.0.1", "wss://localhost")
        store = use_websocket(url, **options)
        await store.wait_connected(8)
        if stuck:  # until the socket takes no more
            while fate(store.send(b"x" * 2**20)) == "written":
                pass
        go.set()
        # In far less than the default `close_timeout` of 10 s.
        state = await store.wait_for(lambda s: s.status is not Status.CONNECTED, 4)
        assert state.status is (Status.WAITING if retry else Status.DISCONNECTED)
        assert state.close == CloseInfo(1012, "restart", "server")
        async with asyncio.timeout(4):
            await store.aclose()
        assert sockets_to(url) == 0
        over.set()
        async with asyncio.timeout(4):
            await gone.wait()


@pytest.mark.parametrize(
    ("violation", "code"),
    [(b"\xff" * 20, 1002), (frame(TEXT, b"\xff"), 1007), (frame(BINARY, b"x" * 2000), 1009)],
)
async def test_a_ping_time_out_while_we_close_keeps_our_code(violation: bytes, code: int) -> None:
    async with (
        raw_peer(writing(violation)) as url,
        quick(
            url, auto_reconnect=False, max_size=1000, ping_interval=0.05, ping_timeout=0.1,
            close_timeout=2,
        ) as store,
    ):  # fmt: skip
        state = await store.wait_for(lambda s: s.status is Status.DISCONNECTED, 15)
        assert state.close is not None
        assert (state.close.code, state.close.who) == (code, "client")


@pytest.mark.parametrize(
    ("opened", "count"), [(False, 200_000), (True, 20_000)], ids=["between messages", "in one"]
)
async def test_a_peer_that_pings_and_does_not_read_costs_no_memory(
    opened: bool, count: int
) -> None:
    newest, go = b"%d" % (count - 1), asyncio.Event()
    pongs: list[bytes] = []

    async def handler(reader: Reader, writer: Writer) -> None:
        await go.wait()
        if opened:
            writer.write(frame(TEXT, b'"', fin=False))
        for start in range(0, count, 1000):
            writer.write(b"".join(frame(PING, b"%d" % n) for n in range(start, start + 1000)))
            await writer.drain()
        writer.write(frame(CONT, b'"') if opened else frame(TEXT, b'""'))
        await pinged.wait()
        frames = FrameReader()
        while newest not in pongs and (data := await reader.read(2**20)):
            pongs.extend(each.payload for each in frames.feed(data) if each.opcode == PONG)
        answered.set()

    pinged, answered, notes = asyncio.Event(), asyncio.Event(), Count()
    async with raw_peer(handler) as url:
        wire: Any = await dial(url, [], None, StoreOptions(ping_interval=None))
        wire.start(notes)
        frame_of_ours = encode(b"x" * 2**20)
        while wire.writable:  # until the socket takes no more
            wire.write(frame_of_ours)
        full = wire.transport.get_write_buffer_size()
        go.set()
        await asyncio.wait_for(notes.got.wait(), 40)
        assert wire.transport.get_write_buffer_size() == full
        assert wire.protocol.writes == []
        pinged.set()
        await asyncio.wait_for(answered.wait(), 20)
        assert pongs == [newest]
        wire.kill()
