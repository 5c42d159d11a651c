#!/usr/bin/env bash
# curl_cffi 0.17.0 takes the part of a close frame that has arrived for the whole frame. TCP may split it
# anywhere: if one byte of its body comes first, recv() raises a protocol error and the code is 1002; if the
# code comes first, the reason is lost. A text that is split in the same place is read whole.
# Seen: whole: 4001 "restart"; split in the header: 4001 "restart"; split in the code: Close frame body cannot be
#   1 byte, 1002; split before the reason: 4001 ""; a split text: "a whole text"
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q curl_cffi==0.17.0 wsproto==1.3.2
"$work/venv/bin/python" - <<'PY'
import socket
import struct
import threading
import time

from curl_cffi import Session, WebSocketError
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

TEXT, CLOSE = TextMessage("a whole text"), CloseConnection(4001, "restart")
CASES = {
    "whole": (CLOSE, 0), "split in the header": (CLOSE, 1), "split in the code": (CLOSE, 3),
    "split before the reason": (CLOSE, 4), "a split text": (TEXT, 3),
}


def serve(listener):
    for event, split in CASES.values():
        tcp, _ = listener.accept()
        with tcp:
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = WSConnection(ConnectionType.SERVER)
            while not any(isinstance(seen, Request) for seen in wire.events()):
                wire.receive_data(tcp.recv(65536))
            tcp.sendall(wire.send(AcceptConnection()))
            data = wire.send(event)
            if split:
                tcp.sendall(data[:split])
                time.sleep(1)  # the client reads what is there
            tcp.sendall(data[split:])
            while tcp.recv(65536):
                pass


def look(url):
    with Session() as session:
        socket = session.ws_connect(url)
        try:
            data, _ = socket.recv()
        except WebSocketError as error:
            return f"{str(error).partition(' (')[0]}, {socket.close_code}"
        finally:
            if socket.close_code is None:
                socket.close()
        return f'"{data.decode()}"' if socket.close_code in (None, 1000) else f'{socket.close_code} "{socket.close_reason}"'


with socket.create_server(("127.0.0.1", 0)) as listener:
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    seen = {name: look(f"ws://127.0.0.1:{listener.getsockname()[1]}/") for name in CASES}
print("; ".join(f"{name}: {what}" for name, what in seen.items()))
expected = ['4001 "restart"'] * 2 + ["Close frame body cannot be 1 byte, 1002", '4001 ""', '"a whole text"']
raise SystemExit(list(seen.values()) != expected)
PY
