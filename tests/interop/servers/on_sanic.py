"""The paths of `asgi.py` by Sanic."""

import asyncio
import sys

from sanic import Sanic
from sanic.exceptions import Forbidden

app = Sanic("interop")
app.config.WEBSOCKET_MAX_SIZE = 2 * 2**20
app.config.GRACEFUL_SHUTDOWN_TIMEOUT = 0.5


async def echo(request, socket):
    async for message in socket:
        await socket.send(message)


async def end(request, socket):
    await socket.recv()


async def crash(request, socket):
    await socket.recv()
    raise RuntimeError("behind a message")


async def push(request, socket):
    await socket.send("1")
    await asyncio.sleep(1.5)
    await socket.send("2")
    async for _ in socket:
        pass


async def ping(request, socket):
    """What the middleware turns down."""


@app.middleware("request")
async def before(request):
    if request.path == "/refuse":
        raise Forbidden
    if request.path == "/fail":
        raise RuntimeError("before the accept")


paths = {"echo": echo, "return": end, "raise": crash, "push": push, "refuse": ping, "fail": ping}
for path, handler in paths.items():
    app.add_websocket_route(handler, f"/{path}", name=path)
app.add_websocket_route(echo, "/chosen", name="chosen", subprotocols=["second"])  # 400 without one

if __name__ == "__main__":
    options = {"single_process": True, "access_log": False, "motd": False}
    app.run(host="127.0.0.1", port=int(sys.argv[1]), **options)
