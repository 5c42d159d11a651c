"""RxPY where there are no threads; see `test_rx.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import reactivex as rx
from reactivex import operators as ops

from heimdall_reactive import use_websocket


async def without(url: str) -> list[Any]:
    """Return what timed operators raise without a scheduler: at once, as an end, or later."""
    said: list[Any] = []
    async with use_websocket(url, message_type=int) as store:
        store.errors.subscribe(lambda error: said.append(f"errors: {error}"))
        makes: list[Callable[[], Any]] = [
            lambda: rx.interval(0.01),
            lambda: store.messages.pipe(ops.sample(0.01)),
            lambda: store.messages.pipe(ops.timeout(0.01)),
        ]
        for make in makes:
            make().subscribe(said.append, lambda error: said.append(f"on_error: {error}"))
        store.messages.pipe(ops.delay(0.01)).subscribe(said.append)
        await store.wait_connected(timeout=8)
        store.send(1)
        await store.messages.pipe(ops.first())
        await asyncio.sleep(0)
        return [*said, store.connected]


async def within(url: str) -> list[Any]:
    """Return what they give with the store's scheduler."""
    async with use_websocket(url, message_type=int) as store:
        on, seen = store.scheduler, asyncio.Queue[Any]()
        await store.wait_connected(timeout=8)
        store.messages.pipe(ops.delay(0.01, scheduler=on)).subscribe(seen.put_nowait)
        delayed = store.messages.pipe(ops.delay(0.02))
        delayed.subscribe(lambda message: seen.put_nowait(-message), scheduler=on)
        store.send(1)
        async with asyncio.timeout(8):
            found = [await seen.get(), await seen.get()]
        ticks = rx.interval(0.01, scheduler=on).pipe(ops.take(3), ops.to_list())
        ticks.subscribe(seen.put_nowait)
        async with asyncio.timeout(8):
            return [*found, await seen.get()]
