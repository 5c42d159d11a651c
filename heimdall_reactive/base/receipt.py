"""`Receipt`: what became of one send."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, Final, Literal, TypeAlias

from .exceptions import SendError, WaitTimeout
from .masking import told

__all__ = ["Receipt", "ReceiptState", "refuse_on_loop"]

ReceiptState: TypeAlias = Literal["queued", "written", "dropped", "expired", "rejected", "in_doubt"]

logger: Final = logging.getLogger("heimdall_reactive")

# One for all: held for a few instructions, never over user code but a finaliser's, which may send.
_settling: Final = threading.RLock()


class Receipt:
    """What became of one send.

    Await it, or call `result()` from a thread: both return the receipt once the message was
    written to the socket, and raise `SendError` where it was not. A receipt that nobody waits
    for costs nothing and warns of nothing.
    """

    __slots__ = ("_error", "_future", "_state")

    def __init__(self) -> None:
        self._state: ReceiptState = "queued"
        self._error: SendError | None = None
        self._future: Future[Receipt] | None = None

    @property
    def state(self) -> ReceiptState:
        """`queued`, and finally `written`, `dropped`, `expired`, `rejected` or `in_doubt`."""
        return self._state

    @property
    def error(self) -> SendError | None:
        """Why it was not written, else None."""
        return self._error

    def result(self, timeout: float | None = None) -> Receipt:
        """Wait, from a thread without an event loop, until the message was written.

        Args:
            timeout: seconds to wait; None waits forever.

        Raises:
            SendError: it was not written.
            WaitTimeout: it is still queued.
            RuntimeError: called on a thread whose event loop the wait would block.
        """
        if self._state == "queued":
            refuse_on_loop("receipt.result()", "await the receipt")
        try:
            return self._waiter().result(timeout)
        except TimeoutError:
            raise WaitTimeout(f"not written within {timeout} s; it is still queued") from None

    def __await__(self) -> Generator[Any, None, Receipt]:
        return self._wait().__await__()

    async def _wait(self) -> Receipt:
        # A future of its own, without the error: cancelling one wait must not cancel others,
        # and a failure that comes after it must not be logged as one that nobody looked at.
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not settled.done():
                settled.set_result(None)

        def wake(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(settle)

        future = self._waiter()
        if not future.done():
            future.add_done_callback(wake)
            await settled
        return future.result()

    def add_done_callback(self, call: Callable[[Receipt], object]) -> None:
        """Call something with the receipt when it is settled, on that thread; now if it is.

        What it raises is logged, in one line without its text.
        """

        def tell(_: object) -> None:
            try:
                call(self)
            except Exception as error:  # `concurrent.futures` would log it with all it quotes
                logger.error("a receipt's callback raised %s", told(error))

        self._waiter().add_done_callback(tell)

    def __repr__(self) -> str:
        return f"<Receipt {self._state}>"

    def _waiter(self) -> Future[Receipt]:
        with _settling:
            if self._future is None:
                self._future = Future()
                if self._state != "queued":
                    self._resolve(self._future)
            return self._future

    def settle(self, state: ReceiptState, error: SendError | None = None) -> None:
        """Settle with the final state and wake whoever waits; only the store does this."""
        with _settling:
            self._state, self._error = state, error
            future = self._future
        if future is not None:
            self._resolve(future)

    def _resolve(self, future: Future[Receipt]) -> None:
        if future.done():
            return
        if self._error is None:
            future.set_result(self)
        else:
            future.set_exception(self._error)


def refuse_on_loop(call: str, instead: str) -> None:
    """Refuse a blocking wait on a thread that runs an event loop: it would stop that loop.

    Raises:
        RuntimeError: where this thread runs an event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(f"{call} would block this event loop; {instead} instead")
