"""What this process holds: stores, bindings, sockets, threads, and objects of an example."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from tests.support import descriptors

WITHIN: Final = ("examples.", "heimdall_reactive.")
SETTLES: Final = 15  # seconds in which what ends by itself has ended


def names() -> set[str]:
    """Return the names of the threads that run."""
    return {thread.name for thread in threading.enumerate()}


def held() -> Counter[str]:
    """Count what is held, once what ends by itself within a moment has ended."""
    until = time.monotonic() + 5
    while "heimdall-frames" in names() and time.monotonic() < until:
        time.sleep(0.01)  # it waits a moment for more
    while gc.collect():
        pass
    found = Counter(
        kind.__qualname__
        for thing in gc.get_objects()
        if str((kind := type(thing)).__module__).startswith(WITHIN)
    )
    found["threads"] = threading.active_count()
    found["descriptors"] = len(descriptors())
    found["objects"] = len(gc.get_objects())
    return found


def left_of(once: Callable[[], object], times: int) -> dict[str, int]:
    """Do something again and again; return what is held more than before, of each kind.

    What the first two leave is of the process: caches, imports. Of all other objects together, some
    ten are nothing: a cache that grows, a counter. A browser closes its idle connections a while
    after a tab.
    """
    once()
    once()
    before = held()
    for _ in range(times):
        once()
    until = time.monotonic() + SETTLES
    while (more := _more(before, times)) and time.monotonic() < until:
        time.sleep(0.2)
    return more


def _more(before: Counter[str], times: int) -> dict[str, int]:
    more = held() - before
    if more["objects"] < 10 * times:
        del more["objects"]
    del more["Stretch"], more["Tick"]  # of the market's own minute, which grows
    return dict(more)
