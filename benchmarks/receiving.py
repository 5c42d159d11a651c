"""Seconds a message from the wire to one subscriber, by this library and by its rivals."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final

import websockets
from reactivex.subject import BehaviorSubject

from heimdall_reactive import WebSocketStore, use_websocket

from .measuring import LIMIT
from .peer import command

__all__ = ["RECEIVERS", "Clock", "Receiver", "loop_factory", "store_receiver"]

Receiver = Callable[[str, str, int], float]
loop_factory: ContextVar[Callable[[], asyncio.AbstractEventLoop] | None] = ContextVar(
    "loop_factory", default=None
)
WARM: Final = 10  # the first tenth of the messages is not timed


class Clock:
    """Counts messages; the time runs from the end of the warm-up to the last."""

    def __init__(self, count: int, done: Callable[[], object]) -> None:
        self.seen = 0
        self._first = count // WARM
        self._last = count
        self._done = done
        self._began = 0.0
        self.seconds = 0.0  # a message

    def __call__(self, _: object) -> None:
        """Handle a message."""
        self.seen += 1
        if self.seen == self._first:
            self._began = perf_counter()
        elif self.seen == self._last:
            self.seconds = (perf_counter() - self._began) / (self._last - self._first)
            self._done()


async def _raw_websockets(url: str, payload: str, count: int) -> float:
    clock = Clock(count, lambda: None)
    async with websockets.connect(url, compression=None) as ws:
        await ws.send(command("flood", payload=payload, count=count))
        async for data in ws:
            clock(json.loads(data))
            if clock.seconds:
                break
        ws.transport.abort()
    return clock.seconds


async def _behavior_subject(url: str, payload: str, count: int) -> float:
    clock = Clock(count, lambda: None)
    subject: BehaviorSubject[Any] = BehaviorSubject(None)
    subject.subscribe(lambda message: clock(message) if message is not None else None)
    async with websockets.connect(url, compression=None) as ws:
        await ws.send(command("flood", payload=payload, count=count))
        async for data in ws:
            subject.on_next(json.loads(data))
            if clock.seconds:
                break
        ws.transport.abort()
    return clock.seconds


async def _aiohttp(url: str, payload: str, count: int) -> float:
    import aiohttp

    clock = Clock(count, lambda: None)
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        await ws.send_str(command("flood", payload=payload, count=count))
        async for message in ws:
            clock(json.loads(message.data))
            if clock.seconds:
                break
    return clock.seconds


async def _picows(url: str, payload: str, count: int) -> float:
    import picows

    done = asyncio.Event()
    clock = Clock(count, done.set)

    class Listener(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            clock(json.loads(frame.get_payload_as_utf8_text()))

    transport, _ = await picows.ws_connect(Listener, url)
    transport.send(picows.WSMsgType.TEXT, command("flood", payload=payload, count=count).encode())
    await done.wait()
    transport.disconnect(graceful=False)
    await transport.wait_disconnected()
    return clock.seconds


def _websocket_client(url: str, payload: str, count: int) -> float:
    import websocket

    def on_open(app: websocket.WebSocketApp) -> None:
        app.send(command("flood", payload=payload, count=count))

    def on_message(_: websocket.WebSocketApp, data: str) -> None:
        clock(json.loads(data))

    app = websocket.WebSocketApp(url, on_open=on_open, on_message=on_message)
    clock = Clock(count, app.close)
    thread = threading.Thread(target=app.run_forever, daemon=True)
    thread.start()
    thread.join(LIMIT)
    if not clock.seconds:
        app.close()
        raise TimeoutError(f"not all messages came within {LIMIT} s")
    return clock.seconds


def store_receiver(
    prepare: Callable[[WebSocketStore[Any]], object] | None = None, **options: Any
) -> Receiver:
    """Make a receiver of a store.

    Args:
        prepare: is given the store before it dials.
        options: the store's.
    """

    async def receive(url: str, payload: str, count: int) -> float:
        done = asyncio.Event()
        clock = Clock(count, done.set)
        async with use_websocket(url, compression=None, immediate=False, **options) as store:
            if prepare is not None:
                prepare(store)
            store.messages.subscribe(clock)
            store.send(command("flood", payload=payload, count=count))
            store.connect()
            await done.wait()
        return clock.seconds

    return _on_loop(receive)


def _on_loop(receive: Callable[[str, str, int], Coroutine[Any, Any, float]]) -> Receiver:
    async def within_limit(url: str, payload: str, count: int) -> float:
        return await asyncio.wait_for(receive(url, payload, count), LIMIT)

    def measured(url: str, payload: str, count: int) -> float:
        with asyncio.Runner(loop_factory=loop_factory.get()) as runner:
            return runner.run(within_limit(url, payload, count))

    return measured


RECEIVERS: Final[dict[str, Receiver]] = {
    "store": store_receiver(),
    "store, plain JSON": store_receiver(message_type=Any),
    "raw websockets + json.loads": _on_loop(_raw_websockets),
    "stock BehaviorSubject by hand": _on_loop(_behavior_subject),
    "raw aiohttp + json.loads": _on_loop(_aiohttp),
    "raw picows + json.loads": _on_loop(_picows),
    "WebSocketApp (websocket-client)": _websocket_client,
}
