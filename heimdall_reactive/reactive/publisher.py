"""`Publisher`: what a connection tells; it commits for all stores over it, then notifies.

Way of a frame: the session decodes it and calls `on_incoming`; the bus commits it as
`last_message` of every store, then calls the observers of each. A store of its own is the only
one, and takes the short way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Protocol

from heimdall_reactive.base.exceptions import StoreError
from heimdall_reactive.base.options import CloseInfo
from heimdall_reactive.base.state import MOVES, ConnectionState, Gap, Status

from .bus import Emitter
from .journal import Journal
from .values import Change, Reporter, Values

__all__ = ["Publisher"]


class ConnectionHost(Protocol):
    """What handles the events of a connection that are not values; see `Publisher`."""

    def on_session(self) -> None:
        """Put ahead what is to go out first on a socket that has just opened."""

    def on_envelope(self, envelope: Any, key: Hashable | None, answer: Any) -> None:
        """Handle an envelope of a protocol of one's own, behind its message."""

    def on_principal(self, principal: object, current: bool) -> None:
        """Drop what waits for another user or URL than an attempt's."""

    def on_unusable_loop(self) -> Exception | None:
        """Move away from an event loop that cannot open sockets."""


class Publisher:
    """Commits what a connection tells for every store over it, before anybody is notified.

    The connection has values of its own, which its channels and its journal observe and with
    which a store that joins begins. Those of a store that shares with nobody are these.

    Args:
        values: the connection's.
        reporter: writes the log; gets its way to `errors` here.
        journal: notes states, errors and gaps, before their observers are notified.
        core: handles what is not a value.
        shared: whether stores may join.
    """

    __slots__ = ("_bus", "_core", "_journal", "_last_message", "_reporter", "_stores", "values")

    def __init__(
        self,
        values: Values[Any],
        reporter: Reporter,
        journal: Journal,
        core: ConnectionHost,
        *,
        shared: bool = False,
    ) -> None:
        self.values = values
        self._core = core
        self._journal = journal
        self._bus = values.bus
        self._last_message = values.last_message
        self._stores: tuple[Values[Any], ...] | None = () if shared else None
        self._reporter = reporter
        reporter.tell = self._tell_error

    # Stores

    def join(self, values: Values[Any]) -> None:
        """Tell a store from now on; it begins with the values of now."""
        with self._bus.lock:
            values.adopt(self.values)
            self._stores = (*(self._stores or ()), values)

    def leave(self, values: Values[Any], close: CloseInfo) -> None:
        """Tell a store nothing any more but the end of its part in the connection."""
        with self._bus.lock:
            self._stores = tuple(each for each in self._stores or () if each is not values)
        state = values.state.value
        if Status.DISCONNECTED in MOVES[state.status]:
            self._bus.emit_all(values.changes(state.disconnected(close)))

    def disown(self) -> None:
        """Leave all stores to the parent process."""
        for values in self._everyone():
            values.disown()

    def forget_message(self) -> None:
        """Reset the last message: it was another user's."""
        for values in self._everyone():
            if values.last_message.value is not None or values is self.values:
                values.last_message._reset(None)

    # Listener: called by the connection on its event loop

    def on_state(self, state: ConnectionState) -> None:
        """Commit the state and all that is derived from it, for every store, then notify."""
        everyone = self._everyone()
        # Before the lock is taken: selectors are user code.
        changes = [change for values in everyone for change in values.changes(state)]
        self._bus.emit_all([(self, (self.values.state._value, state)), *changes])
        for late in self._everyone():
            newest = self.values.state.value
            # It has joined on another thread in between.
            if late not in everyone and late.state.value is not newest:
                self._bus.emit_all(late.changes(newest))

    def on_incoming(self, message: Any) -> None:
        """Handle the next message: one emission for `last_message` and `messages`."""
        if self._stores is None:
            self._bus.emit(self._last_message, message)
        else:
            self._emit(lambda values: values.last_message, message)

    def on_latency(self, seconds: float) -> None:
        """Handle the round trip of a ping, unless it ended during the closing handshake."""
        if not self.values.is_connected._value:
            return
        if self._stores is None:
            self._bus.emit(self.values.latency, seconds)
        else:
            self._emit(lambda values: values.latency, seconds)

    def on_error(self, error: StoreError) -> None:
        """Report what ended nothing, on `errors` and in the log."""
        self._reporter.error(error)

    def on_envelope(self, envelope: Any, key: Hashable | None, answer: Any) -> None:
        """Handle an envelope of a protocol of one's own, behind its message."""
        self._core.on_envelope(envelope, key, answer)

    def on_gap(self, gap: Gap) -> None:
        """Handle what a reconnection left out."""
        self._emit(lambda values: values.gaps, gap, noted=True)

    def on_session(self) -> None:
        """Put ahead what is to go out first on a socket that has just opened."""
        self._core.on_session()

    def on_principal(self, principal: object, current: bool) -> None:
        """Drop what waits for another user or URL than an attempt's."""
        self._core.on_principal(principal, current)

    def on_unusable_loop(self) -> Exception | None:
        """Move away from an event loop that cannot open sockets."""
        return self._core.on_unusable_loop()

    # Parts

    def _everyone(self) -> tuple[Values[Any], ...]:
        return (self.values, *(self._stores or ()))

    def _tell_error(self, error: StoreError) -> None:
        self._emit(lambda values: values.errors, error, noted=True)

    def _emit(
        self, of: Callable[[Values[Any]], Emitter[Any]], value: Any, noted: bool = False
    ) -> None:
        self._bus.emit_all(self._each(of, value, noted))

    def _each(
        self, of: Callable[[Values[Any]], Emitter[Any]], value: Any, noted: bool
    ) -> Iterator[Change]:
        # A generator: the bus runs it under its lock, so that nobody joins in the middle.
        if noted:
            yield self, value
        for values in self._everyone():
            yield of(values), value

    # Emitter: what the bus emits for this is what the journal notes

    def _commit(self, value: Any) -> int:
        return 0

    def _deliver(self, version: int, value: Any, only_replaying: bool = False) -> None:
        try:
            self._journal.note(value)
        except BaseException as error:  # a log handler of the user's
            self._bus.caught(error, "journal")

    def _complete(self) -> None:
        """Note nothing: nobody observes this."""
