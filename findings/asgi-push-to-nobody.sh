#!/usr/bin/env bash
# A handler that only sends never learns from hypercorn 0.18.0, daphne 4.2.3 and granian 2.8.9 that
# its client has closed: each send succeeds, and the handler works for nobody for as long as it runs.
# uvicorn 0.54.0 raises from the next send. All four report the close to a handler that receives.
# Seen: sends after the close, of 40: uvicorn: 0, hypercorn: 40, daphne: 40, granian: 40
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3.11}
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install -q uvicorn==0.54.0 hypercorn==0.18.0 daphne==4.2.3 granian==2.8.9 websockets==17.4
cat >"$work/app.py" <<'PY'
import asyncio
from pathlib import Path

COUNT = 40


async def push(send):
    closed = Path("closed")
    while not closed.exists():
        await send({"type": "websocket.send", "text": "tick"})
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)  # the close has arrived long since
    for sent in range(COUNT):
        try:
            await send({"type": "websocket.send", "text": "to nobody"})
        except Exception:
            return sent
        await asyncio.sleep(0.05)
    return COUNT


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/push":
        told = await push(send)
    else:
        told = (await receive())["type"]
    Path("part").write_text(str(told))
    Path("part").rename("told")
PY
cd "$work"
"$work/venv/bin/python" - <<'PY'
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from websockets.asyncio.client import connect

COMMANDS = {
    "uvicorn": ["uvicorn", "--lifespan", "off", "--port", "{}", "app:app"],
    "hypercorn": ["hypercorn", "-b", "127.0.0.1:{}", "app:app"],
    "daphne": ["daphne", "-p", "{}", "app:app"],
    "granian": ["granian", "--interface", "asgi", "--port", "{}", "app:app"],
}
EXPECTED = {"uvicorn": "0", "hypercorn": "40", "daphne": "40", "granian": "40"}


async def told(url):
    for name in ("told", "closed"):
        Path(name).unlink(missing_ok=True)
    while True:
        try:
            client = await connect(url, proxy=None, close_timeout=2)
            break
        except OSError:  # it does not listen yet
            await asyncio.sleep(0.1)
    if url.endswith("/push"):
        await client.recv()
    await client.close()  # granian leaves it unanswered: then TCP ends
    Path("closed").touch()
    async with asyncio.timeout(20):
        while not Path("told").exists():
            await asyncio.sleep(0.05)
    return Path("told").read_text()


async def look(name):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", *(word.format(port) for word in COMMANDS[name])]
    server = await asyncio.create_subprocess_exec(
        *command, stdout=-3, stderr=-3, start_new_session=True
    )
    try:
        assert await told(f"ws://127.0.0.1:{port}/receive") == "websocket.disconnect"
        return await told(f"ws://127.0.0.1:{port}/push")
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        await server.wait()


async def main():
    seen = {name: await look(name) for name in COMMANDS}
    counts = ", ".join(f"{name}: {count}" for name, count in seen.items())
    print(f"sends after the close, of 40: {counts}")
    raise SystemExit(seen != EXPECTED)


asyncio.run(main())
PY
