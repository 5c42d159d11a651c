"""A Solara application in a process of its own, with a front end that needs no network.

Solara's pages load their scripts from https://cdn.jsdelivr.net, or through the server, which keeps
them in a folder. The two packages that a page needs are on npm as well.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

__all__ = ["FrontEndMissing", "front_end", "served"]

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "heimdall-reactive/solara"
PACKAGES = ("@widgetti/solara-vuetify3-app", "requirejs")
WANTED = re.compile(r"package/(require\.js|dist/(.*8\.min\.js|.*\.css|.*\.woff2?))")


class FrontEndMissing(RuntimeError):
    """The front end is not in the folder, and cannot be had; the text says of what."""


def front_end(folder: Path = CACHE) -> Path:
    """Return a folder with the scripts of the installed Solara; fetched by npm where it has none.

    Raises:
        FrontEndMissing: without Solara or npm, or where npm's registry is not reached.
    """
    solara = find_spec("solara")
    if solara is None or solara.origin is None:
        raise FrontEndMissing("pip install solara-ui")
    page = (Path(solara.origin).parent / "server/templates/solara.html.j2").read_text()
    for package in PACKAGES:
        found = re.search(rf"{re.escape(package)}@[\d.]+\d", page)
        if found is None:
            raise FrontEndMissing(f"this Solara does not use {package}; see {__name__}")
        if not (folder / found[0]).is_dir():
            _fetch(found[0], folder / found[0])
    return folder


def _fetch(package: str, target: Path) -> None:
    """Unpack what a page needs of an npm package."""
    npm = shutil.which("npm")
    if npm is None:
        raise FrontEndMissing(f"{package} is not in {CACHE}, and npm, which fetches it, is missing")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        try:
            packed = subprocess.run(
                [npm, "pack", "--silent", package],
                cwd=folder, check=True, capture_output=True, timeout=60,
            )  # fmt: skip
        except subprocess.SubprocessError as error:
            raise FrontEndMissing(f"npm pack {package}: {type(error).__name__}") from error
        with tarfile.open(folder / packed.stdout.decode().strip()) as archive:
            members = [m for m in archive.getmembers() if WANTED.fullmatch(m.name)]
            archive.extractall(folder, members, filter="data")
        if not target.is_dir():
            (folder / "package").replace(target)


@contextmanager
def served(module: str, folder: Path, **environ: str) -> Iterator[str]:
    """Run a module that serves Solara on port `PORT` of the environment; yield the address.

    The module `uvicorn` serves the file or module `SOLARA_APP`.

    Raises:
        RuntimeError: it ended before it served, or did not end well.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "PORT": str(port),
        "UVICORN_APP": "solara.server.starlette:app",
        "UVICORN_PORT": str(port),
        "SOLARA_ASSETS_PROXY_CACHE_DIR": str(folder),
        "SOLARA_ASSETS_FONTAWESOME_ENABLED": "false",
        "SOLARA_TELEMETRY_MIXPANEL_ENABLE": "false",
    }
    process = subprocess.Popen([sys.executable, "-m", module], env=os.environ | settings | environ)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        process.wait(15)
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the Solara application does not serve") from None
            time.sleep(0.05)
