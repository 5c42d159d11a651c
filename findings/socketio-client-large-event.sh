#!/usr/bin/env bash
# The asynchronous client of python-socketio 5.18.1 loses an event of more than 4 MiB that comes over a
# WebSocket: aiohttp, which it uses, has that limit. Its server sends the event without an error, the
# client reports a transport error, connects again and goes on. The event arrives in the client with
# threads, and in the JavaScript client 4.8.4.
# Seen: asyncio: disconnect (transport error), connect, end; threads: 5000000, end; JavaScript: 5000000, end
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q python-socketio==5.18.1 python-engineio==4.15.1 aiohttp==3.14.5 uvicorn==0.54.0 \
  websockets==17.4 websocket-client==1.9.2 requests==2.34.2
npm install --silent --no-audit --no-fund socket.io-client@4.8.4 >/dev/null
cat >client.cjs <<'JS'
const socket = require("socket.io-client").io(process.argv[2], { transports: ["websocket"] });
const seen = [];
socket.on("connect", () => socket.emit("want"));
socket.on("large", (data) => seen.push(data.length));
socket.on("end", () => { console.log(seen.concat("end").join(" ")); process.exit(0); });
JS
cat >look.py <<'PY'
import asyncio
import queue
import subprocess

import socketio
import uvicorn

server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")


@server.event
async def want(sid):
    """Send a large event, and a small one when the client is there, again or still."""
    await server.emit("large", "x" * 5_000_000, to=sid)
    await server.emit("end")


@server.event
async def end(sid):
    await server.emit("end", to=sid)


async def look(url):
    client, seen, done = socketio.AsyncClient(reconnection_delay=0.2), [], asyncio.Event()

    @client.event
    async def connect():
        if "disconnect" in " ".join(seen):
            seen.append("connect")
            await client.emit("end")

    @client.event
    async def disconnect(reason):
        if not done.is_set():
            seen.append(f"disconnect ({reason})")

    @client.on("large")
    async def large(data):
        seen.append(str(len(data)))

    @client.on("end")
    async def ended():
        seen.append("end")
        done.set()

    await client.connect(url, transports=["websocket"])
    await client.emit("want")
    await asyncio.wait_for(done.wait(), 30)
    await client.disconnect()
    return ", ".join(seen)


def look_with_threads(url):
    """Return what arrives, in any order: each event has a thread of its own."""
    client, seen = socketio.Client(), queue.SimpleQueue()
    client.on("large", lambda data: seen.put(str(len(data))))
    client.on("end", lambda: seen.put("end"))
    client.connect(url, transports=["websocket"])
    client.emit("want")
    told = sorted(seen.get(timeout=30) for _ in range(2))
    client.disconnect()
    return ", ".join(told)


async def main():
    config = uvicorn.Config(socketio.ASGIApp(server), host="127.0.0.1", port=0, log_level="error")
    runner = uvicorn.Server(config)
    serving = asyncio.create_task(runner.serve())
    while not runner.started:
        await asyncio.sleep(0.05)
    url = f"http://127.0.0.1:{runner.servers[0].sockets[0].getsockname()[1]}"
    seen = {"asyncio": await asyncio.wait_for(look(url), 60)}
    seen["threads"] = await asyncio.to_thread(look_with_threads, url)
    node = await asyncio.to_thread(
        subprocess.run, ["node", "client.cjs", url], capture_output=True, text=True, timeout=60
    )
    seen["JavaScript"] = ", ".join(node.stdout.split())
    runner.should_exit = True
    await serving
    print("; ".join(f"{name}: {what}" for name, what in seen.items()))
    expected = dict.fromkeys(seen, "5000000, end")
    return seen != expected | {"asyncio": "disconnect (transport error), connect, end"}


raise SystemExit(asyncio.run(main()))
PY
venv/bin/python look.py
