"""The reactive face of a connection: every value leaves here.

Way of a frame: the connection decodes it and calls `on_message`; the bus commits it as
`last_message` and tells the observers. Way of a command: `send` encodes in the caller's stack,
queues in the outbox, and has the connection flush on its loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final, Generic, TypeVar, overload

from pydantic import SecretStr
from reactivex import Observable

from .bus import Bus
from .codec import Codec, encode
from .connection import Connection
from .exceptions import ObserverError, StoreError
from .life import Closing, Life
from .options import StoreOptions, TokenSource, redact
from .outbox import Outbox, Receipt
from .runtime import LoopOption, Runtime, running_loop
from .state import ConnectionState, Status
from .stats import Stats
from .subjects import Command, Selections, State, Stream, Trigger
from .waiting import Waiter, connected_or_raise

__all__ = ["WebSocketStore"]

In = TypeVar("In")
R = TypeVar("R")
M1 = TypeVar("M1")
M2 = TypeVar("M2")
M3 = TypeVar("M3")

SEND_PATIENCE: Final = 1.0  # seconds a thread's send waits for room while connected
logger: Final = logging.getLogger("heimdall_reactive")


class WebSocketStore(Closing, Generic[In]):
    """A WebSocket as reactive state; made by `use_websocket`.

    Attributes:
        is_connected: whether the socket is open; distinct.
        last_message: the newest message, None before the first; equal ones notify too.
        state: the whole truth as one snapshot.
        latency: seconds a protocol ping took, None before the first of a session.
        messages: every message in order, hot.
        transitions: pairs of the previous and the current state, hot.
        errors: what went wrong without ending anything, hot; never terminates before the store.
        send: sends a value; a function, an observer and a subject of what was accepted.
        connect: dials now; a function, an observer and a subject.
        disconnect: ends the connection; a function, an observer and a subject.
    """

    def __init__(
        self, endpoint: str, options: StoreOptions, codec: Codec[In], loop: LoopOption = "auto"
    ) -> None:
        self._name = redact(endpoint)
        self._outbox = Outbox(options.outbox_limit, options.outbox_bytes)
        self._bus = bus = Bus(self.report)
        self._observer_errors = 0
        self._principal: object = None
        self._token_mark: int | None = None
        self._flush_posted = False
        self._runtime = Runtime(loop, self._bind, self._on_moved)
        self._connection = Connection(endpoint, options, codec, self._outbox, self, self._runtime)
        finish, grace = self._connection.aclose, options.close_timeout
        self._life = Life(self._runtime, finish, self._complete, grace)
        self.state: State[ConnectionState] = State(bus, "state", self._connection.state)
        self._selections = Selections(self.state)
        self.is_connected: State[bool] = State(bus, "is_connected", False)
        self.last_message: State[In | None] = State(bus, "last_message", None)
        self.latency: State[float | None] = State(bus, "latency", None)
        self.messages: Observable[In] = Stream(bus, "messages", of=self.last_message)
        self._transitions: Stream[tuple[ConnectionState, ConnectionState]] = Stream(
            bus, "transitions"
        )
        self._errors: Stream[StoreError] = Stream(bus, "errors")
        self.transitions: Observable[tuple[ConnectionState, ConnectionState]] = self._transitions
        self.errors: Observable[StoreError] = self._errors
        self.send: Command[Any, Receipt] = Command(bus, "send", self._send)
        self.connect: Trigger = Trigger(bus, "connect", self._connect)
        self.disconnect: Trigger = Trigger(bus, "disconnect", self._disconnect)
        self._bind()
        if options.immediate:
            self._life.call(self._connection.connect)

    # Values

    @property
    def connected(self) -> bool:
        """Whether the socket is open, as a plain bool: `if store.connected:`."""
        return self.is_connected.value

    @property
    def stats(self) -> Stats:
        """Return the counters as they are now."""
        return Stats(
            **asdict(self._connection.counters),
            queued=len(self._outbox),
            queue_high_water=self._outbox.high_water,
            rejected=self._outbox.rejected,
            observer_errors=self._observer_errors,
        )

    def select(self, selector: Callable[[ConnectionState], R]) -> State[R]:
        """Derive a subject from the state: distinct, and committed together with it.

        Args:
            selector: a pure function of the state; what it raises later is reported, and the
                value stays.
        """
        return self._selections.add(selector)

    @overload
    def messages_of(self, kind: type[M1], /) -> Observable[M1]: ...
    @overload
    def messages_of(self, kind1: type[M1], kind2: type[M2], /) -> Observable[M1 | M2]: ...
    @overload
    def messages_of(
        self, kind1: type[M1], kind2: type[M2], kind3: type[M3], /
    ) -> Observable[M1 | M2 | M3]: ...
    @overload
    def messages_of(self, *kinds: type[Any]) -> Observable[Any]: ...
    def messages_of(self, *kinds: type[Any]) -> Observable[Any]:
        """Return the messages that are of one of the types, hot."""
        return self.messages.filter(lambda message: isinstance(message, kinds))

    def wait_for(
        self, predicate: Callable[[ConnectionState], bool], timeout: float | None = None
    ) -> Waiter:
        """Wait for a state: `await` it, or call `.result()` on it from a thread.

        Args:
            predicate: true for the state that is waited for; the current one counts.
            timeout: seconds, or None for ever.
        """
        return Waiter(self.state, self._life.call, predicate, timeout)

    def wait_connected(self, timeout: float | None = None) -> Waiter:
        """Wait until connected; raises `state.error` where the store gives up instead.

        Args:
            timeout: seconds, or None for ever: also while nobody dials, as when `disconnected`.
        """
        return Waiter(self.state, self._life.call, connected_or_raise, timeout)

    # Commands

    def set_access_token(self, token: TokenSource) -> None:
        """Use another token or provider from the next attempt on; dial now after a failure.

        Where it is another user's, what waits is dropped and `last_message` reset; the `sub` of a
        JWT tells, and else every other token or provider counts as another user's.
        """

        def use() -> None:
            self._connection.token = SecretStr(token) if isinstance(token, str) else token
            if self._connection.state.status is Status.FAILED:
                self._connection.connect()

        if not self._life.closed:
            self._token_mark = self._outbox.mark()
            self._life.call(use)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call something on the store's event loop, at once where this thread is its own."""
        self._life.call(call)

    def report(self, error: BaseException, source: str) -> None:
        """Report what user code raised, on `errors` and in the log."""
        if isinstance(error, StoreError) and source != "errors":
            self.on_error(error)
            return
        self._observer_errors += 1
        count = self._observer_errors
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th ...: a fast stream must not drown the log
            logger.error("%s: an observer raised (%d so far)", source, count, exc_info=error)
        if source != "errors":  # an observer of the errors that raises must not feed itself
            self._bus.emit(self._errors, ObserverError(error, source))

    def close(self) -> None:
        """Disconnect and end every subject. Idempotent, from any thread.

        Blocks until nothing is left where it can; on a thread that runs an event loop it only
        begins, and `await aclose()` is what waits.
        """
        self._life.close()

    async def aclose(self) -> None:
        """Disconnect, end every subject, and return when no task, thread or socket is left."""
        await self._life.aclose()

    def __repr__(self) -> str:
        return f"<WebSocketStore {self._name} {self.state.value.status}>"

    # Listener: called by the connection on its event loop

    def on_state(self, state: ConnectionState) -> None:
        """Commit the state and all that is derived from it, then tell everybody."""
        previous = self.state.value
        changes: list[tuple[Any, Any]] = [(self.state, state)]
        if state.is_connected is not self.is_connected.value:
            changes.append((self.is_connected, state.is_connected))
            if self.latency.value is not None:
                changes.append((self.latency, None))
        for selection in self._selections.current():
            changes.extend(selection.changes(state))
        changes.append((self._transitions, (previous, state)))
        self._bus.emit_all(changes)

    def on_message(self, message: Any) -> None:
        """Take the next message: one emission for `last_message` and `messages`."""
        self._bus.emit(self.last_message, message)

    def on_latency(self, seconds: float) -> None:
        """Take the round trip of a ping."""
        self._bus.emit(self.latency, seconds)

    def on_error(self, error: StoreError) -> None:
        """Report what ended nothing, on `errors` and in the log."""
        logger.warning("%s: %s", self._name, error)
        self._bus.emit(self._errors, error)

    def on_principal(self, principal: object) -> None:
        """Forget the last message, and what waits, of another user or URL than an attempt's."""
        if self._principal is not None and principal != self._principal:
            self.last_message.reset(None)
            self._outbox.clear("it was queued for another user or URL", self._token_mark)
        self._principal, self._token_mark = principal, None

    def on_unusable_loop(self) -> None:
        """Move to the background thread: this loop can not open sockets."""
        self._runtime.fall_back()

    # Parts

    def _send(self, value: Any) -> Receipt:
        self._life.refuse_closed()
        frame = encode(value)
        if self.connected and not self._runtime.here() and running_loop() is None:
            # A thread can be faster than the loop's: it waits, as a socket's send would.
            self._outbox.wait_for_room(len(frame.data), SEND_PATIENCE)
        receipt = self._outbox.put(frame)
        if receipt.error is not None:
            self.on_error(receipt.error)
            return receipt
        self._bus.emit(self.send, value)
        if self._runtime.here():
            self._connection.flush()
        elif not self._flush_posted or self._runtime.loop.is_closed():
            self._flush_posted = True  # one wake-up for all that a thread sends meanwhile
            self._life.call(self._flush)
        return receipt

    def _flush(self) -> None:
        self._flush_posted = False
        self._connection.flush()

    def _connect(self, value: Any) -> None:
        self._life.refuse_closed()
        self._bus.emit(self.connect, value)
        self._life.call(self._connection.connect)

    def _disconnect(self, value: Any) -> None:
        self._bus.emit(self.disconnect, value)
        mark = self._outbox.mark()  # what is sent after it, on this thread, is not meant
        if not self._life.closed:
            self._life.call(lambda: self._connection.disconnect(mark))

    def _complete(self) -> None:
        self._outbox.close("the store was closed")
        self._bus.complete((
            self.state, self.is_connected, self.last_message, self.latency,
            *self._selections.current(), self._transitions, self._errors,
            self.send, self.connect, self.disconnect,
        ))  # fmt: skip
        # What is emitted from now on, a late error, is delivered by whoever emits it.
        self._bus.bind(None, self._runtime.post)

    def _bind(self) -> None:
        self._bus.bind(self._runtime.owner, self._runtime.post)

    def _on_moved(self) -> None:
        self._flush_posted = False
        self._bind()
        self._runtime.post(self._connection.abandon)
