#!/usr/bin/env bash
# The WebSocket of niquests 3.21.2 does not answer a close frame: it drops the connection, so a server that
# ends one in order counts it as lost, 1006. The caller gets None, and neither the code nor the reason, so
# that a token that has expired, a restart and a cut cable look the same.
# Seen: close 4001: client None, server 1006; lost: client None; httpx-ws: client 4001 token expired, server 1000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'niquests[ws]==3.21.2' wsproto==1.3.2 httpx-ws==0.9.0 websockets==17.4
"$work/venv/bin/python" - <<'PY'
import queue
import threading

import niquests
from httpx_ws import WebSocketDisconnect, connect_ws
from websockets.sync.server import serve

ends = queue.SimpleQueue()


def handler(connection):
    connection.send("first")
    if connection.request.path == "/lost":
        connection.socket.shutdown(2)
    else:
        connection.close(4001, "token expired")
        ends.put(int(connection.close_code))


def by_niquests(url):
    with niquests.Session() as session:
        extension = session.get(url).extension
        assert extension.next_payload() == "first"
        told = extension.next_payload()
        public = {name for name in dir(extension) if not name.startswith("_")}
        assert not {name for name in public if "code" in name or "reason" in name}, public
        return str(told)


def by_httpx_ws(url):
    with connect_ws(url) as session:
        try:
            assert session.receive_text(timeout=5) == "first"
            session.receive_text(timeout=5)
        except WebSocketDisconnect as error:
            return f"{error.code} {error.reason}"


with serve(handler, "127.0.0.1", 0) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
    closed = by_niquests(f"{url}/"), ends.get(timeout=30)
    lost = by_niquests(f"{url}/lost")
    other = by_httpx_ws(f"{url}/"), ends.get(timeout=30)
    server.shutdown()
print(f"close 4001: client {closed[0]}, server {closed[1]}; lost: client {lost}; httpx-ws: client {other[0]}, server {other[1]}")
raise SystemExit((closed, lost, other) != (("None", 1006), "None", ("4001 token expired", 1000)))
PY
