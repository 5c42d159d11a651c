"""How this library and its rivals send: one by one, in bursts, and from another thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import websockets

from heimdall_reactive import use_websocket

from .measuring import LIMIT, Spent, Stopwatch
from .peer import command

__all__ = ["RIVALS", "TURN", "Out", "Sending", "blocking_client", "rival", "store"]

TURN: Final = 64  # sends of a burst: the loop turns after them

Message: TypeAlias = dict[str, Any] | bytes


@dataclass(frozen=True)
class Out:
    """What is sent, and how.

    Attributes:
        url: of the peer.
        message: which is encoded each time, where it is not bytes.
        count: of them.
        way: `awaited` one by one, in `bursts` of one turn of the loop that nobody awaits, or from
            a `thread`, which waits at the end of each burst.
    """

    url: str
    message: Message
    count: int
    way: str = "awaited"


Sending: TypeAlias = Callable[[Out], Coroutine[Any, Any, Spent]]


@dataclass(frozen=True)
class Link:
    """A rival's connection.

    Attributes:
        send: sends what is encoded.
        post: does so from another thread, and waits for nothing.
        answered: waits for the answer of the peer, which has everything then.
    """

    send: Callable[[Any], Awaitable[object]]
    post: Callable[[Any], object]
    answered: Callable[[], Awaitable[object]]


Opening: TypeAlias = Callable[[Out], AbstractAsyncContextManager[Link]]


async def store(out: Out) -> Spent:
    """Send with a store."""
    done, message, count = asyncio.Event(), out.message, out.count
    async with use_websocket(out.url, compression=None, message_type=str) as opened:
        await opened.wait_connected(timeout=LIMIT)
        opened.messages.subscribe(lambda _: done.set())
        await opened.send(command("sink", count=count))

        def from_thread() -> None:
            for number in range(count):
                receipt = opened.send(message)
                if number % TURN == TURN - 1:
                    receipt.result(LIMIT)

        watch = Stopwatch()
        if out.way == "thread":
            await asyncio.to_thread(from_thread)
        elif out.way == "awaited":
            for _ in range(count):
                await opened.send(message)
        else:
            for number in range(count):
                receipt = opened.send(message)
                if number % TURN == TURN - 1:
                    await asyncio.sleep(0)
                    if receipt.state == "queued":  # the socket is full: the others wait, too
                        await receipt
        await done.wait()
        return watch.stop()


def rival(opening: Opening) -> Sending:
    """Make one that sends with a rival's connection."""

    async def sending(out: Out) -> Spent:
        loop, message, count = asyncio.get_running_loop(), out.message, out.count
        encode: Callable[[Any], Any] = (lambda data: data) if _binary(out) else json.dumps
        async with opening(out) as link:

            def from_thread() -> None:
                for number in range(count):
                    link.post(encode(message))
                    if number % TURN == TURN - 1:  # behind all that was posted
                        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(LIMIT)

            watch = Stopwatch()
            if out.way == "thread":
                await asyncio.to_thread(from_thread)
            elif out.way == "awaited":
                for _ in range(count):
                    await link.send(encode(message))
            else:
                for number in range(count):
                    await link.send(encode(message))
                    if number % TURN == TURN - 1:
                        await asyncio.sleep(0)
            await link.answered()
            return watch.stop()

    return sending


def _binary(out: Out) -> bool:
    return isinstance(out.message, bytes)


@contextlib.asynccontextmanager
async def _websockets(out: Out) -> AsyncIterator[Link]:
    loop = asyncio.get_running_loop()
    async with websockets.connect(out.url, compression=None) as ws:
        await ws.send(command("sink", count=out.count))
        yield Link(
            ws.send, lambda data: asyncio.run_coroutine_threadsafe(ws.send(data), loop), ws.recv
        )
        ws.transport.abort()


@contextlib.asynccontextmanager
async def _aiohttp(out: Out) -> AsyncIterator[Link]:
    import aiohttp

    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session, session.ws_connect(out.url) as ws:
        await ws.send_str(command("sink", count=out.count))
        send: Callable[[Any], Coroutine[Any, Any, None]]
        send = ws.send_bytes if _binary(out) else ws.send_str
        yield Link(
            send, lambda data: asyncio.run_coroutine_threadsafe(send(data), loop), ws.receive
        )


@contextlib.asynccontextmanager
async def _picows(out: Out) -> AsyncIterator[Link]:
    import picows

    loop, done, writable = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    writable.set()
    kind = picows.WSMsgType.BINARY if _binary(out) else picows.WSMsgType.TEXT

    class Listener(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            done.set()

        def pause_writing(self) -> None:
            writable.clear()

        def resume_writing(self) -> None:
            writable.set()

    transport, _ = await picows.ws_connect(Listener, out.url)
    transport.send(picows.WSMsgType.TEXT, command("sink", count=out.count).encode())

    def write(data: str | bytes) -> None:
        transport.send(kind, data if isinstance(data, bytes) else data.encode())

    async def send(data: str | bytes) -> None:
        write(data)
        if not writable.is_set():  # the others wait in their `send`
            await writable.wait()

    yield Link(send, lambda data: loop.call_soon_threadsafe(write, data), done.wait)
    transport.disconnect(graceful=False)
    await transport.wait_disconnected()


async def blocking_client(out: Out) -> Spent:
    """Send with websocket-client, whose calls block a thread."""
    import websocket

    def work() -> Spent:
        ws = websocket.create_connection(out.url, timeout=LIMIT)
        ws.send(command("sink", count=out.count))
        watch = Stopwatch()
        for _ in range(out.count):
            ws.send(json.dumps(out.message))
        ws.recv()
        spent = watch.stop()
        ws.close(timeout=0)
        return spent

    return await asyncio.to_thread(work)


RIVALS: Final = {
    "raw websockets": rival(_websockets),
    "raw aiohttp": rival(_aiohttp),
    "raw picows": rival(_picows),
}
