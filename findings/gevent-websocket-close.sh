#!/usr/bin/env bash
# gevent-websocket 0.10.1 answers a close frame that has a reason with the text of a Python object: the first
# two letters of "bytearray(...)" are sent as the close code, 25209, which no endpoint may send, so a client
# that checks it counts its own orderly close as a lost connection. Without a reason the answer has no code.
# Seen: close 1000: no code; close 1000 with a reason: 25209 "tearray(b'bye')"; websockets closes with 1006
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q gevent-websocket==0.10.1 gevent==26.9.0 wsproto==1.3.2 websockets==17.4
cat >"$work/server.py" <<'PY'
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler


def application(environ, start_response):
    socket = environ["wsgi.websocket"]
    while socket.receive() is not None:
        pass
    return []


server = WSGIServer(("127.0.0.1", 0), application, handler_class=WebSocketHandler)
server.start()
print(server.server_port, flush=True)
server.serve_forever()
PY
cat >"$work/look.py" <<'PY'
import socket
import struct
import subprocess
import sys
from pathlib import Path

from websockets.sync.client import connect
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request


def answer(port, reason):
    """Return the payload of the frame that answers a close frame with 1000."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as tcp:
        wire = WSConnection(ConnectionType.CLIENT)
        tcp.sendall(wire.send(Request(host="127.0.0.1", target="/")))
        while not any(isinstance(event, AcceptConnection) for event in wire.events()):
            wire.receive_data(tcp.recv(65536))
        tcp.sendall(wire.send(CloseConnection(1000, reason)))
        data = b""
        while received := tcp.recv(65536):
            data += received
        assert data[0] == 0x88 and data[1] == len(data) - 2, data
        return data[2:]


def shown(payload):
    return f'{struct.unpack("!H", payload[:2])[0]} "{payload[2:].decode()}"' if payload else "no code"


with subprocess.Popen(
    [sys.executable, Path(__file__).with_name("server.py")], stdout=subprocess.PIPE, text=True
) as server:
    port = int(server.stdout.readline())
    bare, told = shown(answer(port, None)), shown(answer(port, "bye"))
    with connect(f"ws://127.0.0.1:{port}/") as connection:
        connection.close(1000, "bye")
    seen = connection.close_code
    server.kill()
print(f"close 1000: {bare}; close 1000 with a reason: {told}; websockets closes with {seen}")
expected = "no code", "25209 \"tearray(b'bye')\"", 1006
raise SystemExit((bare, told, seen) != expected)
PY
"$work/venv/bin/python" "$work/look.py"
