"""The life of a store: its commands reach its event loop, and its end leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Self

from heimdall_reactive.base.exceptions import StoreClosed, WaitTimeout
from heimdall_reactive.base.forking import INHERITED
from heimdall_reactive.base.starting import start_task

from .runtime import Runtime, running_loop

__all__ = ["Closable", "Lifecycle"]

CLOSE_GRACE = 5.0  # seconds a blocking close waits beyond the closing handshake
LATE = (
    "the store has not closed within {:g} s, and still will: an observer that blocks holds up its "
    "event loop"
)


class Closable(ABC):
    """What `with` and `async with` close at their end."""

    @abstractmethod
    def close(self) -> None:
        """Close, and block until the end where that is possible."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close, and return at the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Lifecycle:
    """From the first command to the last task.

    Args:
        runtime: where the store runs.
        finish: disconnects and returns when no task, timer or socket is left.
        complete: ends the subjects.
        close_timeout: seconds that the closing handshake may take.
        release: called after the end; None gives the background thread back.

    Attributes:
        runtime: where the store runs.
    """

    __slots__ = (
        "_allowed", "_closed", "_closing", "_complete", "_ended", "_finish", "_grace", "_release",
        "runtime",
    )  # fmt: skip

    def __init__(
        self,
        runtime: Runtime,
        finish: Callable[[], Awaitable[None]],
        complete: Callable[[], None],
        close_timeout: float,
        release: Callable[[], None] | None = None,
    ) -> None:
        self._closed = False
        self._ended = False
        self.runtime = runtime
        self._finish = finish
        self._complete = complete
        self._release = runtime.release if release is None else release
        self._grace = close_timeout + CLOSE_GRACE
        self._allowed = 0.0
        self._closing: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        """Whether commands are refused."""
        return self._closed or self.runtime.inherited

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self._ended or self.runtime.inherited

    def call(self, command: Callable[[], None]) -> None:
        """Perform a command here, or soon on the loop's thread."""
        if self.ended or self.runtime.here():
            command()
        else:
            self.runtime.post(command)

    def allow(self, seconds: float) -> None:
        """Let a blocking close wait for so many seconds more, for the slowest of its consumers."""
        self._allowed = max(self._allowed, seconds)

    def close_soon(self) -> None:
        """Close on the loop's thread, where that only begins; nobody waits."""
        self.call(self.close)

    def call_later(self, delay: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call something in some seconds; on the loop's thread only."""
        return self.runtime.loop.call_later(delay, call)

    def refuse_closed(self) -> None:
        """Refuse a command to a closed store.

        Raises:
            StoreClosed: it is closed, or the parent process's.
        """
        if self._closed or self.runtime.inherited:
            self.refuse_inherited()
            raise StoreClosed("the store is closed; make a new one with use_websocket()")

    def refuse_inherited(self) -> None:
        """Refuse what can only be done in the process that has made the store.

        Raises:
            StoreClosed: it is the parent process's.
        """
        if self.runtime.inherited:
            raise StoreClosed(INHERITED)

    def close(self) -> None:
        """Close from any thread; blocks until the end, unless this thread runs an event loop.

        Raises:
            WaitTimeout: it takes too long.
        """
        if self.ended:
            return
        self._closed = True  # here already, so that no other thread's commands delay the end
        runtime = self._reachable()
        if running_loop() is not None:
            runtime.post(self._begin)
            return
        if not runtime.background and not runtime.loop.is_running():
            runtime.loop.run_until_complete(self._close_here())
        else:
            done = asyncio.run_coroutine_threadsafe(self._close_here(), runtime.loop)
            limit = min(self._grace + self._allowed, threading.TIMEOUT_MAX)
            try:
                done.result(limit)
            except BaseException as error:
                # It goes on without us, and releases the loop at its end.
                if done.cancel() and isinstance(error, TimeoutError):
                    raise WaitTimeout(LATE.format(limit)) from None
                raise
        self._release()

    async def aclose(self) -> None:
        """Close from any event loop, and return at the end."""
        if self.ended:
            self._release()  # a `close()` may have begun it, and be about to
            return
        self._closed = True
        runtime = self._reachable()
        if runtime.loop is asyncio.get_running_loop():
            await self._close_here()
        else:
            done = asyncio.run_coroutine_threadsafe(self._close_here(), runtime.loop)
            await asyncio.wrap_future(done)
        self._release()

    def _reachable(self) -> Runtime:
        if self.runtime.loop.is_closed():
            self.runtime.fall_back()
        return self.runtime

    def _begin(self) -> None:
        self._start().add_done_callback(lambda _: self._release())

    async def _close_here(self) -> None:
        closing = self._start()
        try:
            # Shielded: who gives up waiting must not leave it half closed.
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            closing.add_done_callback(lambda _: self._release())
            raise

    def _start(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = start_task(self._close(), "heimdall-close", self.runtime.loop)
        return self._closing

    async def _close(self) -> None:
        try:
            await self._finish()
        finally:
            self._complete()
            self._ended = True
