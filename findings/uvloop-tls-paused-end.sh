#!/usr/bin/env bash
# uvloop 0.23.0 loses what came over TLS while reading was paused, when the peer ends TCP without a
# goodbye of TLS (close_notify), as many do: `connection_lost` comes, and the rest never does. The
# event loops of asyncio hand it on first. What is missing can still be read from the transport's
# `ssl_object` in `connection_lost`.
# Seen: 20 times 200,000 bytes: asyncio all 20 whole, uvloop none; with the rest from `ssl_object`
# all 20
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q uvloop==0.23.0 trustme==1.2.1
"$work/venv/bin/python" - <<'PY'
import asyncio
import socket
import ssl
import threading

import trustme
import uvloop

SIZE, TIMES = 200_000, 20
authority = trustme.CA()
serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
authority.issue_cert("localhost").configure_cert(serving)
trusting = ssl.create_default_context()
authority.configure_trust(trusting)


def serve(listener):
    while True:
        accepted, _ = listener.accept()
        with serving.wrap_socket(accepted, server_side=True) as peer:
            peer.recv(1)
            peer.sendall(b"x" * SIZE)  # then the socket is closed, as it is


class Client(asyncio.Protocol):
    def __init__(self, reads_the_rest):
        self.reads_the_rest = reads_the_rest
        self.got, self.paused = 0, False
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"g")

    def data_received(self, data):
        self.got += len(data)
        if not self.paused:
            self.paused = True
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.05, self.resume)

    def resume(self):
        try:
            self.transport.resume_reading()
        except RuntimeError:  # it is closing
            pass

    def connection_lost(self, error):
        if self.reads_the_rest:
            tls = self.transport.get_extra_info("ssl_object")
            try:
                while part := tls.read(1 << 16):
                    self.got += len(part)
            except ssl.SSLError:
                pass
        self.lost.set_result(self.got)


async def whole(port, reads_the_rest):
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(
        lambda: Client(reads_the_rest), "localhost", port, ssl=trusting
    )
    return await asyncio.wait_for(client.lost, 5) == SIZE


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
port = listener.getsockname()[1]
seen = {}
for name, factory, rest in (
    ("asyncio", asyncio.new_event_loop, False),
    ("uvloop", uvloop.new_event_loop, False),
    ("uvloop, the rest from ssl_object", uvloop.new_event_loop, True),
):
    results = []
    for _ in range(TIMES):
        with asyncio.Runner(loop_factory=factory) as runner:
            results.append(runner.run(whole(port, rest)))
    seen[name] = sum(results)
print(seen)
raise SystemExit(list(seen.values()) != [TIMES, 0, TIMES])
PY
