#!/usr/bin/env bash
# The TestClient of Starlette 1.10.0 lets pass what a WebSocket cannot carry. A close with a reason of more
# than 123 bytes, say the text of an error, has its code in the test; over uvicorn 0.54.0 it is not
# sent, and the client sees 1006. A subprotocol that was not offered is accepted in the test, and
# ends the handshake of websockets 17.4.
# Seen: TestClient: close 4400, subprotocol v2; uvicorn: close 1006, subprotocol NegotiationError
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q starlette==1.10.0 httpx2==2.16.2 uvicorn==0.54.0 websockets==17.4
"$work/venv/bin/python" - <<'PY'
import asyncio
import socket

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, NegotiationError


async def close(socket):
    await socket.accept()
    await socket.close(4400, "the field `price` is not a number: " + "x" * 100)


async def choose(socket):
    await socket.accept(subprotocol="v2")
    await socket.close()


app = Starlette(routes=[WebSocketRoute("/close", close), WebSocketRoute("/choose", choose)])


def in_a_test():
    client = TestClient(app)
    with client.websocket_connect("/close") as session:
        try:
            session.receive_text()
        except WebSocketDisconnect as ended:
            code = ended.code
    with client.websocket_connect("/choose", subprotocols=["v1"]) as session:
        return f"close {code}, subprotocol {session.accepted_subprotocol}"


async def over_a_socket():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level=60))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        async with connect(f"{url}/close", proxy=None) as client:
            try:
                await client.recv()
            except ConnectionClosed:
                pass
        try:
            async with connect(f"{url}/choose", subprotocols=["v1"], proxy=None) as chosen:
                told = chosen.subprotocol
        except NegotiationError as error:
            told = type(error).__name__
        server.should_exit = True
        await task
    return f"close {client.close_code}, subprotocol {told}"


seen = f"TestClient: {in_a_test()}; uvicorn: {asyncio.run(over_a_socket())}"
print(seen)
expected = "TestClient: close 4400, subprotocol v2; "
expected += "uvicorn: close 1006, subprotocol NegotiationError"
raise SystemExit(seen != expected)
PY
