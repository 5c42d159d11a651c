"""The paths of `asgi.py` by websockets."""

import asyncio
import signal
import sys

from websockets.asyncio.server import serve


async def handler(socket):
    path = socket.request.path
    if path == "/push":
        await socket.send("1")
        await asyncio.sleep(1.5)
        await socket.send("2")
    async for message in socket:
        if path == "/return":
            return
        if path == "/raise":
            raise RuntimeError("behind a message")
        await socket.send(message)


def before(socket, request):
    if request.path == "/refuse":
        return socket.respond(403, "no\n")
    if request.path == "/fail":
        raise RuntimeError("before the accept")
    return None


def choose(socket, offered):
    return "second" if "second" in offered else None


async def main():
    options = {"max_size": 2 * 2**20, "process_request": before, "select_subprotocol": choose}
    async with serve(handler, "127.0.0.1", int(sys.argv[1]), **options) as server:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
        await server.wait_closed()


asyncio.run(main())
