#!/usr/bin/env bash
# The header Connection is a list, and a browser such as Firefox asks for "keep-alive, Upgrade". The server
# of picows 2.3.1 refuses that request with 400. An answer with the same list is refused by the clients of
# aiohttp 3.14.5, Tornado 6.6.1, picows, faye-websocket 0.11.4 and Deno 2.9.6, although the standard asks
# for one of the list alone; websockets 17.4, websocket-client 1.9.2, ws 8.23.0 and Bun 1.4.5 take it.
# Seen: picows to a request: 101 to "Upgrade", 400 to "keep-alive, Upgrade"; to such an answer:
#   open: websockets, websocket-client, ws, bun; refused: aiohttp, tornado, picows, faye-websocket, deno
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q picows==2.3.1 aiohttp==3.14.5 tornado==6.6.1 websockets==17.4 websocket-client==1.9.2
npm install --silent --no-audit --no-fund faye-websocket@0.11.4 ws@8.23.0 bun@1.4.5 deno@2.9.6 >/dev/null
cat >client.mjs <<'JS'
const [kind, url] = (globalThis.Deno?.args ?? process.argv.slice(2));
let WebSocket = globalThis.WebSocket;
if (kind === "ws") ({ WebSocket } = await import("ws"));
if (kind === "faye-websocket") WebSocket = (await import("faye-websocket")).default.Client;
const socket = new WebSocket(url);
let seen = "refused";
socket.onopen = () => { seen = "open"; socket.close(); };
socket.onerror = () => {};
socket.onclose = () => { console.log(seen); (globalThis.Deno ?? process).exit(0); };
JS
cat >look.py <<'PY'
import asyncio
import base64
import hashlib
import logging
import subprocess

import aiohttp
import picows
import websocket
from picows.websockets import connect as picows_connect
from tornado.websocket import websocket_connect
from websockets.asyncio.client import connect

LIST = "keep-alive, Upgrade"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
logging.disable()


async def answer(reader, writer):
    """Answer a handshake with a list, and a close frame that has no code with another."""
    try:
        request = await reader.readuntil(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:-2])
        key = next(value for name, value in lines.items() if name.lower() == b"sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1(key.strip() + GUID).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", f"Connection: {LIST}"]
        writer.write("\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept}", "\r\n"]).encode())
        if await reader.read(1) == b"\x88":
            writer.write(b"\x88\x00")
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def by_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.ws_connect(url):
        pass


async def by_tornado(url):
    (await websocket_connect(url)).close()


async def by_picows(url):
    async with picows_connect(url):
        pass


async def by_websockets(url):
    async with connect(url):
        pass


async def by_websocket_client(url):
    (await asyncio.to_thread(websocket.create_connection, url)).close()


async def python(client, url):
    try:
        await asyncio.wait_for(client(url), 10)
    except Exception:
        return "refused"
    return "open"


async def javascript(name, url):
    command = {"bun": ["node_modules/.bin/bun"], "deno": ["node_modules/.bin/deno", "run", "-A"]}.get(name, ["node"])
    process = await asyncio.create_subprocess_exec(
        *command, "client.mjs", name, url, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return (await process.communicate())[0].decode().strip()


async def asked(port, connection):
    """Return the status of picows for a request with this Connection header."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = ["GET / HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", f"Connection: {connection}"]
    lines += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "\r\n"]
    writer.write("\r\n".join(lines).encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


async def main():
    server = await picows.ws_create_server(lambda request: picows.WSListener(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    statuses = [await asked(port, value) for value in ("Upgrade", LIST)]
    server.close()
    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    seen = {
        "websockets": await python(by_websockets, url),
        "websocket-client": await python(by_websocket_client, url),
        "aiohttp": await python(by_aiohttp, url),
        "tornado": await python(by_tornado, url),
        "picows": await python(by_picows, url),
    }
    for name in ("ws", "bun", "faye-websocket", "deno"):
        seen[name] = await javascript(name, url)
    listener.close()
    print(f'picows to a request: {statuses[0]} to "Upgrade", {statuses[1]} to "{LIST}"; to such an answer:')
    for result in ("open", "refused"):
        print(f"{result}: {', '.join(name for name, told in seen.items() if told == result)}")
    taken = {"websockets", "websocket-client", "ws", "bun"}
    return statuses != [101, 400] or seen != {name: "open" if name in taken else "refused" for name in seen}


raise SystemExit(asyncio.run(main()))
PY
venv/bin/python look.py
