"""`Readable`: the observable part of a store and of a view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar, overload

from reactivex import Observable

from heimdall_reactive.base.checks import check_function, check_timeout
from heimdall_reactive.base.exceptions import ConfigurationError, StoreError
from heimdall_reactive.base.state import ConnectionState, Gap

from .bus import OnRaised
from .source import NO_COPY, Derived
from .subjects import State
from .values import Values
from .waiting import Waiter, connected_or_raise

__all__ = ["Readable"]

In = TypeVar("In")
R = TypeVar("R")
M1 = TypeVar("M1")
M2 = TypeVar("M2")
M3 = TypeVar("M3")


class Readable(Generic[In]):
    """What is observed of a connection.

    Args:
        values: its subjects.
        call: performs something on the store's event loop.
        report: notified of what user code raised.
    """

    # A store's dict stays below 30 names; with more of them each takes 1.4 KB of its own.
    __slots__ = (
        "_call", "_report", "_values", "errors", "gaps", "is_connected", "last_message", "latency",
        "messages", "state", "transitions",
    )  # fmt: skip

    def __init__(
        self,
        values: Values[In],
        call: Callable[[Callable[[], None]], None],
        report: OnRaised,
    ) -> None:
        self._values = values
        self._call = call
        self._report = report
        self.state: State[ConnectionState] = values.state
        self.is_connected: State[bool] = values.is_connected
        self.last_message: State[In | None] = values.last_message
        self.latency: State[float | None] = values.latency
        self.messages: Observable[In] = values.messages
        self.transitions: Observable[tuple[ConnectionState, ConnectionState]] = values.transitions
        self.gaps: Observable[Gap] = values.gaps
        self.errors: Observable[StoreError] = values.errors

    @property
    def connected(self) -> bool:
        """Whether the socket is open, as a plain bool: `if store.connected:`."""
        return self.is_connected.value

    def select(self, selector: Callable[[ConnectionState], R]) -> State[R]:
        """Derive a subject from the state: distinct, and committed together with it.

        Args:
            selector: a pure function of the state; a later exception is reported, and the
                value stays.

        Raises:
            TypeError: the selector is not a plain function.
        """
        wanted = "select() takes a function of the state, such as lambda state: state.session"
        check_function(selector, wanted)
        return self._values.selections.add(selector)

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
        """Return the messages of these types, hot.

        Raises:
            TypeError: no type is given, or something that is not a class.
            ConfigurationError: no message of this store is ever of that type, as when a store of
                plain JSON is asked for a model.
        """
        for kind in kinds or (None,):
            try:
                isinstance(None, kind)  # type: ignore[arg-type] # it tells itself what it takes
            except TypeError:
                raise TypeError(
                    "messages_of() takes the classes of the messages, such as "
                    f"messages_of(RolesUpdated), not {'nothing' if not kinds else repr(kind)}"
                ) from None
            if (maker := self._values.maker) is not None and not maker.makes(kind):
                name = getattr(kind, "__name__", str(kind))
                raise ConfigurationError(
                    f"messages_of({name}) would never emit: this store makes no {name} of a "
                    f"message; pass message_type={name}, or a union with it"
                )
        found = self.messages.filter(lambda message: isinstance(message, kinds))
        names = ", ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
        return Derived(found, f"messages of {names}")

    def history(self, count: int) -> Observable[In]:
        """Return the last messages, then the live ones; each observer gets every one once.

        It keeps messages from now on, until it is no longer referenced or observed.

        Args:
            count: messages that are kept.

        Raises:
            ConfigurationError: `count` is not 1 or more.
        """
        return self._values.histories.of(count)

    def wait_for(
        self, predicate: Callable[[ConnectionState], bool], timeout: float | None = None
    ) -> Waiter:
        """Wait for a state: `await` it, or call `.result()` on it from a thread.

        Args:
            predicate: true for the state that is waited for; the current one counts.
            timeout: seconds, or None for no limit.

        Raises:
            TypeError: the predicate is not a plain function.
            ConfigurationError: the timeout is not a number of seconds.
        """
        wanted = "wait_for() takes a function of the state, such as lambda state: state.session > 1"
        check_function(predicate, wanted)
        check_timeout(timeout)
        return Waiter(self.state, self._call, self._values.bus.behind, predicate, timeout)

    def wait_connected(self, timeout: float | None = None) -> Waiter:
        """Wait until connected; raises `state.error` if the store gives up instead.

        Args:
            timeout: seconds, or None for no limit, even if nothing is connecting, as when
                `disconnected`.
        """
        return self.wait_for(connected_or_raise, timeout)

    def __reduce__(self) -> NoReturn:
        raise TypeError(NO_COPY)
