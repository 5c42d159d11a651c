"""A feed for the recipes: `python -m examples.recipes.tick_server 8765`; it replays."""

import asyncio
import json
import sys
import time
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from websockets import ConnectionClosed
from websockets.asyncio.server import ServerConnection, serve

COUNT = int(sys.argv[2]) if sys.argv[2:] else 5_000  # ticks of each channel
RATE = 250  # ticks of each channel a second
BEGUN = time.monotonic()


async def feed(connection: ServerConnection) -> None:
    """Send `/ticks/<channel>?from=N`: what has been since N, and then what comes."""
    assert connection.request is not None
    query = parse_qs(urlsplit(connection.request.path).query)
    with suppress(ConnectionClosed):  # a killed worker says no goodbye
        for seq in range(int(query.get("from", ["1"])[0]), COUNT + 1):
            await asyncio.sleep(max(0.0, BEGUN + seq / RATE - time.monotonic()))
            tick = {"seq": seq, "symbol": f"s{seq % 10}", "value": seq % 7}
            await connection.send(json.dumps(tick))
        await connection.wait_closed()


async def main() -> None:
    """Serve until somebody ends it."""
    async with serve(feed, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
