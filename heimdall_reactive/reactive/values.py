"""`Values`: the subjects of one store, and what each change of the state commits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from heimdall_reactive.base.checks import too_long
from heimdall_reactive.base.exceptions import (
    InvalidMessage,
    ObserverError,
    SendError,
    ServerError,
    StoreClosed,
    StoreError,
)
from heimdall_reactive.base.forking import INHERITED
from heimdall_reactive.base.masking import told
from heimdall_reactive.base.options import CloseInfo, StoreOptions
from heimdall_reactive.base.printable import count_of
from heimdall_reactive.base.state import ConnectionState, Gap, Status

from .bus import Bus, Emitter
from .history import Histories
from .journal import about_error
from .source import Source
from .subjects import Selection, Selections, State, Stream

__all__ = ["Change", "Reporter", "Values", "is_told"]

In = TypeVar("In")
Change = tuple[Emitter[Any], Any]

logger: Final = logging.getLogger("heimdall_reactive")
ABNORMAL_CLOSURE: Final = 1006
OF_THE_PEER: Final = (InvalidMessage, ServerError)  # it may cause as many of them as it likes


class Maker(Protocol):
    """What makes the messages of a store."""

    def makes(self, kind: Any) -> bool:
        """Return whether a message may be of a class."""
        ...


class Values(Generic[In]):
    """The subjects of one store or view. The bus is shared by all stores over one connection.

    Args:
        bus: the order of what they emit.

    Attributes:
        maker: knows whether a message may be of a class; None where nobody does.
    """

    __slots__ = (
        "_histories", "_selections", "bus", "errors", "gaps", "is_connected", "last_message",
        "latency", "maker", "messages", "state", "transitions",
    )  # fmt: skip

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.maker: Maker | None = None  # not its method: that is an object for each store
        self.state: State[ConnectionState] = State(bus, "state", ConnectionState())
        self.is_connected: State[bool] = State(bus, "is_connected", False)
        self.last_message: State[In | None] = State(bus, "last_message", None)
        self.latency: State[float | None] = State(bus, "latency", None)
        self.messages: Stream[In] = Stream(bus, "messages", of=self.last_message)
        self.transitions: Stream[tuple[ConnectionState, ConnectionState]] = Stream(
            bus, "transitions"
        )
        self.gaps: Stream[Gap] = Stream(bus, "gaps")
        self.errors: Stream[StoreError] = Stream(bus, "errors")
        # Most stores have none; 1 KB.
        self._selections: Selections[ConnectionState] | None = None
        self._histories: Histories[Any] | None = None

    @property
    def selections(self) -> Selections[ConnectionState]:
        """What was selected of the state."""
        with self.bus.lock:
            if self._selections is None:
                self._selections = Selections(self.state)
            return self._selections

    @property
    def histories(self) -> Histories[In]:
        """The histories of the messages."""
        with self.bus.lock:
            if self._histories is None:
                self._histories = Histories(self.last_message)
            return self._histories

    def adopt(self, other: Values[Any]) -> None:
        """Begin with the values of another store; the lock of that store's bus is held."""
        self.maker = other.maker
        for name in ("state", "is_connected", "last_message", "latency"):
            getattr(self, name)._value = getattr(other, name).value

    def changes(self, state: ConnectionState) -> list[Change]:
        """Return what there is to commit for the next state."""
        previous = self.state._value
        changes: list[Change] = [(self.state, state)]
        if state.is_connected is not self.is_connected._value:
            changes.append((self.is_connected, state.is_connected))
            if self.latency._value is not None:
                changes.append((self.latency, None))
        for selection in self._selected():
            changes.extend(selection._changes(state))
        changes.append((self.transitions, (previous, state)))
        return changes

    def complete_sources(self) -> None:
        """End all but the errors, which have to tell what goes wrong at the end."""
        self.bus.complete(self._sources()[:-1])

    def complete(self, others: tuple[Emitter[Any], ...] = ()) -> None:
        """End the values, then the events, then others of the store."""
        self.bus.complete((*self._sources(), *others))

    def disown(self) -> None:
        """Fail in a child process; the observers are the parent's, and are told nothing here."""
        close = CloseInfo(ABNORMAL_CLOSURE, INHERITED, "client")
        session, error = self.state._value.session, StoreClosed(INHERITED)
        state = ConnectionState(status=Status.FAILED, session=session, close=close, error=error)
        self.state._value, self.is_connected._value, self.latency._value = state, False, None
        for selection in self._selected():
            for _, value in selection._changes(state):
                selection._value = value
        for source in (*self._sources(), self.messages):
            source._disown()

    def _selected(self) -> tuple[Selection[ConnectionState, Any], ...]:
        return () if self._selections is None else self._selections.current()

    def _sources(self) -> tuple[Source[Any], ...]:
        """Return all in the order in which they end; `messages` ends with `last_message`."""
        return (
            self.state, self.is_connected, self.last_message, self.latency,
            *self._selected(), self.transitions, self.gaps, self.errors,
        )  # fmt: skip


