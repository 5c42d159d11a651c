"""A `nats-server` of one's own, on a free port of loopback, for as long as an example runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def log_server() -> Iterator[str]:
    """Run a server, and give its URL; it is killed, and its files are removed, in the end."""
    binary = shutil.which("nats-server")
    if binary is None:
        sys.exit("this example needs nats-server: apt-get install nats-server")
    with tempfile.TemporaryDirectory() as folder:
        where = ["-sd", folder, "--ports_file_dir", folder, "-l", f"{folder}/log"]
        process = subprocess.Popen([binary, "-js", "-a", "127.0.0.1", "-p", "-1", *where])
        try:
            yield _url(Path(folder, f"nats-server_{process.pid}.ports"))
        finally:
            process.kill()
            process.wait()


def _url(file: Path) -> str:
    """Wait for the file in which the server says where it listens."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        text = file.read_text() if file.exists() else ""
        if text.endswith("}"):
            url: str = json.loads(text)["nats"][0]
            return url
        time.sleep(0.02)
    sys.exit("nats-server does not start")
