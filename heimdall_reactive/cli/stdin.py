"""Lines from standard input, for a program that must be able to end while it waits for them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable

__all__ = ["read_lines"]

_LONGEST = 65_536  # characters of a line without an end


def read_lines(take: Callable[[str], None]) -> None:
    """Have each line of standard input taken on the running event loop, until its end.

    A daemon thread reads the bare descriptor: a thread inside `sys.stdin` holds its lock, and
    the interpreter could not end.
    """
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return
    if _would_stop(descriptor):
        return
    loop = asyncio.get_running_loop()
    threading.Thread(
        target=_read, args=(descriptor, loop, take), name="heimdall-stdin", daemon=True
    ).start()


def _would_stop(descriptor: int) -> bool:
    """Return whether this is a background job, which the terminal stops when it reads."""
    if not os.isatty(descriptor) or os.name != "posix":
        return False
    try:
        return os.tcgetpgrp(descriptor) != os.getpgrp()
    except OSError:
        return True


def _read(descriptor: int, loop: asyncio.AbstractEventLoop, take: Callable[[str], None]) -> None:
    rest = b""
    try:
        while data := os.read(descriptor, 4096):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                loop.call_soon_threadsafe(take, line.decode("utf-8", "replace"))
            rest = rest[:_LONGEST]
        if rest:
            loop.call_soon_threadsafe(take, rest.decode("utf-8", "replace"))
    except (OSError, RuntimeError):
        return  # the input is gone, or the loop has closed: nobody wants lines any more
