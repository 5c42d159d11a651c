"""Waiting for what is to happen, without polling."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from heimdall_reactive.base.exceptions import WaitTimeout

__all__ = ["Watch"]


class Watch:
    """Wake who waits for a predicate, whenever something has changed."""

    def __init__(self) -> None:
        self._waiters: dict[asyncio.Future[None], Callable[[], object]] = {}
        self._closed = False

    def changed(self) -> None:
        """Let everybody who waits look again; what a predicate raises goes to who waits."""
        for future, holds in list(self._waiters.items()):
            if future.done():
                continue
            try:
                if holds():
                    future.set_result(None)
            except Exception as error:
                future.set_exception(error)

    async def wait_for(self, holds: Callable[[], object], timeout: float | None) -> None:
        """Wait until `holds()` is true.

        Raises:
            WaitTimeout: if it is not within `timeout` seconds, or what is watched ends.
        """
        if holds():
            return
        if self._closed:
            raise WaitTimeout("it has ended: what is waited for cannot happen any more")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[future] = holds
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await asyncio.wait([future])
        finally:
            del self._waiters[future]
        if not future.done():
            raise WaitTimeout(f"what was waited for did not happen in {timeout} s")
        future.result()

    def close(self) -> None:
        """Fail everybody who still waits."""
        self._closed = True
        for future in self._waiters:
            if not future.done():
                future.set_exception(WaitTimeout("it has ended while it was waited for"))
