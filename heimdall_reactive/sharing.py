"""`share=True`: several stores over one connection, each with subjects and an end of its own."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

from reactivex import Observable

from .base.endpoints import redact, ws_config
from .base.exceptions import ConfigurationError, InvalidEndpoint
from .base.options import CloseInfo, StoreOptions, TokenSource
from .base.receipt import Receipt
from .base.state import MOVES, Status
from .base.stats import Stats
from .connecting.life import Life
from .connecting.runtime import LoopOption, chosen
from .connecting.tokens import Identity, claimed, digest
from .reactive.face import Face
from .reactive.sampling import until_end_of
from .reactive.subjects import Command, Trigger
from .shared import Shared, registry
from .store import WebSocketStore

__all__ = ["SharedStore", "join"]

In = TypeVar("In")

LEFT: Final = CloseInfo(1000, "the store left the shared connection", "client")


def join(
    endpoint: str, options: StoreOptions, message_type: Any, loop: LoopOption
) -> WebSocketStore[Any]:
    """Return a store over the shared connection of an endpoint and a principal.

    Args:
        endpoint: resolved now, and for all who share.
        options: must be those of the other stores, `immediate` excepted.
        message_type: must be that of the other stores.
        loop: stores share where they run on the same event loop.

    Raises:
        ConfigurationError: another store shares this connection with other options.
    """
    with suppress(InvalidEndpoint):  # the store fails of it, as one that is not shared
        endpoint = ws_config.resolve(endpoint)
    own = chosen(loop)
    whose = claimed(Identity(options.access_token, options.principal))
    if callable(whose) and not isinstance(whose, Hashable):
        whose = _Itself(whose)
    key = digest(endpoint), whose, None if own is None else weakref.ref(own)
    core = registry.get(key, endpoint, options, message_type, "thread" if own is None else own)
    store: SharedStore[Any] = SharedStore(endpoint, core, options)
    if options.immediate:
        core.call_soon(core.wake)
    return store


class _Itself:
    """Stands for a provider that has no hash, such as a dataclass with a `__call__`."""

    def __init__(self, provider: object) -> None:
        self._provider = provider

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other._provider is self._provider

    def __hash__(self) -> int:
        return id(self._provider)


class SharedStore(WebSocketStore[In]):
    """One consumer of a shared connection: a whole store, whose end is only its own.

    Args:
        endpoint: for the log.
        core: what it shares.
        options: the same as the others'.
    """

    def __init__(self, endpoint: str, core: Shared, options: StoreOptions) -> None:
        bus = core._bus
        self._core = core
        Face.__init__(self, redact(endpoint), bus)
        self._left = False
        self._flush_posted = False
        self._overflow = core._overflow
        self._runtime, self._outbox = core._runtime, core._outbox
        self._connection, self.journal = core._connection, core.journal
        self._channels: Any = _Channels(core, self)
        grace = options.close_timeout
        self._life = Life(self._runtime, self._finish, self._complete, grace, self._leave)
        self.send: Command[Any, Receipt] = Command(bus, "send", self._send)
        self.connect: Trigger = Trigger(bus, "connect", self._connect)
        self.disconnect: Trigger = Trigger(bus, "disconnect", self._disconnect)
        core.add(self)

    @property
    def stats(self) -> Stats:
        """Return the counters of the connection, which all who share it have in common."""
        stats = self._core.stats
        errors = stats.observer_errors + self._observer_errors
        return replace(stats, observer_errors=errors, consumers=self._buffers.stats())

    def set_access_token(self, token: TokenSource, *, principal: str | None = None) -> None:
        """Use another token or provider of the same user from the next attempt on, for all.

        Raises:
            ConfigurationError: it is another user's; that one needs a store of its own.
        """
        before = self._core.identity
        principal = principal or before.principal
        if claimed(Identity(token, principal)) != claimed(before):
            raise ConfigurationError(
                "a shared connection keeps its user, and this token may be another's: close the "
                "store and make a new one, or say with principal= whose token it is"
            )
        self._core.set_access_token(token, principal=principal)

    def close(self) -> None:
        """Leave the shared connection and end the subjects of this store. Idempotent.

        Blocks as `WebSocketStore.close` does; the last to leave ends the connection, after
        `share_linger` seconds, or at once where that is 0.
        """
        self._life.close()
        if self._life.ended:
            self._leave()

    async def aclose(self) -> None:
        """Leave the shared connection, and return when the subjects of this store have ended."""
        self._handlers.forgo()
        await self._life.aclose()
        if self._core.retired:
            await self._core.aclose()

    def _leave(self) -> None:
        with registry.lock:
            left, self._left = self._left, True
        if not left:
            self._core.leave()

    async def _finish(self) -> None:
        """End nothing but what is this store's alone, which the connection is not."""
        await self._handlers.finish()

    def _complete(self) -> None:
        self._core.remove(self)
        state = self.state.value
        if Status.DISCONNECTED in MOVES[state.status]:
            self._bus.emit_all(self._changes(state.disconnected(LEFT)))
        self._complete_values()
        self._bus.complete((self.send, self.connect, self.disconnect))


class _Channels:
    """The channels of a shared connection, as long as one of its stores lives."""

    def __init__(self, core: Shared, store: SharedStore[Any]) -> None:
        self._core = core
        self._store = store

    def get(self, name: str, message_type: Any) -> Observable[Any]:
        return until_end_of(self._store.state, self._core.channel(name, message_type))
