#!/usr/bin/env bash
# granian 2.8.9 answers 403 when an application raises before it accepts a WebSocket, as it does for
# one that refuses. To a client a crash looks like a refusal. After the accept it sends a close
# frame without a code. uvicorn 0.54.0 answers 500, and ends the socket without a close frame.
# Seen: granian: 403 refused, 403 raised, close 1005; uvicorn: 403 refused, 500 raised, close 1006
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q granian==2.8.9 uvicorn==0.54.0 websockets==17.4
cat >"$work/app.py" <<'PY'
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    if scope["path"] == "/refuse":
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/late":
        await send({"type": "websocket.accept"})
    raise RuntimeError
PY
cd "$work"
"$work/venv/bin/python" - <<'PY'
import asyncio
import os
import signal
import socket
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

COMMANDS = {
    "granian": ["granian", "--interface", "asgi", "--port", "{}", "app:app"],
    "uvicorn": ["uvicorn", "--lifespan", "off", "--port", "{}", "app:app"],
}
EXPECTED = {
    "granian": "403 refused, 403 raised, close 1005",
    "uvicorn": "403 refused, 500 raised, close 1006",
}


async def status(url):
    while True:
        try:
            async with connect(url, proxy=None):
                return 101
        except InvalidStatus as refusal:
            return refusal.response.status_code
        except OSError:  # it does not listen yet
            await asyncio.sleep(0.1)


async def look(name):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", *(word.format(port) for word in COMMANDS[name])]
    server = await asyncio.create_subprocess_exec(
        *command, stdout=-3, stderr=-3, start_new_session=True
    )
    url = f"ws://127.0.0.1:{port}"
    refused, raised = await status(f"{url}/refuse"), await status(f"{url}/raise")
    async with connect(f"{url}/late", proxy=None) as client:
        try:
            await client.recv()
        except ConnectionClosed:
            pass
    os.killpg(server.pid, signal.SIGKILL)
    await server.wait()
    return f"{refused} refused, {raised} raised, close {client.close_code}"


async def main():
    seen = {name: await look(name) for name in COMMANDS}
    print("; ".join(f"{name}: {told}" for name, told in seen.items()))
    raise SystemExit(seen != EXPECTED)


asyncio.run(main())
PY
