"""`Shared`: the store behind all that share one connection, told by it and telling them.

It commits what it is told to all of its members before any of their observers is called: all of
them have one bus.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, Final, TypeAlias

from .base.exceptions import ConfigurationError, StoreError
from .base.options import StoreOptions
from .base.starting import start_task
from .base.state import ConnectionState, Gap, Status
from .connecting.codec import Codec
from .connecting.runtime import LoopOption
from .connecting.tokens import Identity
from .reactive.bus import Emitter
from .store import WebSocketStore

__all__ = ["Shared", "registry"]

Key: TypeAlias = "tuple[str, object, weakref.ref[asyncio.AbstractEventLoop] | None]"

APART: Final = {"immediate", "access_token", "principal"}  # options that are compared otherwise


class Registry:
    """The shared connections of the process; they are kept by those who use them."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may run a finaliser that closes while it is held.
        self.lock = threading.RLock()
        self.all: weakref.WeakValueDictionary[Key, Shared] = weakref.WeakValueDictionary()

    def get(
        self, key: Key, endpoint: str, options: StoreOptions, message_type: Any, loop: LoopOption
    ) -> Shared:
        """Return the store behind a connection, counted as used once more.

        Raises:
            ConfigurationError: it is used with other options.
        """
        with self.lock:
            core = self.all.get(key)
            if core is None or core.retired:
                core = self.all[key] = Shared(endpoint, options, message_type, loop, key)
            else:
                core.refuse_other(options, message_type)
            core.enter()
            return core

    def forget(self, core: Shared, key: Key) -> None:
        """Let nobody find a store any more."""
        with self.lock:
            if self.all.get(key) is core:
                del self.all[key]

    def close_lingering(self) -> None:
        """End what lingers when the program ends: its thread would just be cut off."""
        for core in list(self.all.values()):
            if not core.used:
                core.close()


registry: Final = Registry()
atexit.register(registry.close_lingering)


class Shared(WebSocketStore[Any]):
    """The store behind those that share, told by the connection.

    Args:
        endpoint: a whole URL.
        options: of everybody who shares it.
        message_type: of everybody who shares it.
        loop: where it runs.
        key: by which others find it.
    """

    def __init__(
        self, endpoint: str, options: StoreOptions, message_type: Any, loop: LoopOption, key: Key
    ) -> None:
        self._members: tuple[WebSocketStore[Any], ...] = ()
        self._users = 0
        self._key = key
        self._options = options
        self._message_type = message_type
        self._joined: asyncio.Event | None = None
        self.retired = False
        super().__init__(endpoint, replace(options, immediate=False), Codec(message_type), loop)

    @property
    def identity(self) -> Identity:
        """Who dials."""
        return self._connection.identity

    @property
    def used(self) -> bool:
        """Whether somebody has not left."""
        return self._users > 0

    def refuse_other(self, options: StoreOptions, message_type: Any) -> None:
        """Refuse a store that would need another connection.

        Raises:
            ConfigurationError: it names the options that differ, without their values.
        """
        names = (field.name for field in fields(StoreOptions) if field.name not in APART)
        mine = {name: getattr(self._options, name) for name in names}
        other = {name: getattr(options, name) for name in mine}
        mine |= {"message_type": self._message_type, "principal": self.identity.principal}
        other |= {"message_type": message_type, "principal": options.principal}
        mine["access_token"], other["access_token"] = self.identity.token, options.access_token
        differ = sorted(name for name in mine if not _same(mine[name], other[name]))
        if differ:
            raise ConfigurationError(
                f"{self._name} is shared with other options: {', '.join(differ)}; "
                "pass the same, or share=False for a connection of its own"
            )

    def wake(self) -> None:
        """Dial for a store that joins, unless an attempt is under way or waited for."""
        if self._connection.state.status is not Status.WAITING:
            self._connection.connect()

    # Who is there

    def enter(self) -> None:
        """Count one more store; `registry.lock` is held."""
        self._users += 1
        joined, self._joined = self._joined, None
        if joined is not None:
            self.call_soon(joined.set)

    def add(self, store: WebSocketStore[Any]) -> None:
        """Tell a store from now on; it begins with the values of now."""
        with self._bus.lock:
            store.state.value = self.state.value
            store.is_connected.value = self.is_connected.value
            store.last_message.value = self.last_message.value
            store.latency.value = self.latency.value
            self._members = (*self._members, store)

    def remove(self, store: WebSocketStore[Any]) -> None:
        """Tell a store nothing any more."""
        with self._bus.lock:
            self._members = tuple(member for member in self._members if member is not store)

    def leave(self) -> None:
        """Count one store less; after the last one the connection ends, at once or in a while."""
        with registry.lock:
            self._users -= 1
            if self._users > 0:
                return
            lingers = self._options.share_linger > 0 and self._runtime.loop.is_running()
            if not lingers:
                self._retire()
        if lingers:
            self.call_soon(self._start_lingering)
        else:
            self.close()

    def _start_lingering(self) -> None:
        with registry.lock:
            if self._users > 0 or self._joined is not None:
                return
            self._joined = asyncio.Event()
        # A task and not a timer: a loop that is about to end cancels it, which ends the connection.
        start_task(self._linger(self._joined), "heimdall-linger")

    async def _linger(self, joined: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._options.share_linger):
                await joined.wait()
        except TimeoutError:
            pass
        finally:
            with registry.lock:
                last = self._users == 0 and self._joined is joined
                if last:
                    self._retire()
            if last:
                await self.aclose()

    def _retire(self) -> None:
        self.retired = True
        registry.forget(self, self._key)

    # Listener: what is told to one is told to all

    def on_state(self, state: ConnectionState) -> None:
        """Commit the state for every store, then tell everybody."""
        everyone = (self, *self._members)
        self._bus.emit_all([change for store in everyone for change in store._changes(state)])
        for late in set(self._members).difference(everyone):  # came on another thread meanwhile
            if late.state.value is not self.state.value:
                self._bus.emit_all(late._changes(self.state.value))

    def on_incoming(self, message: Any) -> None:
        """Take the next message for every store."""
        self._bus.emit_all(self._each(lambda store: store.last_message, message))

    def on_latency(self, seconds: float) -> None:
        """Take the round trip of a ping for every store."""
        if self.connected:
            self._bus.emit_all(self._each(lambda store: store.latency, seconds))

    def on_gap(self, gap: Gap) -> None:
        """Tell every store what a reconnection left out."""
        self._bus.emit_all(self._each(lambda store: store._gaps, gap))

    def on_principal(self, principal: object, current: bool) -> None:
        """Forget the last message of another user in every store."""
        super().on_principal(principal, current)
        if self.last_message.value is None:
            for store in self._members:
                if store.last_message.value is not None:
                    store.last_message.reset(None)

    def _emit_error(self, error: StoreError) -> None:
        self._bus.emit_all(self._each(lambda store: store._errors, error))

    def _each(
        self, source: Callable[[WebSocketStore[Any]], Emitter[Any]], value: Any
    ) -> Iterator[tuple[Emitter[Any], Any]]:
        # A generator: the bus runs it under its lock, so that nobody joins in the middle.
        for store in (self, *self._members):
            yield source(store), value

    def _on_moved(self) -> None:
        for store in self._members:
            store._flush_posted = False
        super()._on_moved()

    def _complete(self) -> None:
        super()._complete()
        with registry.lock:
            self._retire()


def _same(mine: Any, other: Any) -> bool:
    try:
        return mine is other or bool(mine == other)
    except Exception:  # what can not be compared is not known to be the same
        return False
