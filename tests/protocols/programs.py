"""Real servers for the tests of this folder: programs that are started, and ended with the test."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

SERVERS: Final = Path(__file__).parent / "servers"
MODULES: Final = Path(os.environ.get("HEIMDALL_NODE_MODULES", SERVERS / "node_modules"))


def program(name: str, package: str) -> str:
    """Return the path of a program; skip where it is missing."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        pytest.skip(f"{name} is missing: apt-get install {package}")
    return path


@contextmanager
def running(
    command: Sequence[str | Path], ready: str, env: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a program; give the first line of its output that has the word `ready`.

    It ends with the block; its standard input ends with this process.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(env or {})},
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        try:
            for line in process.stdout:
                lines.append(line)
                if ready in line:
                    break
            else:
                raise RuntimeError(f"{command[0]} ended with {process.wait()}: {''.join(lines)}")
            yield line.strip()
        finally:
            process.terminate()
            try:
                print(process.communicate(timeout=10)[0])  # shown where the test fails
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def node(script: str, *packages: str) -> Iterator[str]:
    """Run a script of `servers`; give the line that it writes first, which is its URL."""
    with running(_node(script, *packages), "", {"NODE_PATH": str(MODULES)}) as line:
        yield line


def _node(script: str, *packages: str) -> tuple[str, Path]:
    path = program("node", "nodejs")
    if missing := [each for each in packages if not (MODULES / each).is_dir()]:
        pytest.skip(f"{', '.join(missing)} missing: npm install in tests/protocols/servers")
    return path, SERVERS / script


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Client:
    """A client in a program of its own, which writes one list of JSON a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def said(self) -> Any:
        """Return what it says next."""
        assert self._process.stdout is not None
        return json.loads(await asyncio.wait_for(self._process.stdout.readline(), 20))

    def tell(self, text: str) -> None:
        """Write a line on its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())


@asynccontextmanager
async def node_client(script: str, url: str, *packages: str) -> AsyncIterator[Client]:
    """Run a script of `servers` that is a client of a URL."""
    process = await asyncio.create_subprocess_exec(
        *_node(script, *packages),
        url,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(MODULES)},
    )
    try:
        yield Client(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
