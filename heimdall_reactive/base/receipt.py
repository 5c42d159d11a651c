"""`Receipt`: what became of one send."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, Final, Literal, Protocol, TypeAlias

from .exceptions import SendError, WaitTimeout
from .forking import run_in_child
from .glance import glance, glance_html, told_shortly
from .masking import told

__all__ = ["Delivery", "Receipt", "ReceiptState", "refuse_on_loop"]

ReceiptState: TypeAlias = Literal[
    "queued", "written", "delivered", "dropped", "expired", "rejected", "in_doubt"
]

TONES: Final = {"queued": "busy", "written": "busy", "delivered": "good"}  # of a notebook

logger: Final = logging.getLogger("heimdall_reactive")

# One for all: held for a few instructions, never over user code but a finaliser's, which may send.
_settling = threading.RLock()


@run_in_child
def _renew() -> None:
    global _settling
    _settling = threading.RLock()


class Proving(Protocol):
    """What knows of the sends that one session has written."""

    doubt: str  # why what it has not proved is in doubt, once the session has ended

    def state_of(self, number: int) -> ReceiptState:
        """Return what is known of a send."""
        ...

    def expect(self, receipt: Receipt, number: int) -> None:
        """Have a receipt told when that is final."""


class Receipt:
    """What became of one send.

    Await it, or call `result()` from a thread: both return the receipt once the message was
    written to the socket, and raise `SendError` if it was not. `delivered()` waits for the
    proof that the peer has it. A receipt that nobody waits for costs nothing and never warns.

    Attributes:
        attempts: how often it was written to a socket; several times only with `resend=True`.
    """

    __slots__ = (
        "_awaited", "_error", "_future", "_number", "_proof", "_proofs", "_state", "attempts",
    )  # fmt: skip

    def __init__(self) -> None:
        self._state: ReceiptState = "queued"
        self._error: SendError | None = None
        self._future: Future[Receipt] | None = None  # settled when it is written, or is not
        self._proofs: Proving | None = None  # of the session that has written it
        self._number = 0  # in that session
        self._awaited: Callable[[], None] | None = None  # writes what waits for the turn's end
        self._proof: Future[Receipt] | None = None  # settled when its state is final
        self.attempts = 0

    @property
    def state(self) -> ReceiptState:
        """`queued`, then `written`, and finally `delivered` or `in_doubt`; or `dropped`,
        `expired` or `rejected`.
        """  # noqa: D205 - the states belong to the summary
        if self._state == "written" and self._proofs is not None:
            return self._proofs.state_of(self._number)
        return self._state

    @property
    def error(self) -> SendError | None:
        """Why it was not written, or is in doubt, else None."""
        if self._error is None and self._proofs is not None and self.state == "in_doubt":
            self._error = SendError(self._proofs.doubt, "in_doubt")
        return self._error

    def delivered(self, timeout: float | None = None) -> Delivery:
        """Wait for the proof that the peer's WebSocket layer has the message.

        Await what is returned, or call its `result()` from a thread. The proof is the pong to a
        ping that was sent after the message (RFC 6455 section 5.5.3), or an acknowledgement if
        the protocol has them. It does not prove that the application has read the message.

        Args:
            timeout: seconds, or None forever.
        """
        self._proved()  # the proof is asked for now
        return Delivery(self, timeout)

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
        if self._awaited is not None:
            self._awaited()
        if self._state != "queued":  # a future for what is known would take most of the time
            if self._was_written:
                return self
            assert self._error is not None
            raise self._error
        future = self._waiter()
        await _until_done(future)
        return future.result()

    def add_done_callback(self, call: Callable[[Receipt], object]) -> None:
        """Call a function with the receipt once it is settled, on that thread; at once if it is.

        An exception is logged, in one line without its text.
        """
        self._waiter().add_done_callback(_guarded(call, self))

    def __repr__(self) -> str:
        return glance(self, ", ".join(self._words()))

    def __rich_repr__(self) -> Iterator[tuple[str, object, object]]:
        yield "state", self.state, None
        yield "error", self.error, None
        yield "attempts", self.attempts, 0

    def _repr_html_(self) -> str:
        state, *rest = self._words()
        return glance_html(TONES.get(state, "bad"), state, ", ".join(rest))

    def _words(self) -> Iterator[str]:
        yield self.state
        if self.attempts > 1:
            yield f"written {self.attempts} times"
        if (error := self.error) is not None:
            yield told_shortly(error)

    def _waiter(self) -> Future[Receipt]:
        with _settling:
            if self._future is None:
                self._future = Future()
                if self._state != "queued":
                    self._resolve(self._future)
            return self._future

    def _proved(self) -> Future[Receipt]:
        with _settling:
            known = self._proof is not None
            self._proof = proof = self._proof or Future()
            proofs = self._proofs if self._state == "written" else None
            final = self._state not in ("queued", "written")
        if final:
            self._on_proof()
        elif proofs is not None and not known:
            proofs.expect(self, self._number)
        return proof

    # Only the store calls these

    def settle(self, state: ReceiptState, error: SendError | None = None) -> None:
        """Settle with the final state and wake whoever waits."""
        with _settling:
            self._state, self._error = state, error
            future = self._future
        if future is not None:
            self._resolve(future)
        if self._proof is not None:
            self._on_proof()

    def _on_written(self, proofs: Proving, number: int) -> None:
        """Settle as written, as one of the sends of a session."""
        with _settling:
            self._proofs, self._number, self._state = proofs, number, "written"
            future, proof = self._future, self._proof
        if future is not None:
            self._resolve(future)
        if proof is not None:
            proofs.expect(self, number)

    def _on_doubt(self, error: SendError) -> None:
        """Settle what was written as in doubt, while its session goes on."""
        with _settling:
            self._state, self._error = "in_doubt", error
        self._on_proof()

    def _disown(self, error: SendError | None) -> None:
        """Settle in a child process what the parent goes on with; nobody is told.

        Args:
            error: where it was not written yet.
        """
        self._future = self._proof = None  # their callbacks are called in the parent
        if error is not None:
            self.settle("rejected", error)

    def _on_requeued(self) -> None:
        """Wait again: it will be sent again."""
        with _settling:
            self._state, self._proofs = "queued", None

    def _on_proof(self) -> None:
        """Wake whoever waits for the proof: the state is final."""
        if self._proof is None or self._proof.done():
            return
        with suppress(InvalidStateError):  # somebody has given it up
            if (error := self.error) is None:
                self._proof.set_result(self)
            else:
                self._proof.set_exception(error)

    def _on_no_proof(self, error: SendError) -> None:
        """Wake whoever waits for a proof that cannot come; the state stays as it is."""
        if self._proof is not None and not self._proof.done():
            with suppress(InvalidStateError):
                self._proof.set_exception(error)

    @property
    def _was_written(self) -> bool:
        return self._error is None or self._proofs is not None

    def _resolve(self, future: Future[Receipt]) -> None:
        if future.done():
            return
        if self._was_written:
            future.set_result(self)
        else:
            future.set_exception(self._error)


async def _until_done(future: Future[Receipt]) -> None:
    # By a future of its own, without the error: cancelling one wait must not cancel others, and a
    # failure that comes after it must not be logged as one that nobody looked at.
    if future.done():
        return
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not done.done():
            done.set_result(None)

    def wake(_: object) -> None:
        with suppress(RuntimeError):  # the loop has closed: nobody waits any more
            loop.call_soon_threadsafe(settle)

    future.add_done_callback(wake)
    await done


def _guarded(call: Callable[[Receipt], object], receipt: Receipt) -> Callable[[object], None]:
    def tell(_: object) -> None:
        try:
            call(receipt)
        except Exception as error:  # `concurrent.futures` would log it with all it quotes
            logger.error("a receipt's callback raised %s", told(error))

    return tell


class Delivery:
    """The wait for the proof of one send: await it, or call `result()` from a thread.

    Args:
        receipt: of the send.
        timeout: seconds, or None forever.
    """

    def __init__(self, receipt: Receipt, timeout: float | None) -> None:
        self._receipt = receipt
        self._timeout = timeout

    @property
    def _proof(self) -> Future[Receipt]:
        return self._receipt._proved()

    def result(self, timeout: float | None = None) -> Receipt:
        """Wait, from a thread without an event loop.

        Args:
            timeout: seconds, instead of those given before.

        Raises:
            SendError: it was not sent, or its connection ended before the proof came.
            WaitTimeout: no proof in time; the receipt may still become `delivered`.
            RuntimeError: called on a thread whose event loop the wait would block.
        """
        limit, proof = self._timeout if timeout is None else timeout, self._proof
        if not proof.done():
            refuse_on_loop("receipt.delivered().result()", "await receipt.delivered()")
        try:
            return proof.result(limit)
        except TimeoutError:
            raise self._late(limit) from None

    def __await__(self) -> Generator[Any, None, Receipt]:
        return self._wait().__await__()

    async def _wait(self) -> Receipt:
        proof = self._proof
        try:
            async with asyncio.timeout(self._timeout):
                await _until_done(proof)
        except TimeoutError:
            raise self._late(self._timeout) from None
        return proof.result()

    def add_done_callback(self, call: Callable[[Receipt], object]) -> None:
        """Call a function with the receipt once it is delivered or in doubt; at once if it is.

        It is called on the thread that learns of it; see `receipt.state`. An exception is logged,
        without its text.
        """
        self._proof.add_done_callback(_guarded(call, self._receipt))

    def __repr__(self) -> str:
        return glance(self, f"of {self._receipt!r}")

    @staticmethod
    def _late(limit: float | None) -> WaitTimeout:
        return WaitTimeout(f"no proof of delivery within {limit} s; it may still come")


def refuse_on_loop(call: str, instead: str) -> None:
    """Refuse a blocking wait on a thread that runs an event loop: it would stop that loop.

    Raises:
        RuntimeError: where this thread runs an event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if (patch := _patch_of_threads()) is not None:
        raise RuntimeError(
            f"{call} cannot wait where {patch} has patched threads: they are one thread, which "
            "runs the store's event loop; observe the store, or make it in a process without "
            "that patch"
        )
    raise RuntimeError(f"{call} would block this event loop; {instead} instead")


def _patch_of_threads() -> str | None:
    """Return the name of what has made all threads of this process one, if anything has."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("threading"):
        return "gevent"
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return "eventlet"
    return None
