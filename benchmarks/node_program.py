"""rxjs on Node as a rival: installs it once a run."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from .measuring import LIMIT, Skipped
from .receiving import Flood
from .tls import certificate

__all__ = ["ENTRY", "node"]

ENTRY: Final = "rxjs webSocket on Node"
SCRIPT: Final = Path(__file__).parent / "node_rival.mjs"
NPM: Final = 60.0  # seconds that npm may take


def node(flood: Flood) -> float:
    """Have Node receive with rxjs, from npm, or with its own WebSocket where that is not there."""
    command, environment = _program()
    if flood.url.startswith("wss:"):
        trusted = str(certificate().with_suffix(".crt"))
        environment = {**environment, "NODE_EXTRA_CA_CERTS": trusted}
    done = subprocess.run(
        [*command, str(SCRIPT), flood.url, flood.order, str(flood.count)],
        env=environment, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Skipped((done.stderr.strip().splitlines() or ["Node failed"])[-1])
    return float(done.stdout)


@functools.cache
def _program() -> tuple[list[str], dict[str, str]]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Skipped("no Node and npm here")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    flags = ["--experimental-websocket"] if int(version[1:].split(".")[0]) < 22 else []
    # Kept until the process ends: each round needs it.
    folder = tempfile.TemporaryDirectory(prefix="rxjs-")
    _folders.append(folder)
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            [npm, "install", "--silent", "--no-audit", "--no-fund", "rxjs@7"],
            cwd=folder.name, capture_output=True, timeout=NPM, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return [node, *flags], {**os.environ, "RXJS": f"{folder.name}/node_modules/rxjs"}
    raise Skipped("npm could not install rxjs")


_folders: list[tempfile.TemporaryDirectory[str]] = []
