"""The example for Socket.IO against python-socketio, and against the npm server `socket.io`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from examples.protocols.socketio import PING, Packet, SocketIO
from heimdall_reactive import ProtocolSession, Status, WebSocketStore, use_websocket
from heimdall_reactive.testing import FaultProxy, Reset
from tests.support import beyond_doubt, fate, record

from .programs import node

socketio = pytest.importorskip("socketio", reason="pip install python-socketio aiohttp")
web = pytest.importorskip("aiohttp.web", reason="pip install python-socketio aiohttp")

TOKEN = "long-lived"
QUERY = "/?EIO=4&transport=websocket"


class Watched(SocketIO):
    """Tells when the server has pinged twice: it pings again only after an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.pings = 0
        self.pinged_twice = asyncio.Event()

    def receive(self, envelope: Packet, session: ProtocolSession) -> Any:
        self.pings += envelope.kind == PING
        if self.pings == 2:
            self.pinged_twice.set()
        return super().receive(envelope, session)


class Service:
    """A server that wants a token, echoes what asks for it, and takes notes."""

    def __init__(self) -> None:
        self.io = socketio.AsyncServer(
            async_mode="aiohttp", ping_interval=0.2, ping_timeout=20, monitor_clients=False
        )
        self.clients: list[str] = []
        self.notes: list[Any] = []
        self.io.on("connect", self.connect)
        self.io.on("echo", self.echo)
        self.io.on("note", self.note)

    async def connect(self, client: str, environ: Any, auth: Any) -> bool:
        self.clients.append(client)
        return bool(auth == {"token": TOKEN})

    async def echo(self, client: str, *arguments: Any) -> Any:
        return arguments

    async def note(self, client: str, value: Any) -> None:
        self.notes.append(value)

    def drop(self) -> None:
        self.io.get_environ(self.clients[-1])["aiohttp.request"].transport.abort()


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    before = asyncio.all_tasks()
    app = web.Application()
    service.io.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/socket.io{QUERY}"
    finally:
        await runner.cleanup()
        await asyncio.gather(*(asyncio.all_tasks() - before))  # its last pings


def store_of(url: str, protocol: SocketIO, token: str = TOKEN) -> WebSocketStore[Any]:
    options: Any = {"access_token": token, "message_type": Any, "reconnect_delay": 0.01}
    return use_websocket(url, protocol=protocol, **options)


async def test_events_and_acknowledgements_go_on_after_a_drop() -> None:
    service, protocol = Service(), Watched()
    async with serving(service) as url, store_of(url, protocol) as store:
        news, errors = record(store.channel("news")), record(store.errors)
        messages = record(store.messages)
        answers = [store.request(["echo", n, "é"], timeout=5) for n in range(3)]
        assert [(await answer).data for answer in answers] == [[n, "é"] for n in range(3)]
        await service.io.emit("news", 1)
        await service.io.call("news", (2, "b"), to=service.clients[-1], timeout=5)
        assert news == [1, [2, "b"]]
        service.drop()
        await store.wait_for(lambda state: not state.is_connected, 5)
        queued = store.send(["note", "queued"])
        await store.wait_for(lambda state: state.session == 2, 5)
        assert (await store.request(["echo", "after"], timeout=5)).data == ["after"]
        assert (fate(queued), service.notes) == ("written", ["queued"])
        await service.io.call("news", {"n": 3}, to=service.clients[-1], timeout=5)
        assert news == [1, [2, "b"], {"n": 3}]
        assert messages == [["news", 1], ["news", 2, "b"], ["news", {"n": 3}]]
        await asyncio.wait_for(protocol.pinged_twice.wait(), 5)
        assert (store.connected, len(service.clients)) == (True, 2)
        assert {getattr(error, "state", error) for error in errors} <= {"in_doubt"}


class Acknowledged(SocketIO, overlaps=False):
    """An event is delivered when the server's handler has returned."""

    acknowledges = True


async def test_events_that_are_sent_again_and_dropped_by_number_come_once_and_in_order() -> None:
    service = Service()
    again: Any = {"resend": True, "max_reconnect_attempts": None, "stable_after": 0.0}
    async with serving(service) as url:
        options: Any = {"access_token": TOKEN, "reconnect_delay": 0.01, "message_type": Any}
        async with use_websocket(url, protocol=Acknowledged(), **options, **again) as store:
            await store.wait_connected(5)
            receipts = []
            for n in range(200):
                receipts.append(store.send(["note", n]))
                if n % 50 == 25:
                    service.drop()
                    await store.wait_for(lambda state: not state.is_connected, 5)
                    await store.wait_connected(5)
            for receipt in receipts:
                await receipt.delivered(10)
            assert max(receipt.attempts for receipt in receipts) > 1
            assert (store.stats.delivered, store.stats.in_doubt) == (200, 0)
    assert list(dict.fromkeys(service.notes)) == list(range(200))


@pytest.fixture
def npm_server() -> Iterator[str]:
    with node("socketio.cjs", "socket.io") as url:
        yield url


async def test_events_of_the_npm_server_go_on_after_a_drop(npm_server: str) -> None:
    protocol = Watched()
    async with (
        FaultProxy(npm_server) as proxy,
        store_of(f"{proxy.url}{QUERY}", protocol) as store,
    ):

        async def ask(*values: Any) -> Any:
            return (await store.request(values, timeout=5)).data

        news, errors = record(store.channel("news")), record(store.errors)
        assert await ask("echo", "é", {"n": 1}) == ["é", {"n": 1}]
        await ask("news", 1)
        assert await ask("ask", 2) == [True]  # this client has acknowledged it, with nothing
        proxy.now(Reset())
        await store.wait_for(lambda state: not state.is_connected, 5)
        queued = store.send(["note", "queued"])
        await store.wait_for(lambda state: state.session == 2, 5)
        assert await ask("note", "after") == [2]
        await ask("news", 3, "c")
        assert news == [1, 2, [3, "c"]]
        await asyncio.wait_for(protocol.pinged_twice.wait(), 5)
        assert (fate(queued), beyond_doubt(errors), store.stats.invalid) == ("written", [], 0)
        store.send(["leave"])
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert "disconnected this client" in str(state.error)


async def test_the_npm_server_refuses_a_wrong_token(npm_server: str) -> None:
    async with store_of(npm_server + QUERY, SocketIO(), "wrong") as store:
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert "refused the connection" in str(state.error)


async def test_a_refused_connection_fails() -> None:
    service = Service()
    async with serving(service) as url, store_of(url, SocketIO(), "wrong") as store:
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert "refused the connection" in str(state.error)
        assert len(service.clients) == 1


async def test_a_server_that_disconnects_the_client_ends_it() -> None:
    service = Service()
    async with serving(service) as url, store_of(url, SocketIO()) as store:
        await store.wait_connected(5)
        await service.io.disconnect(service.clients[-1])
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert "disconnected this client" in str(state.error)
