"""`share=True`: several stores over one connection, each with subjects and an end of its own."""

from __future__ import annotations

import asyncio
import atexit
import threading
import weakref
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import fields
from typing import Any, Final, TypeAlias

from reactivex import Observable

from .base.endpoints import ws_config
from .base.exceptions import ConfigurationError, InvalidEndpoint
from .base.forking import run_in_child
from .base.options import CloseInfo, StoreOptions
from .base.starting import start_task
from .base.state import Status
from .connecting.codec import Codec
from .connecting.lifecycle import Lifecycle
from .connecting.runtime import LoopOption, chosen
from .connecting.tokens import Identity, claimed, digest
from .core import Seat, StoreCore
from .reactive.sampling import until_end_of
from .reactive.values import Reporter, Values

__all__ = ["SharedCore", "join", "registry"]

Key: TypeAlias = "tuple[str, object, weakref.ref[asyncio.AbstractEventLoop] | None]"

APART: Final = {"immediate", "access_token", "principal"}  # options that are compared otherwise
LEFT: Final = CloseInfo(1000, "the store left the shared connection", "client")


def join(
    endpoint: str,
    options: StoreOptions,
    message_type: Any,
    loop: LoopOption,
    leaving: StoreCore | None = None,
) -> SharedCore:
    """Return the shared connection of an endpoint and a principal, for one store more.

    Args:
        endpoint: resolved now, and for all who share.
        options: must be those of the other stores, `immediate` excepted.
        message_type: must be that of the other stores.
        loop: stores share where they run on the same event loop.
        leaving: the connection of a store that this one is about to replace.

    Raises:
        ConfigurationError: another store shares this connection with other options.
    """
    with suppress(InvalidEndpoint):  # the store fails because of it, as one that is not shared
        endpoint = ws_config.resolve(endpoint)
    own = chosen(loop)
    whose = claimed(Identity(options.access_token, options.principal))
    if callable(whose) and not isinstance(whose, Hashable):
        whose = _Itself(whose)
    key = digest(endpoint), whose, None if own is None else weakref.ref(own)
    where: LoopOption = "thread" if own is None else own
    return registry.get(key, endpoint, options, message_type, where, leaving)


class _Itself:
    """Stands for a provider that has no hash, such as a dataclass with a `__call__`."""

    def __init__(self, provider: object) -> None:
        self._provider = provider

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other._provider is self._provider

    def __hash__(self) -> int:
        return id(self._provider)


