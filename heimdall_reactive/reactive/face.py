"""`Face`: the values of a store, and how each is committed and told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, overload

from reactivex import Observable

from heimdall_reactive.base.exceptions import ObserverError, StoreError
from heimdall_reactive.base.masking import told
from heimdall_reactive.base.state import ConnectionState, Gap

from .bus import Bus
from .history import Histories
from .journal import Journal, about_error
from .source import Tap
from .subjects import Selections, State, Stream
from .waiting import Waiter, connected_or_raise

__all__ = ["Face"]

In = TypeVar("In")
R = TypeVar("R")
M1 = TypeVar("M1")
M2 = TypeVar("M2")
M3 = TypeVar("M3")

logger: Final = logging.getLogger("heimdall_reactive")


class Face(Generic[In]):
    """The read-only side of a store; its attributes are those of `WebSocketStore`.

    Args:
        name: for the log.
        bus: of another store whose connection this one shares; None makes its own.
    """

    # A store's dict stays below 30 names; with more of them each takes 1.4 KB of its own.
    __slots__ = (
        "_bus", "_errors", "_gaps", "_histories", "_name", "_observer_errors", "_selections",
        "_transitions", "errors", "gaps", "is_connected", "last_message", "latency", "messages",
        "state", "transitions",
    )  # fmt: skip

    def __init__(self, name: str, bus: Bus | None = None) -> None:
        self._name = name
        self._observer_errors = 0
        self._bus = bus = Bus(self.report) if bus is None else bus
        self.state: State[ConnectionState] = State(bus, "state", ConnectionState())
        self.is_connected: State[bool] = State(bus, "is_connected", False)
        self.last_message: State[In | None] = State(bus, "last_message", None)
        self.latency: State[float | None] = State(bus, "latency", None)
        self.messages: Observable[In] = Stream(bus, "messages", of=self.last_message)
        self._selections = Selections(self.state)
        self._histories: Histories[Any] = Histories(self.last_message)
        self._transitions: Stream[tuple[ConnectionState, ConnectionState]] = Stream(
            bus, "transitions"
        )
        self._gaps: Stream[Gap] = Stream(bus, "gaps")
        self._errors: Stream[StoreError] = Stream(bus, "errors")
        self.transitions: Observable[tuple[ConnectionState, ConnectionState]] = self._transitions
        self.gaps: Observable[Gap] = self._gaps
        self.errors: Observable[StoreError] = self._errors

    @property
    def connected(self) -> bool:
        """Whether the socket is open, as a plain bool: `if store.connected:`."""
        return self.is_connected.value

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

    def history(self, count: int) -> Observable[In]:
        """Return the last messages, then the live ones; each observer gets every one once.

        It begins to keep messages now, and ends when nobody has or observes it any more.

        Args:
            count: messages that are kept.

        Raises:
            ConfigurationError: `count` is not 1 or more.
        """
        return self._histories.of(count)

    def wait_for(
        self, predicate: Callable[[ConnectionState], bool], timeout: float | None = None
    ) -> Waiter:
        """Wait for a state: `await` it, or call `.result()` on it from a thread.

        Args:
            predicate: true for the state that is waited for; the current one counts.
            timeout: seconds, or None for ever.
        """
        return Waiter(self.state, self.call_soon, self.call_behind, predicate, timeout)

    def wait_connected(self, timeout: float | None = None) -> Waiter:
        """Wait until connected; raises `state.error` where the store gives up instead.

        Args:
            timeout: seconds, or None for ever: also while nobody dials, as when `disconnected`.
        """
        return self.wait_for(connected_or_raise, timeout)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call something on the store's event loop, at once where this thread is its own."""
        raise NotImplementedError

    def call_behind(self, call: Callable[[], None]) -> None:
        """Call something after all observers of what is being told."""
        self._bus.behind(call)

    def report(self, error: BaseException, source: str) -> None:
        """Report what user code raised, on `errors` and in the log."""
        if isinstance(error, StoreError) and source != "errors":
            self.on_error(error)
            return
        self._observer_errors += 1
        count = self._observer_errors
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th ...: a fast stream must not drown the log
            # One line, without its text: that may quote a message, and forge a line of the log.
            extra = {"endpoint": self._name, "event": "observer", "details": {"count": count}}
            text = "%s: an observer raised %s (%d so far)"
            logger.error(text, source, told(error), count, extra=extra)
        if source != "errors":  # an observer of the errors that raises must not feed itself
            self._emit_error(ObserverError(error, source))

    # Told by the connection, on its event loop

    def on_state(self, state: ConnectionState) -> None:
        """Commit the state and all that is derived from it, then tell everybody."""
        self._bus.emit_all(self._changes(state))

    def _changes(self, state: ConnectionState) -> list[tuple[Any, Any]]:
        """Return what there is to commit for the next state."""
        previous = self.state.value
        changes: list[tuple[Any, Any]] = [(self.state, state)]
        if state.is_connected is not self.is_connected.value:
            changes.append((self.is_connected, state.is_connected))
            if self.latency.value is not None:
                changes.append((self.latency, None))
        for selection in self._selections.current():
            changes.extend(selection.changes(state))
        changes.append((self._transitions, (previous, state)))
        return changes

    def on_incoming(self, message: Any) -> None:
        """Take the next message: one emission for `last_message` and `messages`."""
        self._bus.emit(self.last_message, message)

    def on_latency(self, seconds: float) -> None:
        """Take the round trip of a ping, unless it ended during the closing handshake."""
        if self.connected:
            self._bus.emit(self.latency, seconds)

    def on_error(self, error: StoreError) -> None:
        """Report what ended nothing, on `errors` and in the log."""
        extra = {"endpoint": self._name, "event": "error", "details": about_error(error)}
        logger.warning("%s: %s", self._name, error, extra=extra)
        self._emit_error(error)

    def _emit_error(self, error: StoreError) -> None:
        self._bus.emit(self._errors, error)

    def on_gap(self, gap: Gap) -> None:
        """Tell what a reconnection left out."""
        self._bus.emit(self._gaps, gap)

    def _told_to(self, journal: Journal) -> Journal:
        """Have a journal told of all that it notes."""
        self._transitions.attach(Tap(journal.on_transition), replay=False)
        self._errors.attach(Tap(journal.on_error), replay=False)
        self._gaps.attach(Tap(journal.on_gap), replay=False)
        return journal

    def _complete_values(self) -> None:
        """End what can be observed, the values first."""
        self._bus.complete((
            self.state, self.is_connected, self.last_message, self.latency,
            *self._selections.current(), self._transitions, self._gaps, self._errors,
        ))  # fmt: skip
