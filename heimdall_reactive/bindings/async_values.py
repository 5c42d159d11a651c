"""`values`: an observable as an async iterator, for frameworks that take async generators."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar, overload

from reactivex import Observable

from heimdall_reactive.consuming.buffers import Buffer
from heimdall_reactive.consuming.streams import Inlet

from .drops import Drops
from .frames import FRAME
from .selecting import Selecting, distinct_by_default

__all__ = ["values"]

T = TypeVar("T")
R = TypeVar("R")


class _Running:
    """Dies with the iteration that has it."""


@overload
def values(
    source: Observable[T],
    *,
    select: None = None,
    distinct: bool | None = None,
    every: float | None = None,
    buffer: int = 1,
) -> AsyncGenerator[T, None]: ...
@overload
def values(
    source: Observable[T],
    *,
    select: Callable[[T], R],
    distinct: bool | None = None,
    every: float | None = None,
    buffer: int = 1,
) -> AsyncGenerator[R, None]: ...
async def values(
    source: Observable[Any],
    *,
    select: Callable[[Any], Any] | None = None,
    distinct: bool | None = None,
    every: float | None = None,
    buffer: int = 1,
) -> AsyncGenerator[Any, None]:
    """Iterate over an observable, at the pace of whoever iterates.

    It subscribes when the iteration begins and detaches when that ends: by `break`, by an
    exception, by the cancellation of its task, by `aclose()`. It runs on any event loop.

    Args:
        source: a subject of a store, or any observable.
        select: what of the value is wanted.
        distinct: as for `bind`.
        every: seconds between two values at least; None is 1/60, or 0 with a buffer.
        buffer: values that may wait; the oldest go, which the log reports. 1 gives the newest,
            and skips what was overtaken.

    Yields:
        The first value at once where the source has one, then what follows.

    Raises:
        ConfigurationError: `buffer` is not a whole number of 1 or more.
        Exception: what the source failed of, after what waits.
    """
    if distinct is None:
        distinct = distinct_by_default(select, buffer)
    if every is None:
        every = FRAME if buffer == 1 else 0.0
    selecting = Selecting(select, distinct)
    drops = Drops("values()", "or take the newest only, without buffer=")
    tell = drops.note if buffer != 1 else None
    waiting: Buffer[Any] = Buffer(buffer, "drop_oldest", "values", tell=tell)
    inlet = Inlet(waiting)
    subscription = source.subscribe(inlet.put, inlet.fail, inlet.end)
    # Nobody runs the `finally` of an iteration whose event loop was closed.
    running = _Running()
    weakref.finalize(running, subscription.dispose).atexit = False
    try:
        while True:
            if time.monotonic() > inlet.until:
                await inlet.give_way()
            drops.report(waiting, source)
            value, came = inlet.take()
            if came:
                if selecting.changed(value):
                    began = time.monotonic()
                    yield selecting.shown
                    if (left := began + every - time.monotonic()) > 0:
                        await asyncio.sleep(left)
            elif inlet.failure is not None:
                raise inlet.failure
            elif inlet.ended:
                return
            else:
                await inlet.wait()
    finally:
        subscription.dispose()
