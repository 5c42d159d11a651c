#!/usr/bin/env bash
# mosquitto 2.0.11, as Debian 12 has it, answers the first of several pings that arrive together over
# WebSocket, and none behind it. The standard lets a peer answer the newest alone: a client that
# waits for the pong of each ping waits for these forever.
# Needs Debian's package: apt-get install mosquitto
# Seen: one by one: 3 of 3 answered; together: the first of 3
set -euo pipefail
work=$(mktemp -d)
broker=
trap '[[ -z $broker ]] || kill "$broker"; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q wsproto==1.3.2
port=$("$work/venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/conf" <<CONF
listener 0 $work/socket
listener $port 127.0.0.1
protocol websockets
allow_anonymous true
user $(id -un)
CONF
/usr/sbin/mosquitto -c "$work/conf" >/dev/null 2>&1 &
broker=$!
"$work/venv/bin/python" - "$port" <<'PY'
import socket
import sys
import time

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Ping, Pong, Request

CONNECT = bytes([0x10, 13]) + b"\x00\x04MQTT\x04\x02\x00\x00\x00\x01"


class Client:
    def __init__(self, port, name):
        while True:
            try:
                self.tcp = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:  # it does not listen yet
                time.sleep(0.05)
        self.tcp.settimeout(2)
        self.wire = WSConnection(ConnectionType.CLIENT)
        self.send(Request(host="127.0.0.1", target="/", subprotocols=["mqtt"]))
        self.read(AcceptConnection, 1)
        self.send(BytesMessage(CONNECT + name))
        self.read(BytesMessage, 1)

    def send(self, *events):
        self.tcp.sendall(b"".join(self.wire.send(event) for event in events))

    def read(self, kind, count):
        """Return up to `count` events of a kind, or what came until nothing did for 2 s."""
        seen = []
        while len(seen) < count:
            try:
                data = self.tcp.recv(65536)
            except TimeoutError:
                break
            assert data, "the broker ended the connection"
            self.wire.receive_data(data)
            seen += [event for event in self.wire.events() if isinstance(event, kind)]
        return seen


payloads = [b"1", b"2", b"3"]
alone, together = Client(sys.argv[1], b"a"), Client(sys.argv[1], b"b")
single = []
for payload in payloads:
    alone.send(Ping(payload))
    single += [bytes(pong.payload) for pong in alone.read(Pong, 1)]
together.send(*map(Ping, payloads))
burst = [bytes(pong.payload) for pong in together.read(Pong, 3)]
told = "the first of 3" if burst == payloads[:1] else f"{len(burst)} of 3: {burst}"
print(f"one by one: {len(single)} of 3 answered; together: {told}")
raise SystemExit((single, burst) != (payloads, payloads[:1]))
PY
