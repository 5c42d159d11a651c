"""The paths of `asgi.py` by aiohttp."""

import asyncio
import sys

from aiohttp import WSMsgType, web


async def accept(request):
    socket = web.WebSocketResponse(protocols=["second"], max_msg_size=2 * 2**20)
    await socket.prepare(request)
    return socket


async def echo(request):
    socket = await accept(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def end(request):
    socket = await accept(request)
    await socket.receive()
    return socket


async def crash(request):
    socket = await accept(request)
    await socket.receive()
    raise RuntimeError("behind a message")


async def push(request):
    socket = await accept(request)
    await socket.send_str("1")
    await asyncio.sleep(1.5)
    await socket.send_str("2")
    async for _ in socket:
        pass
    return socket


async def refuse(request):
    raise web.HTTPForbidden


async def fail(request):
    raise RuntimeError("before the accept")


app = web.Application()
paths = {"echo": echo, "return": end, "raise": crash, "push": push, "refuse": refuse, "fail": fail}
paths["chosen"] = echo
app.add_routes([web.get(f"/{path}", handler) for path, handler in paths.items()])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), shutdown_timeout=0.5)
