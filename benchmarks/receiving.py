"""Seconds a message from the wire to one subscriber, by this library and by its rivals."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, Literal, TypeAlias

import websockets
from reactivex.subject import BehaviorSubject

from heimdall_reactive import WebSocketStore, use_websocket

from .measuring import LIMIT, Spent, Stopwatch
from .peer import command
from .tls import client_context

__all__ = ["ALL", "CLIENTS", "Client", "Clock", "Flood", "loop_factory", "on_loop", "store_client"]

loop_factory: ContextVar[Callable[[], asyncio.AbstractEventLoop] | None] = ContextVar(
    "loop_factory", default=None
)
WARM: Final = 10  # the first tenth of the messages is not timed
TICK: Final = 0.001  # seconds between two looks at how long the loop was away


class Clock:
    """Counts messages; the time runs from the end of the warm-up to the last.

    Args:
        count: messages in all.
        done: is called at the last one.
        watch: look for the longest gap of the running loop, too.
    """

    def __init__(self, count: int, done: Callable[[], object], watch: bool = False) -> None:
        self.seen = 0
        self._first = count // WARM
        self._last = count
        self._done = done
        self._watch = watch
        self._stopwatch: Stopwatch
        self.spent = Spent(0.0, 0.0)  # a message
        self.gap = 0.0  # seconds in which the loop called nothing else

    def __call__(self, _: object) -> None:
        """Handle a message."""
        self.seen += 1
        if self.seen == self._first:
            self._stopwatch = Stopwatch()
            if self._watch:
                self._tick(perf_counter())
        elif self.seen == self._last:
            self.spent = self._stopwatch.stop().each(self._last - self._first)
            self._done()

    @property
    def seconds(self) -> float:
        """Seconds a message by the clock; 0 before the end."""
        return self.spent.wall

    def _tick(self, before: float) -> None:
        now = perf_counter()
        self.gap = max(self.gap, now - before)
        if not self.seconds:
            asyncio.get_running_loop().call_later(TICK, self._tick, now)


@dataclass(frozen=True)
class Flood:
    """What a client is sent, and what it does with it.

    Attributes:
        url: of the peer; its path says how the messages are compressed.
        payload: of each message.
        count: messages.
        times: how often the payload is in one message.
        binary: whether the messages are binary.
        read: what the rivals do with the data.
        watch: look for the longest gap of the loop.
    """

    url: str
    payload: str
    count: int
    times: int = 1
    binary: bool = False
    read: Callable[[Any], object] = json.loads
    watch: bool = False

    @property
    def order(self) -> str:
        """What the peer is told."""
        return command("flood", payload=self.payload, count=self.count, times=self.times,
                       binary=self.binary)  # fmt: skip

    @property
    def compression(self) -> Literal["deflate"] | None:
        """What compresses the messages."""
        return "deflate" if self.url.endswith(("/packed", "/context")) else None

    def clock(self, done: Callable[[], object] = lambda: None) -> Clock:
        """Make what counts them."""
        return Clock(self.count, done, self.watch)


Client: TypeAlias = Callable[[Flood], Coroutine[Any, Any, Clock]]


async def _raw_websockets(flood: Flood) -> Clock:
    clock, read = flood.clock(), flood.read
    context = client_context(flood.url)
    async with websockets.connect(flood.url, compression=flood.compression, ssl=context) as ws:
        await ws.send(flood.order)
        async for data in ws:
            clock(read(data))
            if clock.seconds:
                break
        ws.transport.abort()
    return clock


async def _behavior_subject(flood: Flood) -> Clock:
    clock, read = flood.clock(), flood.read
    subject: BehaviorSubject[Any] = BehaviorSubject(None)
    subject.subscribe(lambda message: clock(message) if message is not None else None)
    async with websockets.connect(flood.url, compression=None) as ws:
        await ws.send(flood.order)
        async for data in ws:
            subject.on_next(read(data))
            if clock.seconds:
                break
        ws.transport.abort()
    return clock


async def _aiohttp(flood: Flood) -> Clock:
    import aiohttp

    clock, read = flood.clock(), flood.read
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            flood.url, compress=15 if flood.compression else 0,
            ssl=client_context(flood.url) or True,
        ) as ws,
    ):  # fmt: skip
        await ws.send_str(flood.order)
        async for message in ws:
            clock(read(message.data))
            if clock.seconds:
                break
    return clock


async def _picows(flood: Flood) -> Clock:
    import picows

    done = asyncio.Event()
    clock, read, binary = flood.clock(done.set), flood.read, flood.binary

    class Listener(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            data = frame.get_payload_as_bytes() if binary else frame.get_payload_as_utf8_text()
            clock(read(data))

    context = client_context(flood.url)
    transport, _ = await picows.ws_connect(Listener, flood.url, ssl_context=context)
    transport.send(picows.WSMsgType.TEXT, flood.order.encode())
    await done.wait()
    transport.disconnect(graceful=False)
    await transport.wait_disconnected()
    return clock


def _websocket_client(flood: Flood) -> float:
    import websocket

    read = flood.read

    def on_open(app: websocket.WebSocketApp) -> None:
        app.send(flood.order)

    def on_message(_: websocket.WebSocketApp, data: str | bytes) -> None:
        clock(read(data))

    app = websocket.WebSocketApp(flood.url, on_open=on_open, on_message=on_message)
    clock = flood.clock(app.close)
    options = {"sslopt": {"context": client_context(flood.url)}}
    thread = threading.Thread(target=app.run_forever, kwargs=options, daemon=True)
    thread.start()
    thread.join(LIMIT)
    if not clock.seconds:
        app.close()
        raise TimeoutError(f"not all messages came within {LIMIT} s")
    return clock.seconds


def store_client(
    prepare: Callable[[WebSocketStore[Any]], object] | None = None,
    values: str = "messages",
    **options: Any,
) -> Client:
    """Make a client with a store.

    Args:
        prepare: is given the store before it dials.
        values: what is counted.
        options: the store's.
    """

    async def receive(flood: Flood) -> Clock:
        done = asyncio.Event()
        clock = flood.clock(done.set)
        async with use_websocket(
            flood.url, compression=flood.compression, ssl=client_context(flood.url),
            immediate=False, **options,
        ) as store:  # fmt: skip
            if prepare is not None:
                prepare(store)
            getattr(store, values).subscribe(clock)
            store.send(flood.order)
            store.connect()
            await done.wait()
        return clock

    return receive


def on_loop(client: Client) -> Callable[[Flood], float]:
    """Make something that runs a client and returns seconds a message."""

    async def within_limit(flood: Flood) -> Clock:
        return await asyncio.wait_for(client(flood), LIMIT)

    def measured(flood: Flood) -> float:
        with asyncio.Runner(loop_factory=loop_factory.get()) as runner:
            return runner.run(within_limit(flood)).seconds

    return measured


CLIENTS: Final[dict[str, Client]] = {
    "store": store_client(),
    "store, plain JSON": store_client(message_type=Any),
    "raw websockets + json.loads": _raw_websockets,
    "stock BehaviorSubject by hand": _behavior_subject,
    "raw aiohttp + json.loads": _aiohttp,
    "raw picows + json.loads": _picows,
}
THREADED: Final = "WebSocketApp (websocket-client)"
ALL: Final[dict[str, Callable[[Flood], float]]] = {
    **{entry: on_loop(client) for entry, client in CLIENTS.items()},
    THREADED: _websocket_client,
}
