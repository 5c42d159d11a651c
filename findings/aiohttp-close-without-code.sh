#!/usr/bin/env bash
# A peer that says goodbye without a code, as close() does in a browser, has closed in order, and the standard
# has 1005 for it. The clients of aiohttp 3.14.5 and of npm's websocket 1.0.35 report 1006, which stands for
# a connection that was lost: their close_code cannot tell the two apart.
# Seen: close without a code: websockets 1005, ws 1005, aiohttp 1006, websocket 1006; lost: 1006 of each
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q aiohttp==3.14.5 websockets==17.4 wsproto==1.3.2
npm install --silent --no-audit --no-fund ws@8.23.0 websocket@1.0.35 >/dev/null
cat >client.mjs <<'JS'
const [kind, url] = process.argv.slice(2);
const WebSocket = kind === "ws" ? (await import("ws")).WebSocket : (await import("websocket")).default.w3cwebsocket;
const socket = new WebSocket(url);
socket.onerror = () => {};
socket.onclose = (event) => { console.log(event.code); process.exit(0); };
JS
cat >look.py <<'PY'
import asyncio
import subprocess

import aiohttp
from websockets.asyncio.client import connect
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request


async def peer(reader, writer):
    """Accept, then close without a code, or end the connection."""
    wire, target = WSConnection(ConnectionType.SERVER), None
    while target is None:
        wire.receive_data(await reader.read(65536))
        target = next((event.target for event in wire.events() if isinstance(event, Request)), None)
    writer.write(wire.send(AcceptConnection()))
    if target == "/close":
        await asyncio.sleep(0.2)
        writer.write(b"\x88\x00")
        await reader.read(65536)  # the answer
    writer.close()


async def by_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        async for _ in socket:
            pass
        return int(socket.close_code)


async def by_websockets(url):
    async with connect(url) as connection:
        await connection.wait_closed()
        return connection.close_code


async def by_node(kind, url):
    process = await asyncio.create_subprocess_exec("node", "client.mjs", kind, url, stdout=subprocess.PIPE)
    return int((await process.communicate())[0])


async def main():
    changed = False
    async with await asyncio.start_server(peer, "127.0.0.1", 0) as server:
        for path, expected in [("close", [1005, 1005, 1006, 1006]), ("lost", [1006] * 4)]:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/{path}"
            seen = [await by_websockets(url), await by_node("ws", url), await by_aiohttp(url)]
            seen.append(await by_node("websocket", url))
            told = ", ".join(map("{} {}".format, ("websockets", "ws", "aiohttp", "websocket"), seen))
            print(f"{'close without a code' if path == 'close' else path}: {told}")
            changed |= seen != expected
    return changed


raise SystemExit(asyncio.run(main()))
PY
venv/bin/python look.py
