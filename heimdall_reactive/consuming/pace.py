"""`Paced`: the ways to take a store's values at one's own pace, or on another thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, TypeVar

from reactivex import Observable

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.connecting.life import Life
from heimdall_reactive.connecting.runtime import Runtime
from heimdall_reactive.connecting.session import Session

from .buffers import WAITING_LIMIT, BlockOr, Buffer, Buffers, Overflow
from .consumers import AsyncHandler, AsyncHandlers
from .holding import Holding
from .hops import Hop
from .scheduler import LoopScheduler
from .streams import MessageStream
from .views import StoreView, Viewed

__all__ = ["Paced"]

In = TypeVar("In")
E = TypeVar("E")


class Paced(Viewed[In]):
    """The side of a store for consumers that own a bounded buffer."""

    _runtime: Runtime
    _life: Life

    @cached_property
    def scheduler(self) -> LoopScheduler:
        """An RxPY scheduler on the store's loop: `ops.debounce(1.0, scheduler=store.scheduler)`."""
        return LoopScheduler(self._runtime, self.report)

    @cached_property
    def _buffers(self) -> Buffers:
        return Buffers()

    @cached_property
    def _handlers(self) -> AsyncHandlers:
        return AsyncHandlers(self._runtime, self._life.call, self.report, self._buffers)

    @cached_property
    def _holding(self) -> Holding:
        return Holding(self._open_session, self._runtime)

    def _open_session(self) -> Session | None:
        """Return the session of the open socket."""
        raise NotImplementedError

    def stream(
        self,
        maxsize: int = WAITING_LIMIT,
        overflow: BlockOr = "drop_oldest",
        *,
        name: str | None = None,
    ) -> MessageStream[In]:
        """Return the messages from now on, for `async for` on any event loop.

        Args:
            maxsize: how many may wait for the iteration.
            overflow: what goes when more come: `drop_oldest`, `drop_newest`, `latest` which keeps
                one, `error` which raises `StreamOverflow` after what had room, or `block`: the
                server is held back, for everybody who observes this connection, until half is
                free; 5 s at the most, then the oldest goes.
            name: for `stats`.

        Raises:
            ConfigurationError: `maxsize` or `overflow` can not work.
        """
        name = self._buffers.name("stream", name)
        hold = self._holding if overflow == "block" else None
        buffer: Buffer[In] = Buffer(maxsize, overflow, name, hold)
        return MessageStream(self.messages, buffer, self._buffers)

    def on_message(
        self,
        async_fn: Callable[[In], Awaitable[object]],
        concurrency: int = 1,
        overflow: Overflow = "drop_oldest",
        *,
        maxsize: int = WAITING_LIMIT,
        name: str | None = None,
    ) -> AsyncHandler[In]:
        """Call an async function with each message on the store's loop; see `on_each`."""
        return self.on_each(
            self.messages, async_fn, concurrency, overflow, maxsize=maxsize, name=name
        )

    def on_each(
        self,
        source: Observable[E],
        async_fn: Callable[[E], Awaitable[object]],
        concurrency: int = 1,
        overflow: Overflow = "drop_oldest",
        *,
        maxsize: int = WAITING_LIMIT,
        name: str | None = None,
    ) -> AsyncHandler[E]:
        """Call an async function with each value of an observable; what it raises is reported.

        When the store closes, calls may go on for 2 s, and are then cancelled.

        Args:
            source: any observable of this store.
            async_fn: called and awaited on the store's event loop.
            concurrency: calls at a time; 1 keeps the order.
            overflow: as for `stream`; an `error` detaches the handler, and is on `errors`.
            maxsize: how many may wait.
            name: for `stats` and `errors`.

        Returns:
            What detaches it by `dispose()`, and has the counters in `stats`.

        Raises:
            ConfigurationError: `concurrency`, `overflow` or `maxsize` can not work.
        """
        buffer: Buffer[E] = Buffer(maxsize, overflow, self._buffers.name("handler", name))
        return AsyncHandler(source, async_fn, buffer, concurrency, self._handlers)

    def observe_on(
        self,
        hop: Hop,
        maxsize: int = WAITING_LIMIT,
        overflow: Overflow = "drop_oldest",
        *,
        name: str | None = None,
    ) -> StoreView[In]:
        """Return a view: the same subjects, told on another thread or event loop.

        Args:
            hop: calls something soon over there, such as `loop_hop()`.
            maxsize: how many messages may wait; states take no room and are never dropped.
            overflow: which message goes when more come; not `error`.
            name: for `stats`.

        Raises:
            ConfigurationError: `maxsize` or `overflow` can not work.
        """
        if overflow == "error":
            raise ConfigurationError("overflow of a view must drop messages: a view has no end")
        buffer: Buffer[Any] = Buffer(maxsize, overflow, self._buffers.name("view", name))
        return StoreView(self, hop, buffer, self._buffers)

    def _complete_values(self) -> None:
        super()._complete_values()
        self.scheduler.end()
        if "_holding" in vars(self):
            self._holding.end()
