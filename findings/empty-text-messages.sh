#!/usr/bin/env bash
# An empty text is a message like any other. The receive() of Microdot 2.7.0 and the w3cwebsocket of npm's
# websocket 1.0.35 never show one: both ask whether the data is true. The other message object of the
# same npm package has it, and so have websockets 17.4 and ws 8.23.0.
# Seen: microdot: a b; w3cwebsocket: a b; connection: a "" b; ws: a "" b
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q microdot==2.7.0 websockets==17.4
npm install --silent --no-audit --no-fund websocket@1.0.35 ws@8.23.0 >/dev/null
cat >client.cjs <<'JS'
const [kind, url] = process.argv.slice(2);
const seen = [];
const take = (text) => { seen.push(text || '""'); if (text === "b") { console.log(seen.join(" ")); process.exit(0); } };
if (kind === "connection") {
  const client = new (require("websocket").client)();
  client.on("connect", (connection) => connection.on("message", (message) => take(message.utf8Data)));
  client.connect(url);
} else {
  const socket = new (kind === "ws" ? require("ws") : require("websocket").w3cwebsocket)(url);
  socket.onmessage = (event) => take(event.data);
}
JS
cat >look.py <<'PY'
import asyncio

from microdot import Microdot
from microdot.websocket import with_websocket
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

TEXTS = ["a", "", "b"]
app, received, complete = Microdot(), [], asyncio.Event()


@app.get("/")
@with_websocket
async def take(request, socket):
    while "b" not in received:
        received.append(await socket.receive())
    complete.set()


async def send(connection):
    for text in TEXTS:
        await connection.send(text)
    await connection.wait_closed()


async def by_node(kind, url):
    process = await asyncio.create_subprocess_exec("node", "client.cjs", kind, url, stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()


async def main():
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    serving = asyncio.create_task(app.start_server("127.0.0.1", port))
    await asyncio.sleep(1)
    async with connect(f"ws://127.0.0.1:{port}/") as connection:
        for text in TEXTS:
            await connection.send(text)
        await asyncio.wait_for(complete.wait(), 10)
    app.shutdown()
    await serving
    seen = {"microdot": " ".join(text or '""' for text in received)}
    async with serve(send, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for kind in ("w3cwebsocket", "connection", "ws"):
            seen[kind] = await by_node(kind, url)
    print("; ".join(f"{name}: {texts}" for name, texts in seen.items()))
    return list(seen.values()) != ["a b", "a b", 'a "" b', 'a "" b']


raise SystemExit(asyncio.run(main()))
PY
venv/bin/python look.py
