#!/usr/bin/env bash
# daphne 4.2.3 leaves a WebSocket open whose application has returned. It answers pings and takes
# messages that nobody reads, so the client cannot see that it talks to nobody. An application that
# raises is closed with 1011.
# Seen: returned: pong: True, close: None; raised: close: 1011
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q daphne==4.2.3 websockets==17.4
cat >"$work/app.py" <<'PY'
async def app(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/raise":
        raise RuntimeError
PY
cd "$work"
"$work/venv/bin/python" - <<'PY'
import asyncio
import socket
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "app:app"]
    server = await asyncio.create_subprocess_exec(*command, stdout=-3, stderr=-3)
    options = {"proxy": None, "ping_interval": None, "close_timeout": 0.1}
    while True:
        try:
            client = await connect(f"ws://127.0.0.1:{port}/return", **options)
            break
        except OSError:  # it does not listen yet
            await asyncio.sleep(0.1)
    try:
        await asyncio.wait_for(client.recv(), 5)
    except (TimeoutError, ConnectionClosed):
        pass
    await client.send("anybody?")
    done, _ = await asyncio.wait({asyncio.ensure_future(await client.ping())}, timeout=2)
    returned = bool(done), client.close_code
    client.transport.abort()
    async with connect(f"ws://127.0.0.1:{port}/raise", **options) as other:
        try:
            await asyncio.wait_for(other.recv(), 5)
        except (TimeoutError, ConnectionClosed):
            pass
        raised = other.close_code
    print(f"returned: pong: {returned[0]}, close: {returned[1]}; raised: close: {raised}")
    server.kill()
    await server.wait()
    raise SystemExit((returned, raised) != ((True, None), 1011))


asyncio.run(main())
PY
