#!/usr/bin/env bash
# Quart 0.22.0 closes a WebSocket with 1000 (normal closure) when its handler raises, as it does when
# the handler returns. hypercorn, which it runs on, sends 1011 for an ASGI application that raises.
# Seen: Quart: returned 1000, raised 1000; ASGI: raised 1011
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q quart==0.22.0 hypercorn==0.18.0 websockets==17.4
cat >"$work/app.py" <<'PY'
from quart import Quart, websocket

quart = Quart(__name__)


@quart.websocket("/return")
async def returning():
    await websocket.accept()


@quart.websocket("/raise")
async def raising():
    await websocket.accept()
    raise RuntimeError


async def asgi(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    raise RuntimeError


async def app(scope, receive, send):
    await (asgi if scope.get("path") == "/asgi" else quart)(scope, receive, send)
PY
cd "$work"
"$work/venv/bin/python" - <<'PY'
import asyncio
import os
import signal
import socket
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def code(url):
    while True:
        try:
            async with connect(url, proxy=None) as client:
                try:
                    await client.recv()
                except ConnectionClosed:
                    return client.close_code
        except OSError:  # it does not listen yet
            await asyncio.sleep(0.1)


async def main():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "hypercorn", "-b", f"127.0.0.1:{port}", "app:app"]
    server = await asyncio.create_subprocess_exec(*command, stderr=-3, start_new_session=True)
    seen = [await code(f"ws://127.0.0.1:{port}/{path}") for path in ("return", "raise", "asgi")]
    print(f"Quart: returned {seen[0]}, raised {seen[1]}; ASGI: raised {seen[2]}")
    os.killpg(server.pid, signal.SIGKILL)
    await server.wait()
    raise SystemExit(seen != [1000, 1000, 1011])


asyncio.run(main())
PY
