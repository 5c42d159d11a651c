"""The paths of `asgi.py` by Starlette."""

import asyncio

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect


async def accept(socket):
    offered = socket.scope["subprotocols"]
    await socket.accept(subprotocol="second" if "second" in offered else None)


async def echo(socket):
    await accept(socket)
    while (event := await socket.receive())["type"] == "websocket.receive":
        if event.get("text") is not None:
            await socket.send_text(event["text"])
        else:
            await socket.send_bytes(event["bytes"])


async def end(socket):
    await accept(socket)
    await socket.receive_text()


async def crash(socket):
    await accept(socket)
    await socket.receive_text()
    raise RuntimeError("behind a message")


async def push(socket):
    await accept(socket)
    try:
        await socket.send_text("1")
        await asyncio.sleep(1.5)
        await socket.send_text("2")
        while (await socket.receive())["type"] == "websocket.receive":
            pass
    except WebSocketDisconnect:
        pass


async def refuse(socket):
    await socket.close()


async def fail(socket):
    raise RuntimeError("before the accept")


paths = {"echo": echo, "return": end, "raise": crash, "push": push, "refuse": refuse, "fail": fail}
paths["chosen"] = echo
app = Starlette(routes=[WebSocketRoute(f"/{path}", handler) for path, handler in paths.items()])
