"""An ASGI application with the paths that every server of these tests has.

`/echo` answers each message with itself, and so does `/chosen`, which takes the subprotocol
`second`. `/return` and `/raise` end so behind the first message. `/push` sends `1`, and `2` after
1.5 seconds in which it receives nothing.
`/refuse` closes before it accepts, and `/fail` raises there.
"""

import asyncio


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return await lifespan(receive, send) if scope["type"] == "lifespan" else None
    await receive()
    path = scope["path"]
    if path == "/refuse":
        return await send({"type": "websocket.close"})
    if path == "/fail":
        raise RuntimeError("before the accept")
    chosen = "second" if "second" in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen})
    if path == "/push":
        await send({"type": "websocket.send", "text": "1"})
        await asyncio.sleep(1.5)
        await send({"type": "websocket.send", "text": "2"})
    while (event := await receive())["type"] == "websocket.receive":
        if path == "/raise":
            raise RuntimeError("behind a message")
        if path == "/return":
            return None
        text, data = event.get("text"), event.get("bytes")
        await send(
            {"type": "websocket.send", **({"bytes": data} if text is None else {"text": text})}
        )
    return None


async def lifespan(receive, send):
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
