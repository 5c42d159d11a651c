"""The feed of `benchmarks.live`, a process of its own: ticks by key, in another order each time."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from itertools import count

from websockets.asyncio.server import ServerConnection, broadcast, serve

from examples.live.feed import ROWS, TURN

RATE = 1000  # messages a second


def ticks() -> Iterator[dict[str, object]]:
    """Make ticks without end; the price of each is the time that it is sent, to 10 ms."""
    chance = random.Random(0)
    symbols = [f"S{row:03}" for row in range(ROWS)]
    for number in count():
        if number % ROWS == 0:
            chance.shuffle(symbols)
        now = time.time()
        yield {"symbol": symbols[number % ROWS], "price": round(now % 1000, 2), "sent": now}


async def main() -> None:
    """Serve until a line comes; print the last price of each, and stay until the input ends."""
    clients: set[ServerConnection] = set()
    over = asyncio.Event()

    async def stay(ws: ServerConnection) -> None:
        clients.add(ws)
        await ws.wait_closed()
        clients.discard(ws)

    async def play() -> dict[object, object]:
        began, number, last, feed = time.monotonic(), 0, {}, ticks()
        while not over.is_set():
            while number < (time.monotonic() - began) * RATE:
                tick = next(feed)
                last[tick["symbol"]] = tick["price"]
                broadcast(clients, json.dumps(tick))
                number += 1
            await asyncio.sleep(TURN)
        return last

    async with serve(stay, "127.0.0.1", 0, compression=None) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        playing = asyncio.create_task(play())
        await asyncio.to_thread(sys.stdin.readline)
        over.set()
        print(json.dumps(await playing), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
