#!/usr/bin/env bash
# sanic 25.12.1 closes its WebSockets with 1000 (normal closure) when it is told to stop, where
# RFC 6455 7.4.1 has 1001 for a server that goes down. To a client a restart looks like the end.
# Seen: close code after SIGTERM: 1000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q sanic==25.12.1 websockets==15.0.1
cat >"$work/server.py" <<'PY'
from sanic import Sanic

app = Sanic("finding")


@app.websocket("/ws")
async def handler(request, socket):
    async for _ in socket:
        pass


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=8917, single_process=True, access_log=False, motd=False)
PY
cd "$work"
"$work/venv/bin/python" - <<'PY'
import asyncio
import signal
import sys
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main():
    server = await asyncio.create_subprocess_exec(sys.executable, "server.py", stderr=-3)
    for _ in range(100):
        try:
            client = await connect("ws://127.0.0.1:8917/ws", proxy=None)
            break
        except OSError:
            await asyncio.sleep(0.1)
    server.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(client.recv(), 20)
    except ConnectionClosed:
        pass
    print("close code after SIGTERM:", client.close_code)
    await server.wait()
    raise SystemExit(client.close_code != 1000)


asyncio.run(main())
PY
