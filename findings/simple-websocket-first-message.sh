#!/usr/bin/env bash
# The client of simple-websocket 1.1.0 does not look at what arrives together with the answer to its
# handshake: a greeting in the same segment lies unread until the server sends again, and if the server
# says why and closes there, the client reads neither. wsproto, which it is built on, has both at hand.
# Seen: greeting behind the answer: greeting; with it: nothing (for 3 s), greeting, more (when more is sent);
#   with it and a close: nothing, 1005
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q simple-websocket==1.1.0 wsproto==1.3.2
"$work/venv/bin/python" - <<'PY'
import socket
import threading
import time

from simple_websocket import Client, ConnectionClosed
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

GREETING, MORE = TextMessage("greeting"), TextMessage("more")
go_on = threading.Event()


def serve(listener):
    for path in ("behind", "with", "close"):
        go_on.clear()
        tcp, _ = listener.accept()
        with tcp:
            wire = WSConnection(ConnectionType.SERVER)
            while not any(isinstance(event, Request) for event in wire.events()):
                wire.receive_data(tcp.recv(65536))
            answer = wire.send(AcceptConnection())
            if path == "behind":
                tcp.sendall(answer)
                time.sleep(1)
                tcp.sendall(wire.send(GREETING))
            elif path == "with":
                tcp.sendall(answer + wire.send(GREETING))
                go_on.wait()
                tcp.sendall(wire.send(MORE))
            else:
                tcp.sendall(answer + wire.send(GREETING) + wire.send(CloseConnection(4401, "sign in")))
                go_on.wait()
                continue
            tcp.recv(65536)  # the client's close


def look(url, wanted):
    client, seen = Client(url), []
    try:
        for _ in range(wanted):
            seen.append(client.receive(timeout=3) or "nothing")
            if seen[-1] == "nothing":
                go_on.set()
        client.close()
    except ConnectionClosed as error:
        seen.append(str(int(error.reason)))
    return ", ".join(seen)


with socket.create_server(("127.0.0.1", 0)) as listener:
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
    behind, together, close = look(url, 1), look(url, 3), look(url, 2)
print(f"greeting behind the answer: {behind}; with it: {together}; with it and a close: {close}")
expected = "greeting", "nothing, greeting, more", "nothing, 1005"
raise SystemExit((behind, together, close) != expected)
PY
