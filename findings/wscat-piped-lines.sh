#!/usr/bin/env bash
# wscat 6.1.0 sends nothing of what comes through a pipe: it ends with the end of its input, whether it
# has connected or not. Its exit code is 0.
# Seen: got [], exit code 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q websockets==17.4
(cd "$work" && npm install --silent --no-audit --no-fund wscat@6.1.0 >/dev/null)
"$work/venv/bin/python" - "$work/node_modules/.bin/wscat" <<'PY'
import asyncio
import sys

from websockets.asyncio.server import serve

got = []


async def note(socket):
    async for message in socket:
        got.append(message)


async def main():
    async with serve(note, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        program = [sys.argv[1], "-c", f"ws://127.0.0.1:{port}"]
        process = await asyncio.create_subprocess_exec(*program, stdin=-1, stdout=-1)
        await asyncio.wait_for(process.communicate(b"one\ntwo\n"), 30)
        await asyncio.sleep(0.5)
        print(f"got {got}, exit code {process.returncode}")
        return got == [] and process.returncode == 0


sys.exit(not asyncio.run(main()))
PY
