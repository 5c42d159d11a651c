#!/usr/bin/env bash
# jupyter-server 2.21.1 leaves the WebSockets of a kernel open when somebody deletes the kernel. All
# that says so is the kernel's own `shutdown_reply`; what is sent afterwards is never answered.
# Seen: before: execute_reply; deleted: 204; after: shutdown_reply, then no close and no answer
set -euo pipefail
work=$(mktemp -d)
server=
trap '[[ -z $server ]] || { kill "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q jupyter-server==2.21.1 ipykernel==7.4.0 websockets==17.4
port=$("$work/venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
export JUPYTER_CONFIG_DIR=$work JUPYTER_DATA_DIR=$work JUPYTER_RUNTIME_DIR=$work IPYTHONDIR=$work
export PYTHONWARNINGS=ignore
"$work/venv/bin/python" -m jupyter_server --no-browser --allow-root --IdentityProvider.token=token \
    --ServerApp.ip=127.0.0.1 --ServerApp.port="$port" --ServerApp.root_dir="$work" >"$work/log" 2>&1 &
server=$!
"$work/venv/bin/python" - "$port" <<'PY'
import asyncio
import json
import sys
import time
from http.client import HTTPConnection

from websockets.asyncio.client import connect

HOST = f"127.0.0.1:{sys.argv[1]}"
HEADERS = {"Authorization": "token token"}


def http(method, path):
    link = HTTPConnection(HOST, timeout=30)
    link.request(method, path, headers=HEADERS)
    answer = link.getresponse()
    body = answer.read()
    link.close()
    return answer.status, json.loads(body) if body else None


def kernel():
    for _ in range(600):
        try:
            return http("POST", "/api/kernels")[1]["id"]
        except OSError:  # it does not listen yet
            time.sleep(0.1)
    raise SystemExit("jupyter-server does not start")


def run(number):
    header = {"msg_id": number, "msg_type": "execute_request", "session": "s", "version": "5.4"}
    parts = {"parent_header": {}, "metadata": {}, "content": {"code": "1"}}
    return json.dumps({"channel": "shell", "header": header, **parts})


async def main():
    name = kernel()
    url = f"ws://{HOST}/api/kernels/{name}/channels"
    async with connect(url, additional_headers=HEADERS, proxy=None) as socket:
        await socket.send(run("a"))
        kind = ""
        while kind != "execute_reply":
            message = json.loads(await asyncio.wait_for(socket.recv(), 60))
            kind = message["msg_type"]
        status = http("DELETE", f"/api/kernels/{name}")[0]
        await socket.send(run("b"))
        told = []
        try:
            while True:
                message = json.loads(await asyncio.wait_for(socket.recv(), 5))
                parent = message["parent_header"].get("msg_id")
                if parent == "b" or message["msg_type"] == "shutdown_reply":
                    told.append(message["msg_type"])
        except TimeoutError:
            told.append("no close and no answer")
    after = ", then ".join(told)
    print(f"before: {kind}; deleted: {status}; after: {after}")
    raise SystemExit((status, after) != (204, "shutdown_reply, then no close and no answer"))


asyncio.run(main())
PY
