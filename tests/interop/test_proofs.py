"""A proof that is waited for ends no connection, whatever a server makes of pings.

Each of these servers answers a ping in its own way while its handler does not read.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from heimdall_reactive import WaitTimeout
from tests.peers import quick
from tests.protocols.programs import free_port, node, program, running


class Handler:
    """Reads when it is told to, and keeps what it read."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.got: list[str] = []


Serving = Callable[[Handler], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def aiohttp_server(handler: Handler) -> AsyncIterator[str]:
    web = pytest.importorskip("aiohttp.web", reason="pip install aiohttp")

    async def talk(request: Any) -> Any:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await handler.reads.wait()
        async for message in socket:
            handler.got.append(message.data)
        return socket

    app = web.Application()
    app.add_routes([web.get("/", talk)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def tornado_server(handler: Handler) -> AsyncIterator[str]:
    pytest.importorskip("tornado", reason="pip install tornado")
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler

    class Talk(WebSocketHandler):
        def check_origin(self, origin: str) -> bool:
            return True

        async def on_message(self, message: str | bytes) -> None:
            await handler.reads.wait()
            handler.got.append(str(message))

    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(Application([("/", Talk)]))
    server.add_sockets(sockets)
    try:
        yield f"ws://127.0.0.1:{sockets[0].getsockname()[1]}/"
    finally:
        server.stop()
        await server.close_all_connections()


@pytest.mark.parametrize("serving", [aiohttp_server, tornado_server])
async def test_a_handler_that_does_not_read_is_waited_for_and_not_cut(serving: Serving) -> None:
    handler = Handler()
    options: Any = {"ping_interval": None, "ping_timeout": 0.2}  # no keep-alive judges here
    async with serving(handler) as url, quick(url, **options) as store:
        await store.wait_connected(5)
        receipts = [store.send(f'"{n}"') for n in range(3)]
        with pytest.raises(WaitTimeout):
            await receipts[-1].delivered(1.0)  # five times the ping timeout
        assert store.connected
        assert store.state.value.session == 1
        handler.reads.set()
        await receipts[-1].delivered(5)
        assert {receipt.state for receipt in receipts} == {"delivered"}
        assert store.state.value.session == 1
    assert handler.got == ['"0"', '"1"', '"2"']


@contextmanager
def mosquitto(folder: Path) -> Iterator[str]:
    """Run the broker on its own WebSocket, open to everybody of this machine."""
    settings, port = folder / "mosquitto.conf", free_port()
    settings.write_text(
        f"user {getpass.getuser()}\nallow_anonymous true\nlistener 0 {folder / 'socket'}\n"
        f"listener {port} 127.0.0.1\nprotocol websockets\nsocket_domain ipv4\n"
    )
    with running([program("mosquitto", "mosquitto"), "-c", settings], " running"):
        yield f"ws://127.0.0.1:{port}"


async def test_a_node_server_that_is_paused_is_waited_for_and_not_cut() -> None:
    with node("ws.cjs", "ws") as url:
        options: Any = {"ping_interval": None, "ping_timeout": 0.2}
        async with quick(url, **options) as store:
            await store.wait_connected(5)
            receipt = store.send('"hello"')
            with pytest.raises(WaitTimeout):
                await receipt.delivered(0.7)
            await receipt.delivered(10)
            assert receipt.state == "delivered"
            assert store.state.value.session == 1


async def test_mosquitto_proves_by_pongs_what_it_has_read(tmp_path: Path) -> None:
    """It answers the first of several pings only: at most one is under way."""
    with mosquitto(tmp_path) as url:
        options: Any = {"subprotocols": ["mqtt"], "message_type": bytes}
        async with quick(url, **options) as store:
            await store.wait_connected(5)
            connect = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab"
            receipts = [store.send(connect), *(store.send(b"\xc0\x00") for _ in range(100))]
            for receipt in receipts:
                await receipt.delivered(10)
            assert (store.stats.delivered, store.state.value.session) == (101, 1)
