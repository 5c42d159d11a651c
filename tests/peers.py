"""Peers for the tests: WebSocket servers whose handler is the test's, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from heimdall_reactive import WebSocketStore, use_websocket

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@asynccontextmanager
async def peer(
    handler: Callable[[ServerConnection], Awaitable[Any]], **options: Any
) -> AsyncIterator[str]:
    """Serve a handler; give the URL."""
    options = {"compression": None, "ping_interval": None, "close_timeout": 0.2, **options}
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}"


@asynccontextmanager
async def raw_peer(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]],
    upgrade: bool = True,
    **options: Any,
) -> AsyncIterator[str]:
    """Serve bytes: the handler runs after the upgrade was answered, if it is to be."""

    tasks: set[asyncio.Task[Any]] = set()

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            if upgrade:
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(answer_to(request))
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0, **options)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        left = tuple(tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def answer_to(request: bytes) -> bytes:
    """Answer an upgrade."""
    key = next(
        line.split(b":", 1)[1].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def frame(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    """Build a server's frame (RFC 6455 section 5.2)."""
    head = bytes([(0x80 if fin else 0) | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    if len(payload) < 65536:
        return head + b"\x7e" + len(payload).to_bytes(2, "big") + payload
    return head + b"\x7f" + len(payload).to_bytes(8, "big") + payload


def quick(url: str, **options: Any) -> WebSocketStore[Any]:
    """Make a store with short times."""
    options = {"reconnect_delay": 0.02, "close_timeout": 0.3, "open_timeout": 10.0, **options}
    return use_websocket(url, **options)
