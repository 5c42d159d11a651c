#!/usr/bin/env bash
# nats-py 2.16.0 writes user and password in clear to a server that does not ask for TLS, although
# the URL begins with tls:// and tls= is given. Whoever can answer in place of the server gets them.
# Seen: tls:// and tls=: the server that asks for no TLS got the password in clear
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q nats-py==2.16.0
"$work/venv/bin/python" - <<'PY'
import asyncio
import ssl

import nats


async def main():
    heard = asyncio.get_running_loop().create_future()

    async def serve(reader, writer):
        writer.write(b'INFO {"auth_required": true, "max_payload": 1000, "headers": true}\r\n')
        heard.set_result(await reader.readline())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        try:
            await nats.connect(
                f"tls://127.0.0.1:{port}",
                tls=ssl.create_default_context(),
                user="me",
                password="a-password",
                allow_reconnect=False,
            )
        except Exception:
            pass  # the server says no more
        clear = b"a-password" in await asyncio.wait_for(heard, 10)
    said = "got the password in clear" if clear else "got no password"
    print(f"tls:// and tls=: the server that asks for no TLS {said}")
    raise SystemExit(not clear)


asyncio.run(main())
PY
