#!/usr/bin/env bash
# A close frame may come without a code. The drop-in client of picows 2.3.1 answers one with the code 0, and
# the server of ws4py 0.6.0 with 1005; neither may be in a frame, so a peer that checks them counts an
# orderly end as a violation of the protocol, and reports 1006.
# Seen by websockets 17.4, which sent no code: picows: received 0, reports 1006; ws4py: received 1005, reports
#   1006; itself: received none, reports 1005
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q picows==2.3.1 ws4py==0.6.0 websockets==17.4
"$work/venv/bin/python" - <<'PY'
import asyncio
import os
import threading
from wsgiref.simple_server import make_server

from picows.websockets import connect as picows_connect
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from ws4py.server.wsgirefserver import WebSocketWSGIRequestHandler, WSGIServer
from ws4py.server.wsgiutils import WebSocketWSGIApplication
from ws4py.websocket import EchoWebSocket


class Quiet(WebSocketWSGIRequestHandler):
    def log_message(self, *_):
        pass


async def goodbye(connection):
    """Close without a code, and return the code that came back, and the one that is reported."""
    protocol, data = connection.protocol, []
    receive, protocol.receive_data = protocol.receive_data, lambda part: (data.append(part), receive(part))
    protocol.send_close()
    connection.send_data()
    await connection.wait_closed()
    head, frame = data[0][1], data[0][2:]
    mask, body = (frame[:4], frame[4:]) if head & 0x80 else (bytes(4), frame)
    code = int.from_bytes(bytes(a ^ b for a, b in zip(body, mask)), "big") if head & 0x7F else None
    return code, connection.close_code


async def to_client(client):
    seen = asyncio.get_running_loop().create_future()

    async def handler(connection):
        seen.set_result(await goodbye(connection))

    async with serve(handler, "127.0.0.1", 0) as server:
        async with client(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/") as connection:
            try:
                await connection.recv()
            except Exception:
                pass
        return await seen


async def to_ws4py():
    application = WebSocketWSGIApplication(handler_cls=EchoWebSocket)
    server = make_server("127.0.0.1", 0, application, WSGIServer, Quiet)
    server.initialize_websockets_manager()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    async with connect(f"ws://127.0.0.1:{server.server_port}/") as connection:
        seen = await goodbye(connection)
    await asyncio.to_thread(server.shutdown)
    return seen


async def main():
    seen = await to_client(picows_connect), await to_ws4py(), await to_client(connect)
    for name, (received, code) in zip(("picows", "ws4py", "itself"), seen):
        print(f"websockets to {name}: sent no code, received {received}, reports {code}", flush=True)
    return seen


seen = asyncio.run(main())
os._exit(seen != ((0, 1006), (1005, 1006), (None, 1005)))  # ws4py leaves a thread
PY
