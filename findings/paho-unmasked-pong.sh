#!/usr/bin/env bash
# paho-mqtt 2.2.0 answers a ping of the WebSocket with a frame that is not masked, which the standard forbids
# to clients: a server that checks it closes with 1002. The broker amqtt 0.12.1 listens by the library
# websockets, which pings after 20 s: each client is dropped then, connects again, and so on.
# Seen: without a ping: connected; with a ping: connected, disconnected after 0 s, closed with 1002 (protocol
#   error) incorrect masking; amqtt: connected, disconnected after 20 s, connected
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q paho-mqtt==2.2.0 amqtt==0.12.1 websockets==15.0.1
cat >"$work/client.py" <<'PY'
import queue
import sys
import time

import paho.mqtt.client as mqtt

port, wanted = map(int, sys.argv[1:])
events, since = queue.SimpleQueue(), time.monotonic()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, transport="websockets")
client.on_connect = lambda *_: events.put("connected")
client.on_disconnect = lambda *_: events.put(f"disconnected after {round((time.monotonic() - since) / 5) * 5} s")
client.connect("127.0.0.1", port, keepalive=5)
client.loop_start()
seen = []
while len(seen) < wanted:
    try:
        seen.append(events.get(timeout=30 if wanted > 2 else 3))
    except queue.Empty:
        break
print(", ".join(seen))
PY
cat >"$work/look.py" <<'PY'
import asyncio
import logging
import sys
from pathlib import Path

from amqtt.broker import Broker
from websockets.asyncio.server import serve

CONNACK = b"\x20\x02\x00\x00"
logging.disable()


async def client(port, wanted):
    """Return what the client reports: so many events, or those before it is silent."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, Path(__file__).with_name("client.py"), str(port), str(wanted), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output.decode().strip()


async def by_hand(ping):
    ends = []

    async def broker(connection):
        await connection.recv()
        await connection.send(CONNACK)
        if ping:
            await connection.ping()
            await connection.wait_closed()
            ends.append(str(connection.protocol.close_sent))
        await connection.wait_closed()

    async with serve(broker, "127.0.0.1", 0, subprotocols=["mqtt"], ping_interval=None) as server:
        seen = await client(server.sockets[0].getsockname()[1], 2)
    return seen, ends[:1]


async def amqtt():
    broker = Broker({
        "listeners": {"default": {"type": "ws", "bind": "127.0.0.1:0"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })
    await broker.start()
    port = broker._servers["default"].instance.sockets[0].getsockname()[1]
    seen = await client(port, 3)
    await broker.shutdown()
    return seen


async def main():
    quiet, pinged, real = await by_hand(False), await by_hand(True), await amqtt()
    print(f"without a ping: {quiet[0]}; with a ping: {pinged[0]}, closed with {pinged[1][0]}; amqtt: {real}")
    return (quiet, pinged, real) != (
        ("connected", []),
        ("connected, disconnected after 0 s", ["1002 (protocol error) incorrect masking"]),
        "connected, disconnected after 20 s, connected",
    )


raise SystemExit(asyncio.run(main()))
PY
"$work/venv/bin/python" "$work/look.py"
