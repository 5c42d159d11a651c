#!/usr/bin/env bash
# mosquitto 2.0.11, as Debian 12 has it, stops in the middle of a message that is larger than what
# the socket takes at once: over WebSocket a subscriber gets nothing more, not even small messages.
# It has two faults there: a broker that has only WebSocket listeners ends at once.
# Needs Debian's package: apt-get install mosquitto
# Seen: alone: the broker ends with 1; 10000 bytes: arrive, 1000000 bytes: nothing within 5 s
set -euo pipefail
work=$(mktemp -d)
broker=
trap '[[ -z $broker ]] || kill "$broker"; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q websockets==17.4
port=$("$work/venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
listener="listener $port 127.0.0.1
protocol websockets
allow_anonymous true
user $(id -un)"

printf '%s\n' "$listener" >"$work/alone.conf"
alone=0
timeout 5 /usr/sbin/mosquitto -c "$work/alone.conf" >/dev/null 2>&1 || alone=$?

printf '%s\n' "listener 0 $work/socket" "$listener" >"$work/both.conf"
/usr/sbin/mosquitto -c "$work/both.conf" >/dev/null 2>&1 &
broker=$!
"$work/venv/bin/python" - "$port" "$alone" <<'PY'
import asyncio
import sys

from websockets.asyncio.client import connect

port, alone = sys.argv[1:]


def packet(kind, body):
    size, length = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (128 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def text(value):
    return len(value).to_bytes(2, "big") + value


async def client(name):
    while True:
        try:
            socket = await connect(
                f"ws://127.0.0.1:{port}", subprotocols=["mqtt"], proxy=None, max_size=None
            )
            break
        except OSError:  # it does not listen yet
            await asyncio.sleep(0.05)
    await socket.send(packet(0x10, text(b"MQTT") + b"\x04\x02\x00\x00" + text(name)))
    assert (await socket.recv())[0] == 0x20
    return socket


async def arrives(size):
    reader, writer = await client(b"reader"), await client(b"writer")
    await reader.send(packet(0x82, b"\x00\x01" + text(b"topic") + b"\x00"))
    assert (await reader.recv())[0] == 0x90
    await writer.send(packet(0x30, text(b"topic") + b"x" * size))
    await writer.send(packet(0x30, text(b"topic") + b"small"))
    try:
        return [len(await asyncio.wait_for(reader.recv(), 5)) > 0 for _ in range(2)] == [True, True]
    except TimeoutError:
        return False
    finally:
        reader.transport.abort()
        await writer.close()


async def main():
    small, large = await arrives(10_000), await arrives(1_000_000)
    said = {True: "arrive", False: "nothing within 5 s"}
    print(
        f"alone: the broker ends with {alone}; "
        f"10000 bytes: {said[small]}, 1000000 bytes: {said[large]}"
    )
    raise SystemExit((alone, small, large) != ("1", True, False))


asyncio.run(main())
PY
