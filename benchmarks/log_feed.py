"""The feed of `benchmarks.dataflow`, a process of its own: numbered messages without a pause."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets import ConnectionClosed
from websockets.asyncio.server import ServerConnection, serve

__all__ = ["message", "running"]


def message(number: int) -> bytes:
    """Return a message of about 70 bytes."""
    body = {"seq": number, "key": f"key-{number % 40}", "value": number, "note": "0123456789"}
    return json.dumps(body).encode()


async def feed(ws: ServerConnection) -> None:
    """Send what `/<channel>/<count>` asks for, and stay."""
    assert ws.request is not None
    count = int(ws.request.path.rpartition("/")[2])
    try:
        for number in range(1, count + 1):
            await ws.send(message(number), text=True)
        await ws.wait_closed()
    except ConnectionClosed:
        return


async def main() -> None:
    """Serve until the standard input ends."""
    async with serve(feed, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def running() -> Iterator[str]:
    """Run it for the length of a block; yield its URL."""
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.log_feed"],
        cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"ws://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


if __name__ == "__main__":
    asyncio.run(main())
