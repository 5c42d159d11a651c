#!/usr/bin/env bash
# Flask-Sock 0.7.0 by way of simple-websocket 1.1.0 sends with socket.send(), and does not look at how much
# was taken. With gevent, which its documentation names, that is what the kernel has room for: a large
# message loses its tail, and the client waits for it, or takes the messages behind it for it.
# Seen: gthread: 8000000, after; gevent: nothing (for 3 s)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q flask-sock==0.7.0 simple-websocket==1.1.0 gunicorn==23.0.0 gevent==26.9.0 websockets==17.4
cat >"$work/app.py" <<'PY'
from flask import Flask
from flask_sock import Sock

app = Flask(__name__)


@Sock(app).route("/")
def large(socket):
    socket.send("x" * 8_000_000)
    socket.send("after")
    socket.receive()
PY
cat >"$work/look.py" <<'PY'
import socket
import subprocess
import sys
import time
from pathlib import Path

from websockets.sync.client import connect

HERE = Path(__file__).parent


def look(worker):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        gunicorn = subprocess.Popen(
            [HERE / "venv/bin/gunicorn", "-k", worker, "--threads", "4", "-b", f"fd://{listener.fileno()}", "app:app"],
            cwd=HERE, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL,
        )
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        try:
            with connect(url, max_size=None, compression=None, open_timeout=30) as connection:
                time.sleep(1)  # the messages are sent while nobody reads
                seen = []
                for _ in range(2):
                    text = connection.recv(timeout=3)
                    seen.append(text if len(text) < 10 else str(len(text)))
        except TimeoutError:
            seen.append("nothing")
        finally:
            gunicorn.kill()
            gunicorn.wait()
    return ", ".join(seen)


threads, gevent = look("gthread"), look("gevent")
print(f"gthread: {threads}; gevent: {gevent}")
raise SystemExit((threads, gevent) != ("8000000, after", "nothing"))
PY
"$work/venv/bin/python" "$work/look.py"
