#!/usr/bin/env bash
# aiohttp 3.14.5 answers pings only while its handler receives. A handler that only sends is
# alive, and looks dead to every client that checks by pings.
# Seen: push-only handler: pong within 2 s: False; handler that also receives: True
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q aiohttp==3.14.5 websockets==17.4
"$work/venv/bin/python" - <<'PY'
import asyncio
from aiohttp import WSMsgType, web
from websockets.asyncio.client import connect


async def push_only(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await asyncio.sleep(10)  # between two messages of a quiet feed
    return socket


async def receiving(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        assert message.type is WSMsgType.TEXT
    return socket


async def ponged(url):
    async with connect(url, proxy=None, ping_interval=None, close_timeout=0.1) as client:
        pong = await client.ping()
        done, _ = await asyncio.wait({asyncio.ensure_future(pong)}, timeout=2)
        return bool(done)


async def main():
    app = web.Application()
    app.add_routes([web.get("/push", push_only), web.get("/receive", receiving)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    seen = [await ponged(f"ws://127.0.0.1:{port}/{path}") for path in ("push", "receive")]
    print(f"push-only handler: pong within 2 s: {seen[0]}; handler that also receives: {seen[1]}")
    await runner.cleanup()
    raise SystemExit(seen != [False, True])


asyncio.run(main())
PY
