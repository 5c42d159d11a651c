"""A server to try the programs with: trades, quotes, an order book and a chat."""

import asyncio
import itertools
import json
import random

from websockets.asyncio.server import ServerConnection, serve


async def trades(socket: ServerConnection) -> None:
    """Send a trade every 50 ms."""
    for number in itertools.count(1):
        price = round(100 + random.random(), 2)
        trade = {"id": number, "symbol": random.choice("ABC"), "price": price}
        await socket.send(json.dumps(trade))
        await asyncio.sleep(0.05)


async def quotes(socket: ServerConnection) -> None:
    """Send a quote every 50 ms."""
    while True:
        for symbol in "ABC":
            await socket.send(json.dumps({"symbol": symbol, "bid": 99.9, "ask": 100.1}))
        await asyncio.sleep(0.05)


async def book(socket: ServerConnection) -> None:
    """Send a snapshot, then numbered changes; every tenth change is lost."""
    await socket.send(json.dumps({"type": "snapshot", "seq": 0, "bids": {"99": 5, "98": 7}}))
    for seq in itertools.count(1):
        await asyncio.sleep(0.02)
        change = {"type": "change", "seq": seq, "price": random.choice(["99", "98", "97"])}
        if seq % 10:
            await socket.send(json.dumps({**change, "size": random.randrange(9)}))


async def chat(socket: ServerConnection) -> None:
    """Ask for the sum of two numbers ten times a second, and print the answers."""

    async def ask() -> None:
        for number in itertools.count(1):
            await socket.send(json.dumps({"id": number, "text": f"!add {number} {number}"}))
            await asyncio.sleep(0.1)

    asking = asyncio.create_task(ask())
    try:
        async for answer in socket:
            print(answer, flush=True)
    finally:
        asking.cancel()


PATHS = {"/trades": trades, "/quotes": quotes, "/book": book, "/chat": chat}


async def main() -> None:
    """Serve until Ctrl-C."""

    async def handle(socket: ServerConnection) -> None:
        assert socket.request is not None
        await PATHS[socket.request.path](socket)

    async with serve(handle, "localhost", 8765) as server:
        print("listening on ws://localhost:8765", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("bye")
