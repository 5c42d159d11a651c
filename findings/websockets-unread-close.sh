#!/usr/bin/env bash
# close() of websockets 17.4 takes all of close_timeout (10 s) and ends with 1006 if some 20 messages lie
# unread, although the peer answers at once: nothing is read while the queue is full, so the close
# frame of the peer is never seen. The peer sees a clean 1000. With nothing unread it takes no time.
# Seen: 0 sent: at once, 1000, the peer saw 1000; 200 sent: after 10 s, 1006, the peer saw 1000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q websockets==17.4
"$work/venv/bin/python" - <<'PY'
import asyncio
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def look(count):
    sent, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def handler(connection):
        for number in range(count):
            await connection.send(str(number))
        sent.set()
        await connection.wait_closed()
        ended.set_result(connection.close_code)

    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = await connect(f"ws://127.0.0.1:{port}", proxy=None)
        await sent.wait()
        await asyncio.sleep(0.5)  # the client takes what it has room for
        begin = time.monotonic()
        await client.close()
        when = "after 10 s" if time.monotonic() - begin >= 10 else "at once"
        return f"{count} sent: {when}, {client.close_code}, the peer saw {await ended}"


async def main():
    seen = "; ".join([await look(0), await look(200)])
    print(seen)
    expected = "0 sent: at once, 1000, the peer saw 1000; 200 sent: after 10 s, 1006, the peer saw 1000"
    raise SystemExit(seen != expected)


asyncio.run(main())
PY
