"""`Request`: a message, and the message that answers it."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakMethod

from reactivex import abc
from reactivex.disposable import CompositeDisposable, Disposable

from .base.exceptions import RequestLost, StoreClosed, WaitTimeout
from .base.glance import told_shortly
from .base.receipt import Receipt, refuse_on_loop
from .base.state import ConnectionState, Status
from .connecting.lifecycle import Lifecycle
from .reactive.bus import OnRaised
from .reactive.source import Hot
from .reactive.values import Values
from .reactive.waiting import raised

__all__ = ["Request"]

T = TypeVar("T")


class Request(Hot[T]):
    """A request in progress: `await` it, call `result()` from a thread, or observe it.

    It ends after all observers of the answer were called.
    It was sent once, when it was made, however often it is awaited or observed. As an observable
    it emits the answer and completes, or fails: `questions.pipe(ops.flat_map(store.request...))`.
    One that nobody looks at warns, as a coroutine does that nobody awaits.

    Args:
        values: of the store where it goes.
        life: the store's event loop.
        report: notified of what an observer raised.
        match: true for the message that answers it; what it raises fails the request. None where
            the protocol finds the answer by its key.
        timeout: seconds from now until the answer must have come, or None.
    """

    _unseen = False  # it was sent, and nobody has looked at it yet

    def __init__(
        self,
        values: Values[T],
        life: Lifecycle,
        report: OnRaised,
        match: Callable[[Any], bool] | None,
        timeout: float | None,
    ) -> None:
        super().__init__()
        self._values = values
        self._life = life
        self._report = report
        self._match = match
        self._timeout = timeout
        self._future: Future[T] = Future()
        self._watching = watching = CompositeDisposable()
        self._receipt: Receipt | None = None
        self._waits = 0
        # Without a cycle of references, one that nobody looks at warns when it has ended.
        self._future.add_done_callback(lambda _: life.call(watching.dispose))
        life.call(self._watch)

    def _sent(self, receipt: Receipt) -> None:
        """Handle the receipt of what asks; a send that fails, fails the request."""
        self._receipt, self._unseen = receipt, True
        settled = WeakMethod(self._on_settled)

        def tell(receipt: Receipt) -> None:
            if (call := settled()) is not None:
                call(receipt)

        receipt.add_done_callback(tell)

    def _forgo(self) -> None:
        """Wait for no answer: nothing was sent."""
        self._future.cancel()

    def result(self, timeout: float | None = None) -> T:
        """Wait, on a thread without an event loop, for the answer.

        Args:
            timeout: seconds, in addition to the request's own.

        Raises:
            WaitTimeout: no answer came in time.
            RequestLost: the connection was lost after the request was written.
            SendError: the request was not sent.
            StoreClosed: the store was closed.
            RuntimeError: called on a thread whose event loop the wait would block.
        """
        self._unseen = False
        if not self._future.done():
            self._life.refuse_inherited()
            refuse_on_loop("request.result()", "await it")
        try:
            return self._future.result(timeout)
        except TimeoutError:
            if self._future.done():  # it has failed by itself
                return self._future.result()
            raise WaitTimeout(f"no answer within {timeout} s; the request goes on") from None

    def __await__(self) -> Generator[Any, None, T]:
        self._unseen = False
        return self._wait().__await__()

    def __del__(self) -> None:
        if self._unseen:
            failed = self._future.done() and not self._future.cancelled()
            error = self._future.exception() if failed else None
            why = "" if error is None else f", which failed: {told_shortly(error)}"
            warnings.warn(
                f"nobody has looked at the answer to a request{why}: write "
                "`await store.request(...)`, or `store.request(...).result()` on a thread without "
                "an event loop; send() expects no answer",
                RuntimeWarning,
                stacklevel=2,
                source=self,
            )

    async def _wait(self) -> T:
        if not self._future.done():
            self._life.refuse_inherited()
        self._waits += 1
        waiting = asyncio.wrap_future(self._future)
        waiting.add_done_callback(_look_at)
        try:
            # Shielded: cancelling one wait must not cancel others; the last one gives it up.
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            if self._waits == 1:
                self._future.cancel()
            raise
        finally:
            self._waits -= 1

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        self._unseen = False

        def tell(future: Future[T]) -> None:
            try:
                self._tell(observer, future)
            except Exception as raised:  # elsewhere it would be logged with its text
                self._report(raised, "request")

        self._future.add_done_callback(lambda f: self._life.call(lambda: tell(f)))
        return Disposable()  # an observer that has left is told nothing by its own wrapping

    def _tell(self, observer: abc.ObserverBase[T], future: Future[T]) -> None:
        try:
            answer = future.result()
        except CancelledError:  # that of `concurrent.futures`: nobody waits any more
            observer.on_error(RequestLost("cancelled"))
        except Exception as error:
            observer.on_error(error)
        else:
            observer.on_next(answer)
            observer.on_completed()

    def _words(self) -> str:
        future = self._future
        if not future.done():
            return f"waiting, {'not sent' if self._receipt is None else self._receipt.state}"
        if future.cancelled():
            return "cancelled"
        error = future.exception()
        if error is not None:
            return f"failed: {told_shortly(error)}"
        return f"answered: {self._values.bus.shown(future.result())}"

    # On the store's event loop

    def _watch(self) -> None:
        if self._future.done():
            return
        if self._timeout is not None:
            late = WaitTimeout(f"no answer within {self._timeout} s")
            timer = self._life.call_later(self._timeout, lambda: self._fail(late))
            self._watching.add(Disposable(timer.cancel))
        closed = StoreClosed("the store was closed before the answer came")
        if self._match is not None:
            self._watching.add(self._values.messages.subscribe(self._look))
        self._watching.add(
            self._values.transitions.subscribe(
                self._on_transition, on_completed=lambda: self._fail(closed)
            )
        )

    def _look(self, message: Any) -> None:
        if self._future.done():
            return
        try:
            if self._match is not None and self._match(message):
                self._answered(message)
        except Exception as error:
            self._fail(raised(error))

    def _answered(self, answer: T) -> None:
        self._settle(lambda: self._future.set_result(answer))

    def _on_transition(self, pair: tuple[ConnectionState, ConnectionState]) -> None:
        current = pair[1]
        written = self._receipt is not None and self._receipt.state != "queued"
        # Attempt 0 follows a connection only where that is planned: the next one may answer.
        planned = current.status is Status.CONNECTING and current.attempt == 0
        lost = written and not current.is_connected and not planned
        if lost or current.status in (Status.FAILED, Status.DISCONNECTED):
            self._fail(RequestLost(str(current.error or f"the store is {current.status}")))

    def _on_settled(self, receipt: Receipt) -> None:
        error = receipt.error
        if error is not None:
            self._life.call(lambda: self._fail(error))

    def _fail(self, error: Exception) -> None:
        self._settle(lambda: self._future.set_exception(error))

    def _settle(self, settle: Callable[[], None]) -> None:
        def once() -> None:
            with suppress(InvalidStateError):  # cancelled, or settled by what came before
                settle()

        self._values.bus.behind(once)


def _look_at(waiting: asyncio.Future[Any]) -> None:
    """Look at an error that may come after its wait was cancelled, else the loop complains."""
    if not waiting.cancelled():
        waiting.exception()
