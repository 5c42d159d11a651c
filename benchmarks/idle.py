"""A process that opens idle connections of one kind, and prints what they take.

Run as `python -m benchmarks.idle KIND COMPRESSION COUNT URL SECONDS`. For 0 seconds it prints the
KiB that each connection holds; else the milliseconds of the processor that all of them take in a
minute, measured over so many seconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import websockets

from heimdall_reactive import use_websocket

from . import machine
from .measuring import Stopwatch
from .peer import command

__all__ = ["main"]

WARM: Final = 20  # connections before the first look: what all share is not counted
BATCH: Final = 50
PATIENCE: Final = 10.0
HOLD: Final = command("hold")


async def _store(url: str, **options: Any) -> object:
    store = use_websocket(url, **options)
    await store.wait_connected(timeout=PATIENCE)
    await store.send(HOLD)
    return store


async def _raw(url: str, **options: Any) -> object:
    ws = await websockets.connect(url, **options)
    await ws.send(HOLD)
    return ws


async def _task(url: str, **options: Any) -> object:
    ws = await websockets.connect(url, **options)
    await ws.send(HOLD)

    async def read() -> None:
        async for _ in ws:
            pass

    return ws, asyncio.create_task(read())


KINDS: Final[dict[str, Callable[..., Coroutine[Any, Any, object]]]] = {
    "store": _store, "raw": _raw, "task": _task,
}  # fmt: skip


async def _measure(kind: str, compression: str, count: int, url: str, seconds: float) -> float:
    options: dict[str, Any] = {"compression": None} if compression == "no compression" else {}
    held: list[object] = []

    async def hold(more: int) -> None:
        for start in range(0, more, BATCH):
            wanted = range(min(BATCH, more - start))
            held.extend(await asyncio.gather(*(KINDS[kind](url, **options) for _ in wanted)))

    await hold(WARM)
    machine.settle()
    before = machine.rss()
    await hold(count)
    machine.settle()
    if seconds:
        watch = Stopwatch()
        await asyncio.sleep(seconds)
        spent = watch.stop()
        return spent.cpu / spent.wall * 60e3
    return (machine.rss() - before) * 1024 / count


def main() -> None:
    """Measure, print, and leave without closing."""
    kind, compression, count, url, seconds = sys.argv[1:]
    logging.getLogger("heimdall_reactive").setLevel(logging.CRITICAL)
    machine.raise_descriptor_limit(int(count) + 100)
    loop = asyncio.new_event_loop()
    measuring = _measure(kind, compression, int(count), url, float(seconds))
    print(loop.run_until_complete(measuring), flush=True)
    os._exit(0)  # closing would take longer than the measurement, and the peer does not mind


if __name__ == "__main__":
    main()
