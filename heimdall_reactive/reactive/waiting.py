"""`Waiter`: one wait for a state, from an event loop or from a thread."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from reactivex.disposable import SingleAssignmentDisposable
from reactivex.subject import BehaviorSubject

from heimdall_reactive.base.exceptions import StoreClosed, WaitTimeout
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.receipt import refuse_on_loop
from heimdall_reactive.base.state import ConnectionState, Status

__all__ = ["Waiter", "connected_or_raise", "raised"]

T = TypeVar("T")

Predicate = Callable[[ConnectionState], bool]


class Waiter:
    """A wait that begins when it is awaited, or when `result()` is called from a thread.

    It ends after all observers of the change that ends it were told. One that nobody waits for
    warns, as a coroutine does that nobody awaits.

    Args:
        states: replays the current state to a new observer.
        call: performs something on the store's loop, so that a command given just before on
            this thread takes effect first.
        behind: calls something after all observers of a change were told.
        predicate: true for the state that is waited for; what it raises ends the wait.
        timeout: seconds, or None forever.
    """

    _begun = False

    def __init__(
        self,
        states: BehaviorSubject[ConnectionState],
        call: Callable[[Callable[[], None]], None],
        behind: Callable[[Callable[[], None]], None],
        predicate: Predicate,
        timeout: float | None,
    ) -> None:
        self._states = states
        self._call = call
        self._behind = behind
        self._predicate = predicate
        self._timeout = timeout

    def result(self, timeout: float | None = None) -> ConnectionState:
        """Wait on a thread without an event loop.

        Args:
            timeout: seconds, in place of those given before.

        Raises:
            WaitTimeout: the state did not come in time.
            StoreClosed: the store was closed before it came.
            RuntimeError: called on a thread whose event loop the wait would block.
        """
        self._begun = True
        refuse_on_loop("result()", "await it")
        limit = self._timeout if timeout is None else timeout
        found, subscription = self._watch()
        try:
            return found.result(limit)
        except TimeoutError:
            if found.done():  # with the store's own error, which may be one of these
                return found.result()
            raise self._late(limit) from None
        finally:
            subscription()

    def __await__(self) -> Generator[Any, None, ConnectionState]:
        return self._wait().__await__()

    def __del__(self) -> None:
        if not self._begun:
            warnings.warn(
                "nobody has waited for the store: write `await store.wait_connected()`, or "
                "`store.wait_connected().result()` on a thread without an event loop",
                RuntimeWarning,
                stacklevel=2,
            )

    async def _wait(self) -> ConnectionState:
        found, subscription = self._watch()
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(found)
        except TimeoutError:
            if found.done() and not found.cancelled():  # as above, or there was no time at all
                return found.result()
            raise self._late(self._timeout) from None
        finally:
            subscription()

    def _watch(self) -> tuple[Future[ConnectionState], Callable[[], None]]:
        self._begun = True
        found: Future[ConnectionState] = Future()
        closed: Exception = StoreClosed("the store was closed while this waited")

        def fail(error: Exception) -> None:
            self._behind(lambda: _settle(found.set_exception, raised(error)))

        def look(state: ConnectionState) -> None:
            nonlocal closed
            if found.done():
                return
            if isinstance(state.error, StoreClosed):  # it says more
                closed = state.error.with_traceback(None)
            try:
                if self._predicate(state):
                    self._behind(lambda: _settle(found.set_result, state))
            except Exception as error:
                fail(error)

        subscription = SingleAssignmentDisposable()

        def subscribe() -> None:
            subscription.disposable = self._states.subscribe(
                look, on_completed=lambda: fail(closed)
            )

        self._call(subscribe)
        return found, subscription.dispose

    def __repr__(self) -> str:
        timeout = "without a limit" if self._timeout is None else f"for {self._timeout:g} s"
        return glance(
            self, f"{timeout}; the store is {self._states.value}; await it, or call result()"
        )

    def _late(self, limit: float | None) -> WaitTimeout:
        state = self._states.value
        why = "" if state.error is None else f", {state.error}"
        return WaitTimeout(f"not reached within {limit} s; the store is {state.status}{why}")


def _settle(settle: Callable[[T], None], outcome: T) -> None:
    with suppress(InvalidStateError):  # cancelled, or settled by an earlier change
        settle(outcome)


def raised(error: Exception) -> Exception:
    """Return what a future carries of what a user's function raised: not the end of a loop."""
    if not isinstance(error, StopIteration):
        return error
    return RuntimeError("a function of the state or a message raised StopIteration; catch it there")


def connected_or_raise(state: ConnectionState) -> bool:
    """Return whether the socket is open.

    Raises:
        HeimdallError: the store gave up; it is `state.error`.
    """
    if state.status is Status.FAILED and state.error is not None:
        # Without its traceback, which would grow with every wait and keep the frames alive.
        raise state.error.with_traceback(None)
    return state.is_connected
