"""There and back: round trips of the store and its rivals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from time import perf_counter
from typing import Any, Final, TypeAlias

import websockets

from heimdall_reactive import WebSocketStore, use_websocket

from .measuring import LIMIT, Case, Measure, Stage, Step
from .payloads import REQUEST, SIZES, payload
from .peer import command

__all__ = ["round_trip"]

Trip: TypeAlias = Callable[[str, str, int], Coroutine[Any, Any, list[float]]]

TRIPS: Final = 4000
WARM: Final = 10  # the first tenth of the trips is not counted


def round_trip(stage: Stage) -> Case:
    """Build the case of requests and answers of 0.1 KB."""
    trips: dict[str, Trip] = {
        "store, awaited": _store_awaited(),
        "store, in its observer": _store_observed(),
        "raw websockets": _raw_websockets,
        "raw aiohttp": _raw_aiohttp,
        "raw picows, awaited": _raw_picows,
    }
    steps = [Step(entry, _quantiles(stage, trip)) for entry, trip in trips.items()]
    return Case("round trip", "There and back", "µs a round trip", "quantile", steps)


def _quantiles(stage: Stage, trip: Trip) -> Measure:
    text, count = payload(SIZES["0.1 KB"]), stage.count(TRIPS)

    def measure() -> dict[str, float]:
        times = asyncio.run(asyncio.wait_for(trip(stage.url, text, count), LIMIT))[count // WARM :]
        return {
            "p50": statistics.median(times) * 1e6,
            "p99": statistics.quantiles(times, n=100)[98] * 1e6,
        }

    return measure


@contextlib.asynccontextmanager
async def _connected(url: str, **options: Any) -> AsyncIterator[WebSocketStore[Any]]:
    async with use_websocket(url, compression=None, **options) as store:
        await store.wait_connected(timeout=LIMIT)
        yield store


def _store_awaited(**options: Any) -> Trip:
    async def trip(url: str, text: str, count: int) -> list[float]:
        loop = asyncio.get_running_loop()
        async with _connected(url, **options) as store:
            waiting: asyncio.Future[None] = loop.create_future()

            def on_message(_: object) -> None:
                waiting.set_result(None)

            store.messages.subscribe(on_message)
            store.send(command("echo", payload=text, count=count))
            times = []
            for _ in range(count):
                began = perf_counter()
                store.send(REQUEST)
                await waiting
                times.append(perf_counter() - began)
                waiting = loop.create_future()
        return times

    return trip


def _store_observed(**options: Any) -> Trip:
    async def trip(url: str, text: str, count: int) -> list[float]:
        done, times, began = asyncio.Event(), list[float](), 0.0
        async with _connected(url, **options) as store:

            def on_message(_: object) -> None:
                nonlocal began
                times.append(perf_counter() - began)
                if len(times) == count:
                    done.set()
                    return
                began = perf_counter()
                store.send(REQUEST)

            store.messages.subscribe(on_message)
            store.send(command("echo", payload=text, count=count))
            began = perf_counter()
            store.send(REQUEST)
            await done.wait()
        return times

    return trip


async def _trips(count: int, ask: Callable[[str], Awaitable[Any]]) -> list[float]:
    """Ask with JSON and parse the answers, one after the other."""
    times = []
    for _ in range(count):
        began = perf_counter()
        json.loads(await ask(json.dumps(REQUEST)))
        times.append(perf_counter() - began)
    return times


async def _raw_websockets(url: str, text: str, count: int) -> list[float]:
    async with websockets.connect(url, compression=None) as ws:

        async def ask(request: str) -> str | bytes:
            await ws.send(request)
            return await ws.recv()

        await ws.send(command("echo", payload=text, count=count))
        times = await _trips(count, ask)
        ws.transport.abort()
    return times


async def _raw_aiohttp(url: str, text: str, count: int) -> list[float]:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:

        async def ask(request: str) -> str:
            await ws.send_str(request)
            return await ws.receive_str()

        await ws.send_str(command("echo", payload=text, count=count))
        return await _trips(count, ask)


async def _raw_picows(url: str, text: str, count: int) -> list[float]:
    import picows

    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[str] = loop.create_future()

    class Listener(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            waiting.set_result(frame.get_payload_as_utf8_text())

    async def ask(request: str) -> str:
        nonlocal waiting
        waiting = loop.create_future()
        transport.send(picows.WSMsgType.TEXT, request.encode())
        return await waiting

    transport, _ = await picows.ws_connect(Listener, url)
    transport.send(picows.WSMsgType.TEXT, command("echo", payload=text, count=count).encode())
    times = await _trips(count, ask)
    transport.disconnect(graceful=False)
    await transport.wait_disconnected()
    return times
