#!/usr/bin/env bash
# websockets 17.4 gives a silent peer up after ping_interval + ping_timeout, and tells the program
# close_timeout (10 s) later: it sends a close frame, and waits for an answer that does not come.
# Until then recv() waits, the state says closing, and send() waits, too.
# Seen: pings of 1 + 1 s: recv() raised after 12 s; with close_timeout=1 after 3 s
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q websockets==17.4
"$work/venv/bin/python" - <<'PY'
import asyncio
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.server import ServerProtocol

silent = []


async def fall_silent(reader, writer):
    protocol = ServerProtocol()
    protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
    (request,) = protocol.events_received()
    protocol.send_response(protocol.accept(request))
    for data in protocol.data_to_send():
        writer.write(data)
    silent.append(writer)  # it reads no more, answers no more, and closes nothing


async def told_after(url, **options):
    async with connect(url, proxy=None, ping_interval=1, ping_timeout=1, **options) as client:
        began = time.monotonic()
        try:
            await client.recv()
        except ConnectionClosed:
            return round(time.monotonic() - began)


async def main():
    server = await asyncio.start_server(fall_silent, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    seen = await asyncio.gather(told_after(url), told_after(url, close_timeout=1))
    print(f"pings of 1 + 1 s: recv() raised after {seen[0]} s; with close_timeout=1 after {seen[1]} s")
    server.close()
    raise SystemExit(seen != [12, 3])


asyncio.run(main())
PY
