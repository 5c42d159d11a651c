"""Lines from standard input, for a program that must be able to end while it waits for them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress

__all__ = ["read_lines"]


async def read_lines() -> AsyncGenerator[bytes, None]:
    """Yield each line of standard input, without its end; no more is read before it is taken.

    A daemon thread reads the bare descriptor: a thread inside `sys.stdin` holds its lock, and
    the interpreter could not end.
    """
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return
    if _would_stop(descriptor):
        return
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    taken, loop = threading.Semaphore(), asyncio.get_running_loop()

    def read() -> None:
        with suppress(RuntimeError):  # the loop has closed: nobody wants lines any more
            data = b"-"
            while data:
                taken.acquire()
                try:
                    data = os.read(descriptor, 65_536)
                except OSError:  # the input is gone
                    data = b""
                loop.call_soon_threadsafe(chunks.put_nowait, data)

    threading.Thread(target=read, name="heimdall-stdin", daemon=True).start()
    rest = b""
    while data := await chunks.get():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line
        taken.release()
    if rest:
        yield rest


def _would_stop(descriptor: int) -> bool:
    """Return whether this is a background job, which the terminal stops when it reads."""
    if not os.isatty(descriptor) or os.name != "posix":
        return False
    try:
        return os.tcgetpgrp(descriptor) != os.getpgrp()
    except OSError:
        return True