class Reporter:
    """Reports what ended nothing, on `errors` and in the log.

    What may come without end, errors of observers and those that the peer causes, is counted in
    the log, which has the 1st, 2nd, 4th and so on.

    Args:
        name: of the store, for the log.

    Attributes:
        count: errors that observers raised.
        tell: emits an error; set when there is something to emit it on.
    """

    __slots__ = ("_caused", "_gave_way", "_name", "count", "tell")

    tell: Callable[[StoreError], None]

    def __init__(self, name: str) -> None:
        self._name = name
        self._caused: dict[type[StoreError], int] = {}
        self._gave_way = 0, 0  # how often, and how many
        self.count = 0

    def error(self, error: StoreError, *, often: bool = False) -> None:
        """Report an error.

        Args:
            error: what it was.
            often: whether it may come without end, as sends do that have no room.
        """
        details, so_far = about_error(error), ""
        if often or isinstance(error, OF_THE_PEER):
            kind = next((kind for kind in OF_THE_PEER if isinstance(error, kind)), type(error))
            details["count"] = self._caused[kind] = self._caused.get(kind, 0) + 1
            so_far = f" ({details['count']} so far)"
        if is_told(details.get("count", 1)):
            extra = {"endpoint": self._name, "event": "error", "details": details}
            logger.warning("%s: %s%s", self._name, error, so_far, extra=extra)
        self.tell(error)

    def hint(self, options: StoreOptions) -> None:
        """Report, in the log only, options that work and were probably not meant so."""
        for option, value, text in too_long(options):
            self._warn("option", text, {"option": option, "value": value})

    def dropped(self, count: int, reason: str, gave_way: bool) -> None:
        """Report sends that were dropped.

        Args:
            count: how many.
            reason: why.
            gave_way: whether later sends took their place, which is in the log only.
        """
        if not gave_way:
            were = "was" if count == 1 else "were"
            text = f"{count_of(count, 'send')} {were} dropped: {reason}"
            self.error(SendError(text, "dropped"))
            return
        self._gave_way = times, dropped = self._gave_way[0] + 1, self._gave_way[1] + count
        text = (
            f"the outbox is full: {count_of(dropped, 'send')} dropped so far for later ones; send "
            "less while not connected, or raise outbox_limit or outbox_bytes"
        )
        self.overflowed(text, times, dropped)

    def overflowed(self, text: str, burst: int, dropped: int) -> None:
        """Report, in the log only, that a bounded queue has dropped what it had no room for.

        Args:
            text: which one, and what to do.
            burst: for the how many-th time; the log has the 1st, 2nd, 4th and so on.
            dropped: values that were dropped so far.
        """
        if is_told(burst):
            self._warn("overflow", text, {"dropped": dropped, "count": burst})

    def _warn(self, event: str, text: str, details: dict[str, Any]) -> None:
        extra = {"endpoint": self._name, "event": event, "details": details}
        logger.warning("%s: %s", self._name, text, extra=extra)

    def raised(self, error: BaseException, source: str, ended: bool = False) -> None:
        """Report what user code raised.

        Args:
            error: what it was.
            source: the subject, or what else called the code.
            ended: whether the pipeline that raised it gets nothing more.
        """
        if isinstance(error, StoreError) and source != "errors":
            self.error(error)
            return
        self.count += 1
        if is_told(self.count):
            # One line, without its text: that may quote a message, and forge a line of the log.
            details = {"count": self.count}
            extra = {"endpoint": self._name, "event": "observer", "details": details}
            who, over = ("a pipeline", " and has ended") if ended else ("an observer", "")
            text = "%s: %s raised %s%s (%d so far)"
            logger.error(text, source, who, told(error), over, self.count, extra=extra)
        if source != "errors":  # an observer of the errors that raises must not feed itself
            self.tell(ObserverError(error, source, ended))


def is_told(count: int) -> bool:
    """Return whether the log is told: of the 1st, 2nd, 4th ..., for it must not drown."""
    return count & (count - 1) == 0