class Registry:
    """The shared connections of the process; they are kept by those who use them."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may run a finaliser that closes while it is held.
        self.lock = threading.RLock()
        self.all: weakref.WeakValueDictionary[Key, SharedCore] = weakref.WeakValueDictionary()

    def get(
        self,
        key: Key,
        endpoint: str,
        options: StoreOptions,
        message_type: Any,
        loop: LoopOption,
        leaving: StoreCore | None,
    ) -> SharedCore:
        """Return a connection, counted as used again.

        Raises:
            ConfigurationError: it is used with other options.
        """
        with self.lock:
            core = self.all.get(key)
            if core is None or core.retired or not core.serves(options, message_type, leaving):
                made = SharedCore(endpoint, options, message_type, loop, key)
                if core is not None and not core.retired:
                    core.give_way()
                core = self.all[key] = made
            core.enter()
            return core

    def forget(self, core: SharedCore, key: Key) -> None:
        """Let nobody find a connection any more."""
        with self.lock:
            if self.all.get(key) is core:
                del self.all[key]

    def close_lingering(self) -> None:
        """End what lingers when the program ends: its thread would just be cut off."""
        for core in list(self.all.values()):
            if not core.used:
                core.life.close()


registry: Final = Registry()
atexit.register(registry.close_lingering)


@run_in_child
def _renew() -> None:
    registry.__init__()  # type: ignore[misc] # what it knows of is the parent's


class SharedCore(StoreCore):
    """One connection for all stores that join; it ends, or lingers, after the last has left.

    Args:
        endpoint: a full URL.
        options: of everybody who shares it.
        message_type: of everybody who shares it.
        loop: where it runs.
        key: by which others find it.
    """

    def __init__(
        self, endpoint: str, options: StoreOptions, message_type: Any, loop: LoopOption, key: Key
    ) -> None:
        super().__init__(endpoint, options, Codec(message_type), loop, shared=True)
        self._users = 0
        self._key = key
        self._message_type = message_type
        self._joined: asyncio.Event | None = None
        self.retired = False
        super().seat(_nothing, self._complete_values)

    @property
    def used(self) -> bool:
        """Whether somebody has not left."""
        return self._users > 0

    def serves(self, options: StoreOptions, message_type: Any, leaving: StoreCore | None) -> bool:
        """Return whether a store may join; False where it needs another, and nobody is left here.

        Raises:
            ConfigurationError: somebody is; it names the options that differ, not their values.
        """
        identity = self.connection.identity
        names = (field.name for field in fields(StoreOptions) if field.name not in APART)
        mine = {name: getattr(self.options, name) for name in names}
        other = {name: getattr(options, name) for name in mine}
        mine |= {"message_type": self._message_type, "principal": identity.principal}
        other |= {"message_type": message_type, "principal": options.principal}
        mine["access_token"], other["access_token"] = identity.token, options.access_token
        differ = sorted(name for name in mine if not _same(mine[name], other[name]))
        if differ and self._users > (leaving is self):
            raise ConfigurationError(
                f"{self.name} is shared with other options: {', '.join(differ)}; "
                "pass the same, or share=False for a connection of its own"
            )
        return not differ

    # What a store asks for

    def seat(self, finish: Callable[[], Awaitable[None]], complete: Callable[[], None]) -> Seat:
        """Return what a store that joins has of its own; its end only leaves the connection."""
        values: Values[Any] = Values(self.bus)
        values.maker = self.values.maker
        reporter = Reporter(self.name)
        reporter.tell = lambda error: self.bus.emit(values.errors, error)
        left: list[bool] = []

        async def finish_here() -> None:
            self.publisher.leave(values, LEFT)
            await finish()

        def ended() -> None:
            self.publisher.leave(values, LEFT)  # what finishes may have been cancelled before it
            complete()

        def leave() -> None:
            with registry.lock:
                first = not left
                left.append(True)
            if first:
                self._leave()

        life = Lifecycle(self.runtime, finish_here, ended, self.options.close_timeout, leave)
        self.publisher.join(values)
        return Seat(values, reporter, life)

    async def aclose(self) -> None:
        """Return at the end of the connection, where the last store has just left."""
        if self.retired:
            await self.life.aclose()

    def begin(self) -> None:
        """Connect for a store that joins, unless an attempt is under way or waited for."""
        self.life.call(self._wake)

    def set_access_token(self, identity: Identity) -> None:
        """Use another token or provider of the same user from the next attempt on, for all.

        Raises:
            ConfigurationError: it is another user's; that one needs a store of its own.
        """
        before = self.connection.identity
        identity = identity._replace(principal=identity.principal or before.principal)
        if claimed(identity) != claimed(before):
            raise ConfigurationError(
                "a shared connection keeps its user, and this token may be another's: close the "
                "store and make a new one, or say with principal= whose token it is"
            )
        super().set_access_token(identity)

    def channel(self, values: Values[Any], name: str, message_type: Any) -> Observable[Any]:
        """Return a channel, as long as the store of these values lives."""
        return until_end_of(values.state, super().channel(values, name, message_type))

    def _wake(self) -> None:
        if self.connection.state.status is not Status.WAITING:
            self.connection.connect()

    # Who is there

    def enter(self) -> None:
        """Count one more store; `registry.lock` is held."""
        self._users += 1
        joined, self._joined = self._joined, None
        if joined is not None:
            self.life.call(joined.set)

    def _leave(self) -> None:
        """Count one store less; after the last one the connection ends, at once or in a while."""
        if self.runtime.inherited:
            return
        with registry.lock:
            self._users -= 1
            if self._users > 0:
                return
            wanted = self.options.share_linger > 0 and not self.retired
            lingers = wanted and self.runtime.loop.is_running()
            if not lingers:
                self._retire()
        if lingers:
            self.life.call(self._start_lingering)
        else:
            self.life.close()

    def _start_lingering(self) -> None:
        with registry.lock:
            if self._users > 0 or self._joined is not None or self.retired:
                return
            self._joined = asyncio.Event()
        # A task and not a timer: a loop that is about to end cancels it, which ends the connection.
        start_task(self._linger(self._joined), "heimdall-linger")

    async def _linger(self, joined: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self.options.share_linger):
                await joined.wait()
        except TimeoutError:
            pass
        finally:
            with registry.lock:
                last = self._users == 0 and self._joined is joined
                if last:
                    self._retire()
            if last:
                await self.life.aclose()

    def give_way(self) -> None:
        """End what lingers now, for other options; let nobody join. `registry.lock` is held."""
        self._retire()
        if not self.used:
            joined = self._joined
            self.life.call(self.life.close if joined is None else joined.set)

    def _retire(self) -> None:
        self.retired = True
        registry.forget(self, self._key)

    def _complete_values(self) -> None:
        self.values.complete()
        with registry.lock:
            self._retire()


async def _nothing() -> None:
    """Do nothing: each store ends what is its own."""


def _same(mine: Any, other: Any) -> bool:
    try:
        return mine is other or bool(mine == other)
    except Exception:  # what cannot be compared is not known to be the same
        return False
