#!/usr/bin/env bash
# A message that a client sends in fragments, as npm's websocket 1.0.35 does above 16 KiB by default, never
# reaches the handler of Robyn 0.88.0: no error, no close, and the connection goes on. The same text in
# one frame arrives. A client that closes gets no close frame back, and so counts it as 1006.
# Seen, as the lengths that arrive: one frame: 20000 4; three fragments: 4; websocket: 4; after close 1000: 1006
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q robyn==0.88.0 websockets==17.4
npm install --silent --no-audit --no-fund websocket@1.0.35 >/dev/null
cat >server.py <<'PY'
import sys

from robyn import Robyn

app = Robyn(__file__)


@app.websocket("/")
async def count(socket):
    while True:
        await socket.send_text(str(len(await socket.receive_text())))


app.start(host="127.0.0.1", port=int(sys.argv[1]))
PY
cat >client.cjs <<'JS'
const { w3cwebsocket } = require("websocket");
const socket = new w3cwebsocket(process.argv[2]);
socket.onopen = () => { socket.send("x".repeat(20000)); socket.send("next"); };
socket.onmessage = (event) => { console.log(event.data); if (event.data === "4") process.exit(0); };
JS
cat >look.py <<'PY'
import socket
import subprocess
import sys
import time

from websockets.sync.client import connect

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
url = f"ws://127.0.0.1:{port}/"


def look(message):
    """Return the lengths that the handler has seen of a message and a short one behind it."""
    with connect(url, ping_interval=None) as connection:
        connection.send(message)
        connection.send("next")
        seen = []
        while "4" not in seen:
            seen.append(connection.recv(timeout=10))
        connection.close()
    return " ".join(seen), connection.close_code


server = subprocess.Popen([sys.executable, "server.py", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(150):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.2)
    whole, code = look("x" * 20000)
    parts, _ = look(["x" * 10000, "x" * 9999, "x"])
    node = subprocess.run(["node", "client.cjs", url], capture_output=True, text=True, timeout=60).stdout
finally:
    server.kill()
    server.wait()
node = " ".join(node.split())
print(f"one frame: {whole}; three fragments: {parts}; websocket: {node}; after close 1000: {code}")
raise SystemExit((whole, parts, node, code) != ("20000 4", "4", "4", 1006))
PY
venv/bin/python look.py
