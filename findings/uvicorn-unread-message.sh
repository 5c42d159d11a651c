#!/usr/bin/env bash
# uvicorn 0.54.0 with --ws auto: as soon as one message of the client waits unread for the
# application, the server reads nothing more, and so answers no ping. The application is alive.
# Seen: nothing unread: pong within 2 s: True; one message unread: False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q uvicorn==0.54.0 websockets==17.4
"$work/venv/bin/python" - <<'PY'
import asyncio
import uvicorn
from websockets.asyncio.client import connect


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(10)  # the application does something else


async def ponged(client):
    pong = await client.ping()
    done, _ = await asyncio.wait({asyncio.ensure_future(pong)}, timeout=2)
    return bool(done)


async def main():
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="auto")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    options = {"proxy": None, "ping_interval": None, "close_timeout": 0.1}
    async with connect(f"ws://127.0.0.1:{port}/", **options) as client:
        before = await ponged(client)
        await client.send("one")
        await asyncio.sleep(0.2)  # it has arrived, and nobody reads it
        after = await ponged(client)
    print(f"nothing unread: pong within 2 s: {before}; one message unread: {after}")
    server.should_exit = server.force_exit = True
    await asyncio.wait({serving}, timeout=5)
    raise SystemExit((before, after) != (True, False))


asyncio.run(main())
PY
