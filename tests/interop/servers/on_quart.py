"""The paths of `asgi.py` by Quart."""

import asyncio

from quart import Quart, abort, websocket

app = Quart(__name__)


async def accept():
    offered = websocket.requested_subprotocols
    await websocket.accept(subprotocol="second" if "second" in offered else None)


@app.websocket("/echo")
@app.websocket("/chosen")
async def echo():
    await accept()
    while True:
        await websocket.send(await websocket.receive())


@app.websocket("/return")
async def end():
    await accept()
    await websocket.receive()


@app.websocket("/raise")
async def crash():
    await accept()
    await websocket.receive()
    raise RuntimeError("behind a message")


@app.websocket("/push")
async def push():
    await accept()
    await websocket.send("1")
    await asyncio.sleep(1.5)
    await websocket.send("2")
    while True:
        await websocket.receive()


@app.websocket("/refuse")
async def refuse():
    abort(403)


@app.websocket("/fail")
async def fail():
    raise RuntimeError("before the accept")
