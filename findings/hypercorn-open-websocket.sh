#!/usr/bin/env bash
# hypercorn 0.18.0 with its default of one worker does not stop after SIGTERM while a WebSocket is
# open, on Python 3.12.1 and newer: it neither closes the socket nor ends after its grace period of
# 3 seconds, but waits for the client. On Python 3.11 it closes with 1011 after the grace period.
# Needs both versions of Python; PY_OLD and PY_NEW name them where they have other names.
# Seen: Python 3.11: 1011, ended: True; Python 3.12: nothing within 10 s, ended: False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/app.py" <<'PY'
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] == "websocket.receive":
        pass
PY
cat >"$work/look.py" <<'PY'
import asyncio
import os
import signal
import socket
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "hypercorn", "-b", f"127.0.0.1:{port}", "app:app"]
    server = await asyncio.create_subprocess_exec(*command, stderr=-3, start_new_session=True)
    while True:
        try:
            client = await connect(f"ws://127.0.0.1:{port}/", proxy=None, close_timeout=0.1)
            break
        except OSError:  # it does not listen yet
            await asyncio.sleep(0.1)
    server.terminate()
    seen = "nothing within 10 s"
    try:
        await asyncio.wait_for(client.recv(), 10)
    except ConnectionClosed:
        seen = str(client.close_code)
        await asyncio.wait({asyncio.ensure_future(server.wait())}, timeout=5)
    except TimeoutError:
        pass
    print(f"{seen}, ended: {server.returncode is not None}")
    if server.returncode is None:
        os.killpg(server.pid, signal.SIGKILL)
        await server.wait()
    client.transport.abort()


asyncio.run(main())
PY
cd "$work"
seen=()
for python in "${PY_OLD:-python3.11}" "${PY_NEW:-python3.12}"; do
    "$python" -m venv "$work/venv-${#seen[@]}"
    "$work/venv-${#seen[@]}/bin/pip" install -q hypercorn==0.18.0 websockets==17.4
    seen+=("$("$work/venv-${#seen[@]}/bin/python" look.py)")
done
echo "Python 3.11: ${seen[0]}; Python 3.12: ${seen[1]}"
[[ ${seen[0]} == "1011, ended: True" && ${seen[1]} == "nothing within 10 s, ended: False" ]]
