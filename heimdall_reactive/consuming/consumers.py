"""`AsyncHandler`: a coroutine function that is called with each value, at its own pace."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import SingleAssignmentDisposable

from heimdall_reactive.base.checks import is_count, is_number
from heimdall_reactive.base.exceptions import ConfigurationError, HandlerCancelled
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.starting import start_task
from heimdall_reactive.base.stats import ConsumerStats
from heimdall_reactive.base.wake_up import Post, WakeUp
from heimdall_reactive.connecting.runtime import Runtime
from heimdall_reactive.reactive.bus import OnRaised

from .buffers import Buffer, Buffers

__all__ = ["AsyncHandler", "AsyncHandlers", "refuse_sync"]

E = TypeVar("E")

# What the annotation of a function says that returns an awaitable.
AWAITABLE: Final = ("Awaitable", "Coroutine", "Future", "Task", "Receipt", "Request", "Waiter")
HANDLER_GRACE: Final = 2.0  # seconds that calls may still take when the store closes
CANCEL_GRACE: Final = 1.0  # seconds that a call may take to end after it was cancelled


class AsyncHandlers:
    """The async handlers of a store: where they run, and how they end with it.

    Args:
        runtime: where the store runs.
        call_soon: calls on the store's event loop.
        report: notified of what a handler raised.
        buffers: where the counters are shown.
    """

    def __init__(
        self,
        runtime: Runtime,
        call_soon: Post,
        report: OnRaised,
        buffers: Buffers,
    ) -> None:
        self.runtime = runtime
        self.call_soon = call_soon
        self.report = report
        self.buffers = buffers
        self.tasks: dict[asyncio.Task[None], AsyncHandler[Any]] = {}
        self.ended = False
        self.used = False  # by any handler yet

    def forgo(self) -> None:
        """Do not wait at the end for the task that calls this: it waits for the end itself."""
        self.tasks.pop(asyncio.current_task(), None)  # type: ignore[arg-type]

    async def finish(self) -> None:
        """Let each handler go on with what waits for its grace, then cancel its calls."""
        began, loop = self.runtime.time(), asyncio.get_running_loop()
        # Again, because the last call of one may be what another one waits for.
        while busy := {
            handler
            for task, handler in self.tasks.items()
            if task.get_loop() is loop and not handler.ended
        }:
            await asyncio.gather(*(handler.finish(began) for handler in busy))
        self.ended = True


class AsyncHandler(abc.DisposableBase, Generic[E]):
    """One async handler; `dispose()` detaches it, and lets calls that run go on to their end.

    Args:
        source: whose values it is called with.
        call: the handler; what it raises is reported.
        buffer: what waits for it.
        concurrency: calls at a time, 1 or more; 1 keeps the order.
        handlers: those of the store.
        grace: seconds that calls may still take when the store closes.

    Raises:
        ConfigurationError: `concurrency` is not a number of calls, or `grace` not one of seconds.
    """

    def __init__(
        self,
        source: Observable[E],
        call: Callable[[E], Awaitable[object]],
        buffer: Buffer[E],
        concurrency: int,
        handlers: AsyncHandlers,
        grace: float = HANDLER_GRACE,
    ) -> None:
        if not is_count(concurrency):
            raise ConfigurationError(f"concurrency must be 1 or more calls, not {concurrency}")
        if not is_number(grace):
            raise ConfigurationError(f"grace must be a number of seconds, not {grace!r}")
        self._call = call
        self._buffer = buffer
        self._concurrency = concurrency
        self._handlers = handlers
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = WakeUp(self._start, handlers.call_soon)
        self._woken: asyncio.AbstractEventLoop | None = None
        self._failed = self.ended = self._feeds_itself = False
        self._grace = grace
        self._subscription = SingleAssignmentDisposable()
        handlers.used = True
        handlers.buffers.add(buffer)
        self._subscription.disposable = source.subscribe(self._put, self._on_error)

    @property
    def stats(self) -> ConsumerStats:
        """Return the counters as they are now; also after it was disposed of."""
        return self._buffer.stats()

    def __repr__(self) -> str:
        return glance(self, self.stats.words())

    def dispose(self) -> None:
        """Detach; what waits is forgotten. Idempotent, from any thread."""
        self._subscription.dispose()
        self._handlers.buffers.remove(self._buffer)
        self._buffer.clear()

    async def finish(self, began: float) -> None:
        """Go on with what waits for the grace, then cancel the calls and report what is lost."""
        deadline = began + self._grace
        while running := self._running():
            if (left := deadline - self._handlers.runtime.time()) <= 0:
                break
            await asyncio.wait(running, timeout=left)
        self.ended = True
        for task in running:
            task.cancel()
        if running:
            waiting = len(self._buffer)
            await asyncio.wait(running, timeout=CANCEL_GRACE)
            self._overflows()
            lost = HandlerCancelled(self._buffer.name, self._grace, len(running), waiting)
            self._handlers.report(lost, self._buffer.name)

    def _running(self) -> list[asyncio.Task[None]]:
        loop = asyncio.get_running_loop()
        return [
            task for task in self._tasks & self._handlers.tasks.keys() if task.get_loop() is loop
        ]

    def _put(self, value: E) -> None:
        self._buffer.put(value)
        if self._over:
            self._buffer.drop_all()
        elif self._handlers.runtime.here():
            self._start()
        else:
            self._wake_loop()

    def _on_error(self, error: Exception) -> None:
        """Tell that the source has ended; what it has given is still handled."""
        self._handlers.buffers.remove(self._buffer)
        self._handlers.report(error, self._buffer.name, True)

    @property
    def _over(self) -> bool:
        return self.ended or self._handlers.ended

    def _wake_loop(self) -> None:
        loop = self._handlers.runtime.loop
        if loop is not self._woken or loop.is_closed():
            self._woken = loop
            self._wake.reset()  # what was posted to a loop that has closed is lost
        self._wake.call()

    def _start(self) -> None:
        if self._over:
            return
        loop = self._handlers.runtime.loop
        if any(task.get_loop() is not loop for task in self._tasks):
            self._tasks.clear()  # the store had to leave a loop that was closed under them
        missing = self._concurrency - len(self._tasks)
        for _ in range(min(missing, len(self._buffer) or self._buffer.overflowed)):
            task = start_task(self._run(), f"heimdall-{self._buffer.name}", loop)
            self._tasks.add(task)
            self._handlers.tasks[task] = self
            task.add_done_callback(self._ended)

    async def _run(self) -> None:
        while not self._over:
            try:
                value = self._buffer.take()
            except IndexError:
                break
            try:
                await self._call(value)
            except Exception as error:
                self._buffer.fail()
                self._report(error)
            except asyncio.CancelledError as error:
                self._buffer.fail()
                if _is_cancelled():
                    raise
                self._report(error)  # of something that it awaited
        if self._overflows():
            self.dispose()

    def _report(self, error: BaseException) -> None:
        """Report what a call raised; where that comes back to it as a value, in the log only."""
        waiting = len(self._buffer)
        self._handlers.report(error, "errors" if self._feeds_itself else self._buffer.name)
        self._feeds_itself = self._feeds_itself or len(self._buffer) > waiting

    def _overflows(self) -> bool:
        """Report once that an `error` buffer had no room; return whether it is reported now."""
        if not self._buffer.overflowed or self._failed:
            return False
        self._failed = True
        self._handlers.report(self._buffer.overflow_error(), self._buffer.name)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._handlers.tasks.pop(task, None)
        if self._over:
            self._buffer.drop_all()
        elif self._buffer:  # it was cancelled, or something came just as it ended
            self._start()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def refuse_sync(call: Callable[..., object]) -> None:
    """Refuse a function that is surely not async: its result could not be awaited.

    A lambda, an object that can be called and a function that is annotated to return something
    awaitable may do so, and are tried.

    Raises:
        TypeError: it says where a sync function goes.
    """
    plain = inspect.unwrap(call)
    while isinstance(plain, functools.partial):
        plain = inspect.unwrap(plain.func)
    if inspect.iscoroutinefunction(plain) or inspect.iscoroutinefunction(call):
        return
    function = plain.__func__ if isinstance(plain, MethodType) else plain
    if not callable(call) or isinstance(function, BuiltinFunctionType):
        says_so = False
    elif isinstance(function, FunctionType) and function.__name__ != "<lambda>":
        returns = str(function.__annotations__.get("return", None))
        says_so = any(word in returns for word in AWAITABLE)
    else:
        return
    if not says_so:
        name = getattr(call, "__qualname__", repr(call))
        raise TypeError(
            f"{name} is not async, so it cannot be awaited; use store.messages.subscribe({name}), "
            "or define it by `async def`"
        )
