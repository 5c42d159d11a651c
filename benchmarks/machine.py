"""What this process holds: memory, descriptors, threads, timers; and how it grows."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import platform
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "NOTHING",
    "Holdings",
    "describe",
    "holdings",
    "raise_descriptor_limit",
    "rss",
    "settle",
    "slope",
    "timers",
    "warm",
]


class Holdings(NamedTuple):
    """What a process holds at one moment.

    Attributes:
        rss: resident memory in MiB; 0.0 where the system does not tell.
        descriptors: open file descriptors; 0 where the system does not tell.
        threads: running threads.
        tasks: asyncio tasks of the running loop besides the caller's.
    """

    rss: float
    descriptors: int
    threads: int
    tasks: int


NOTHING = Holdings(0.0, 0, 0, 0)


def holdings() -> Holdings:
    """Return what is held now, after `settle`; called in a coroutine."""
    settle()
    table = Path("/proc/self/fd")
    # The directory that is being read has a descriptor of its own.
    descriptors = len(list(table.iterdir())) - 1 if table.is_dir() else 0
    tasks = len(asyncio.all_tasks()) - 1
    return Holdings(rss(), descriptors, threading.active_count(), tasks)


def rss() -> float:
    """Return the resident memory of this process in MiB; 0.0 where the system does not tell."""
    path = Path("/proc/self/statm")
    if not path.exists():
        return 0.0
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def settle() -> None:
    """Collect garbage, and have the C library give free memory back where it can (glibc)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def warm() -> None:
    """Have the C library keep large pieces of memory, as it does in a process that had larger ones.

    Else (glibc) whether each message of 1 MB is given back to the system depends on what was
    measured before, and costs more than all the rest.
    """
    bytearray(16 << 20)


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return the growth per minute of (seconds, value) samples, by least squares."""
    count = len(samples)
    if count < 3:
        return 0.0
    mean_x = sum(x for x, _ in samples) / count
    mean_y = sum(y for _, y in samples) / count
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return 60 * sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0


def timers(loop: asyncio.AbstractEventLoop) -> int:
    """Return how many timers wait on an event loop of asyncio; other loops do not tell."""
    waiting: list[asyncio.TimerHandle] = getattr(loop, "_scheduled", [])
    return sum(not timer.cancelled() for timer in waiting)


def raise_descriptor_limit(wanted: int) -> int:
    """Raise the soft limit of open files as far as allowed; return what it is then."""
    try:
        import resource
    except ImportError:  # Windows has no such limit for sockets
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        soft = target
    return wanted if soft == resource.RLIM_INFINITY else soft


def describe() -> str:
    """Return one line about the machine."""
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} cores, Python {platform.python_version()}"
