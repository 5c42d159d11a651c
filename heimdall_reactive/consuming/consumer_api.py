"""`ConsumerApi`: ways to consume a store's values at your own pace, or on another thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Final, NoReturn, TypeVar

from reactivex import Observable

from heimdall_reactive.base.checks import check_function, check_timeout
from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.printable import count_of
from heimdall_reactive.base.receipt import refuse_on_loop
from heimdall_reactive.connecting.lifecycle import Lifecycle
from heimdall_reactive.reactive.source import LOOPS
from heimdall_reactive.reactive.values import Reporter, Values

from .buffers import WAITING_LIMIT, BlockOr, Buffer, Buffers, ConsumerOverflow
from .consumers import HANDLER_GRACE, AsyncHandler, AsyncHandlers, refuse_sync
from .holding import Holding
from .hops import Hop
from .iterators import MessageIterator
from .scheduler import LoopScheduler
from .streams import MessageStream
from .views import StoreView, Viewed

__all__ = ["ConsumerApi"]

HOP: Final = (
    "observe_on() takes a hop, a function that calls another one over there, such as "
    "loop_hop(loop) or a QueueHop()"
)

In = TypeVar("In")
E = TypeVar("E")


class ConsumerApi(Viewed[In]):
    """The side of a store for consumers that own a bounded buffer.

    Args:
        values: its subjects.
        life: its event loop and its end.
        reporter: reports what user code raised, and the first drop of each burst.
        holding: returns what holds the server back for a full consumer.
    """

    def __init__(
        self,
        values: Values[In],
        life: Lifecycle,
        reporter: Reporter,
        holding: Callable[[], Holding],
    ) -> None:
        super().__init__(values, life.call, reporter.raised)
        self._life = life
        self._holding = holding
        self._reporter = reporter

    @cached_property
    def scheduler(self) -> LoopScheduler:
        """An RxPY scheduler on the store's loop: `ops.debounce(1.0, scheduler=store.scheduler)`."""
        return LoopScheduler(self._life.runtime, self._report)

    @cached_property
    def _buffers(self) -> Buffers:
        return Buffers()

    @cached_property
    def _handlers(self) -> AsyncHandlers:
        return AsyncHandlers(self._life.runtime, self._life.call, self._report, self._buffers)

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
            overflow: what happens when more arrive: `drop_oldest`, `drop_newest`, `latest` which
                keeps one, `error` which raises `StreamOverflow` after those that had room, or
                `block`: the server is held back, for all observers of this connection, until half
                is free; for 5 s at most, then the oldest is dropped.
            name: for `stats`.

        Raises:
            ConfigurationError: `maxsize` or `overflow` cannot work.
        """
        buffer = self._buffer_of("stream", maxsize, overflow, name)
        return MessageStream(self.messages, buffer, self._buffers)

    def iterate(
        self,
        maxsize: int = WAITING_LIMIT,
        overflow: BlockOr = "drop_oldest",
        timeout: float | None = None,
        *,
        name: str | None = None,
    ) -> MessageIterator[In]:
        """Return the messages from now on, for `for` on a thread without an event loop.

        It ends when the store closes, after waiting messages. Ctrl-C interrupts it at once.

        Args:
            maxsize: how many may wait for the iteration.
            overflow: as for `stream`.
            timeout: seconds to wait for each message, or None for no limit.
            name: for `stats`.

        Raises:
            ConfigurationError: `maxsize`, `overflow` or `timeout` cannot work.
            RuntimeError: this thread runs an event loop, which the iteration would block.

        Examples:
            >>> for message in store.iterate():
            ...     print(message)
        """
        refuse_on_loop("iterate()", "write `async for message in store.stream()`")
        check_timeout(timeout)
        buffer = self._buffer_of("iteration", maxsize, overflow, name)
        return MessageIterator(self.messages, buffer, self._buffers, timeout)

    def on_message(
        self,
        async_fn: Callable[[In], Awaitable[object]],
        concurrency: int = 1,
        overflow: ConsumerOverflow = "drop_oldest",
        *,
        maxsize: int = WAITING_LIMIT,
        name: str | None = None,
        grace: float = HANDLER_GRACE,
    ) -> AsyncHandler[In]:
        """Call an async function with each message on the store's loop; see `on_each`."""
        return self.on_each(
            self.messages,
            async_fn,
            concurrency,
            overflow,
            maxsize=maxsize,
            name=name,
            grace=grace,
        )

    def on_each(
        self,
        source: Observable[E],
        async_fn: Callable[[E], Awaitable[object]],
        concurrency: int = 1,
        overflow: ConsumerOverflow = "drop_oldest",
        *,
        maxsize: int = WAITING_LIMIT,
        name: str | None = None,
        grace: float = HANDLER_GRACE,
    ) -> AsyncHandler[E]:
        """Call an async function with each value of an observable; its exceptions are reported.

        When the store closes, `source` ends. Calls go on with what waits, and with what operators
        such as `buffer_with_time` still give at that end. What is not done within `grace` seconds
        is cancelled, and is on `errors`.

        Args:
            source: any observable of this store.
            async_fn: called and awaited on the store's event loop.
            concurrency: calls at a time; 1 keeps the order.
            overflow: as for `stream`; `error` detaches the handler, and is reported on `errors`.
            maxsize: how many may wait.
            name: for `stats` and `errors`.
            grace: seconds that calls may still take when the store closes.

        Returns:
            A handle whose `dispose()` detaches the function; its `stats` has the counters.

        Raises:
            ConfigurationError: `concurrency`, `overflow`, `maxsize` or `grace` cannot work.
            StoreClosed: the store is closed.
            TypeError: the function is not async, or the source not an observable.
        """
        if not isinstance(source, Observable):
            raise TypeError(f"on_each() takes an observable, such as store.gaps, not {source!r}")
        refuse_sync(async_fn)
        self._life.refuse_closed()
        buffer: Buffer[E] = self._buffer_of("handler", maxsize, overflow, name)
        handler = AsyncHandler(source, async_fn, buffer, concurrency, self._handlers, grace)
        self._life.allow(grace)
        return handler

    def observe_on(
        self,
        hop: Hop,
        maxsize: int = WAITING_LIMIT,
        overflow: ConsumerOverflow = "drop_oldest",
        *,
        name: str | None = None,
    ) -> StoreView[In]:
        """Return a view: the same subjects, delivered on another thread or event loop.

        Args:
            hop: calls a function soon on that thread or loop, such as `loop_hop()`.
            maxsize: how many messages may wait; states take no room and are never dropped.
            overflow: which message is dropped when more arrive; not `error`.
            name: for `stats`.

        Raises:
            ConfigurationError: `maxsize` or `overflow` cannot work.
            TypeError: the hop is not a function.
        """
        check_function(hop, HOP)
        if overflow == "error":
            raise ConfigurationError("overflow of a view must drop messages: a view has no end")
        buffer: Buffer[Any] = self._buffer_of("view", maxsize, overflow, name)
        return StoreView(self, hop, buffer, self._buffers)

    def __getitem__(self, key: object) -> NoReturn:
        """Refuse to be looped over: Python would ask for item after item.

        Raises:
            TypeError: it names what can be looped over.
        """
        raise TypeError(f"a store cannot be looped over or indexed; {LOOPS}")

    def __aiter__(self) -> NoReturn:
        """Refuse to be looped over.

        Raises:
            TypeError: it names what can be looped over.
        """
        raise TypeError(f"a store cannot be looped over or indexed; {LOOPS}")

    def _buffer_of(
        self, kind: str, maxsize: int, overflow: BlockOr, name: str | None
    ) -> Buffer[Any]:
        may_block = kind in ("stream", "iteration")
        hold = self._holding() if may_block and overflow == "block" else None
        post, reporter = self._life.runtime.post, self._reporter

        def tell(buffer: Buffer[Any], burst: int) -> None:
            # Later: the log belongs to the user, and the buffer's lock is held.
            post(lambda: reporter.overflowed(_advice(buffer), burst, buffer.dropped))

        return Buffer(maxsize, overflow, self._buffers.name(kind, name), hold, tell)

    def _end_consumers(self) -> None:
        self.scheduler.end()
        self._buffers.let_go()


def _advice(buffer: Buffer[Any]) -> str:
    return (
        f"{buffer.name!r} is too slow: {count_of(buffer.dropped, 'value')} dropped so far; take "
        f"them faster, raise maxsize={buffer.maxsize}, or pass overflow='latest' if only the "
        "newest counts"
    )
