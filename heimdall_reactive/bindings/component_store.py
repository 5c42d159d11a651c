"""`ComponentStore`: the store of a component, and what of it that component reads."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, TypeVar, cast

from heimdall_reactive import (
    ConfigurationError,
    ConnectionState,
    Receipt,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.consuming.hops import Hop
from heimdall_reactive.reactive.subjects import Command, Trigger

from .badge import Badge, badge, badge_now
from .render_queue import outside
from .snapshots import external_store

__all__ = ["ComponentStore", "WebSocketValues"]

T = TypeVar("T")


class WebSocketValues(Generic[T]):
    """What `use_websocket` returns: the values of one render, and the commands.

    The component is rendered again when a value changes that it read. One that shows only
    `is_connected` is not rendered for messages.

    Attributes:
        store: the store, for `use_subject`, `use_history`, `request` and the rest.
    """

    def __init__(self, store: WebSocketStore[T], used: set[str]) -> None:
        self.store = store
        self._used = used
        self._values: dict[str, Any] = {name: read(store) for name, read in READ.items()}

    @property
    def is_connected(self) -> bool:
        """Whether the socket is open."""
        return cast("bool", self._use("is_connected"))

    @property
    def last_message(self) -> T | None:
        """The newest message; two equal ones render twice."""
        return cast("T | None", self._use("last_message"))

    @property
    def state(self) -> ConnectionState:
        """The whole truth: status, attempt, error."""
        return cast("ConnectionState", self._use("state"))

    @property
    def latency(self) -> float | None:
        """Seconds that a ping took."""
        return cast("float | None", self._use("latency"))

    @property
    def badge(self) -> Badge:
        """The connection as a person reads it; while it waits it changes each second."""
        return cast("Badge", self._use("badge"))

    @property
    def send(self) -> Command[Any, Receipt]:
        """Sends a value: `ws.send("hi")`; see `WebSocketStore.send`."""
        return self.store.send

    @property
    def connect(self) -> Trigger:
        """Connects now."""
        return self.store.connect

    @property
    def disconnect(self) -> Trigger:
        """Ends the connection."""
        return self.store.disconnect

    def _use(self, name: str) -> Any:
        self._used.add(name)
        return self._values[name]

    def is_current(self, name: str) -> bool:
        """Return whether a value is still the store's."""
        value, now = self._values[name], READ[name](self.store)
        return value is now or (name == "badge" and bool(value == now))


class ComponentStore:
    """The store of a component, and which of its values that component reads."""

    def __init__(self, endpoint: Any, options: dict[str, Any], turns: Hop) -> None:
        self.used: set[str] = set()
        self._turns = turns
        self._ends: dict[str, Callable[[], None]] = {}
        self._dials = False
        mine = not isinstance(endpoint, WebSocketStore)
        if isinstance(endpoint, str):
            self._dials = options.get("immediate", True)
            options = {"loop": "thread", **options, "immediate": False}
            with outside():
                self.store: WebSocketStore[Any] = use_websocket(endpoint, **options)
        elif options:
            raise ConfigurationError("options go with an endpoint; a store has got its own already")
        else:
            self.store = endpoint() if mine else endpoint
        # A render that fails is never mounted; then the garbage collector ends the store.
        self._close = weakref.finalize(self, _close_soon, self.store if mine else None)
        self._close.atexit = False

    def mount(self) -> Callable[[], None]:
        """Connect; return what ends it, without waiting."""
        if self._dials:
            self.store.connect()
        return self._unmount

    def commit(self, values: WebSocketValues[Any], render: Callable[[], None]) -> None:
        """Note what is seen now; render again when what is used of it changes."""
        self._values = values
        for name in self.used - self._ends.keys():
            source: Any = badge(self.store) if name == "badge" else getattr(self.store, name)
            on_change = partial(self._changed, name, render)
            self._ends[name] = external_store(source, None, self._turns, every=0).subscribe(
                on_change
            )
        if not all(map(values.is_current, self.used)):
            render()

    def _changed(self, name: str, render: Callable[[], None]) -> None:
        if name == "last_message" or not self._values.is_current(name):
            render()

    def _unmount(self) -> None:
        ends, self._ends = self._ends, {}
        for end in ends.values():
            end()
        self._close()


def _close_soon(store: WebSocketStore[Any] | None) -> None:
    if store is not None:
        store._life.close_soon()


READ: Final[dict[str, Callable[[WebSocketStore[Any]], Any]]] = {
    "state": lambda store: store.state.value,
    "is_connected": lambda store: store.is_connected.value,
    "last_message": lambda store: store.last_message.value,
    "latency": lambda store: store.latency.value,
    "badge": badge_now,
}
