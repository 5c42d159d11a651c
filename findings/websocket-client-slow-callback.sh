#!/usr/bin/env bash
# websocket-client 1.9.2 gives up a server that has answered if one on_message() takes longer than
# ping_timeout: when it returns, the pong is looked for before the socket is read, where it lies behind
# the messages that came in between, which are lost. Without pings a callback as slow loses nothing.
# Seen: with pings: 1 of 3 messages, ping/pong timed out, unread: text text pong;
#   without pings: 3 of 3 messages, no error
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q websocket-client==1.9.2 websockets==17.4
"$work/venv/bin/python" - <<'PY'
import threading
import time

import websocket
from websockets.sync.server import serve

COUNT = 3
NAMES = {websocket.ABNF.OPCODE_TEXT: "text", websocket.ABNF.OPCODE_PONG: "pong"}


def handler(connection):
    for number in range(COUNT):
        connection.send(str(number))
        time.sleep(0.2)
    for _ in connection:
        pass


def look(url, **options):
    seen, told = [], ["no error"]

    def on_message(app, message):
        seen.append(message)
        time.sleep(3)  # a ping goes out after 2 s
        if len(seen) == COUNT:
            app.close()

    def on_error(app, error):
        unread = [NAMES[app.sock.recv_frame().opcode] for _ in range(COUNT)]
        told[:] = [str(error), f"unread: {' '.join(unread)}"]
        app.close()

    websocket.WebSocketApp(url, on_message=on_message, on_error=on_error).run_forever(**options)
    return ", ".join([f"{len(seen)} of {COUNT} messages", *told])


with serve(handler, "127.0.0.1", 0, ping_interval=None) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
    pings, none = look(url, ping_interval=2, ping_timeout=0.5), look(url)
    server.shutdown()
print(f"with pings: {pings}; without pings: {none}")
expected = "1 of 3 messages, ping/pong timed out, unread: text text pong"
raise SystemExit((pings, none) != (expected, "3 of 3 messages, no error"))
PY
