"""Who is who among the processes of a local cluster, from `/proc`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

__all__ = ["executor_of_port", "kill_marked", "marked"]

EXECUTOR = "CoarseGrainedExecutorBackend"


def executor_of_port(port: int) -> int:
    """Return the process of the executor whose Python worker has a TCP connection from a port."""
    link = f"socket:[{_inode(port)}]"
    for pid in _pids():
        try:
            if any(str(found.readlink()) == link for found in Path(f"/proc/{pid}/fd").iterdir()):
                return _executor_above(pid)
        except OSError:  # it has just ended
            continue
    raise LookupError(f"no process has a connection from port {port}")


def marked(mark: str) -> list[int]:
    """Return the processes with a word in their environment."""
    found = []
    for pid in _pids():
        try:
            if mark.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def kill_marked(mark: str) -> None:
    """Kill the processes with a word in their environment: a whole machine that fails."""
    while found := [pid for pid in marked(mark) if pid != os.getpid()]:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue


def _pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def _inode(port: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        parts = line.split()
        if int(parts[1].rpartition(":")[2], 16) == port:
            return parts[9]
    raise LookupError(f"no connection from port {port}")


def _executor_above(pid: int) -> int:
    while pid > 1:
        if EXECUTOR.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    raise LookupError("it is below no executor")
