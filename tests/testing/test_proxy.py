"""Each fault of the proxy, over real sockets, seen by a plain client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosedError, InvalidMessage, InvalidStatus

from heimdall_reactive.testing import (
    BlackHole,
    Cut,
    FaultProxy,
    HttpAnswer,
    Reset,
)
from tests.peers import peer


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def proxied(handler: Any = echo) -> AsyncIterator[FaultProxy]:
    async with peer(handler) as url, FaultProxy(url) as proxy:
        yield proxy


def dial(proxy: FaultProxy, **options: Any) -> connect:
    options = {
        "compression": None, "ping_interval": None, "close_timeout": 0.1, "open_timeout": 10,
        "proxy": None, **options,
    }  # fmt: skip
    return connect(proxy.url + "/v1/ws", **options)


async def test_an_unharmed_connection_passes_and_is_on_record() -> None:
    async with proxied() as proxy:
        async with dial(proxy, additional_headers={"X-Key": "canary"}) as client:
            await client.send("a" * 70_000)
            assert await client.recv() == "a" * 70_000
            (passage,) = proxy.live
            assert passage.ended is None
        await proxy.wait_for(lambda: not proxy.live)
        (passage,) = proxy.log
        assert passage.number == 1
        assert passage.request.startswith(b"GET /v1/ws HTTP/1.1\r\n")
        assert b"X-Key: canary" in passage.request
        assert "canary" not in repr(passage)
        assert passage.status == 101
        assert min(passage.to_client, passage.to_server) > 70_000
        assert passage.ended == "server"  # it closes TCP first, as RFC 6455 wants it
        assert proxy.accepted == 1


async def test_a_reset_reaches_the_client_as_one() -> None:
    async with proxied() as proxy:
        proxy.next(Reset(handshake=True))
        with pytest.raises((InvalidMessage, OSError)) as failure:
            await dial(proxy)
        assert causes(failure.value, ConnectionResetError, EOFError)
        async with dial(proxy) as client:
            assert proxy.now(Reset()) == 1
            with pytest.raises(ConnectionClosedError) as closed:
                await client.recv()
            assert causes(closed.value, ConnectionResetError)
        assert [passage.ended for passage in proxy.log] == ["Reset", "Reset"]


def causes(error: BaseException | None, *kinds: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kinds):
            return True
        error = error.__cause__ or error.__context__
    return False


@pytest.mark.parametrize("after", [0, 1, 2, 5, 7])
async def test_a_cut_is_at_the_byte(after: int) -> None:
    async with proxied() as proxy:
        proxy.next(Cut(after=after))
        reader, writer = await asyncio.open_connection("127.0.0.1", port(proxy))
        writer.write(REQUEST + MASKED_HELLO + MASKED_HELLO)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head
        assert await reader.read() == b"\x81\x05hello\x81\x05hello"[:after]
        writer.close()
        await writer.wait_closed()


REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MASKED_HELLO = b"\x81\x85\0\0\0\0hello"


def port(proxy: FaultProxy) -> int:
    return int(proxy.url.rpartition(":")[2])


async def test_a_cut_may_be_inside_the_handshake() -> None:
    async with proxied() as proxy:
        proxy.next(Cut(after=12, handshake=True))
        reader, writer = await asyncio.open_connection("127.0.0.1", port(proxy))
        writer.write(REQUEST)
        assert await reader.read() == b"HTTP/1.1 101"
        writer.close()
        await writer.wait_closed()


async def test_a_black_hole_keeps_tcp_open_and_nothing_passes() -> None:
    async with proxied() as proxy:
        async with dial(proxy) as client:
            proxy.now(BlackHole())
            await client.send("lost")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.recv(), 0.1)
            (passage,) = proxy.live
            assert passage.ended is None
            sent = passage.to_server
        assert passage.to_server == sent
        assert client.close_code == 1006


async def test_an_answer_stands_for_the_server() -> None:
    async with proxied() as proxy:
        proxy.next(HttpAnswer(503, [("Retry-After", "7")], b"later"), times=2)
        for _ in range(2):
            with pytest.raises(InvalidStatus) as refused:
                await dial(proxy)
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"] == "7"
            assert refused.value.response.body == b"later"
        async with dial(proxy):
            pass
        assert [passage.status for passage in proxy.log] == [503, 503, 101]
        assert proxy.log[0].request.startswith(b"GET /v1/ws ")
