"""`ProviderCalls`: ask a provider of the user's within a time, on a thread where it may block."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

from heimdall_reactive.base.starting import Tasks, start_task

__all__ = ["ProviderCalls"]

Provider: TypeAlias = Callable[[], Any]


class Answer(NamedTuple):
    """What a provider returned or raised; asyncio's debug log shows the results of futures."""

    value: Any = None
    error: Exception | None = None

    def __repr__(self) -> str:
        return "<Answer>"


class ProviderCalls:
    """Asks providers, each by one call at a time.

    A provider that blocks forever costs one thread, not one an attempt: while an earlier call of
    it is still running, the next attempt waits for that to end before it asks again. What the
    earlier call returns is dropped: it was asked for by an attempt that was given up.
    """

    __slots__ = ("_running", "_tasks")

    def __init__(self) -> None:
        self._tasks = Tasks()
        # By the provider's identity; the provider is in it so that nobody else can have that.
        self._running: dict[int, tuple[Provider, asyncio.Future[Answer]]] = {}

    async def within(self, provider: Callable[[], Any], timeout: float) -> tuple[Any, str | None]:
        """Ask a provider; return its answer, or what became of it in words without a secret.

        The words are returned, not raised: an error raised while the provider's is handled would
        carry that along as context, and its text may quote what the provider was given.

        Args:
            provider: a sync one is called on a thread of its own.
            timeout: seconds.
        """
        task = self._tasks.start(self._ask(provider), "heimdall-ask")
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout)
        finally:
            # Not awaited: one that refuses to be cancelled must not hold the attempt.
            task.cancel()
        if not done:
            return None, f"gave no answer within {timeout} s"
        if task.cancelled():
            return None, "was cancelled"
        value, raised = task.result()
        return value, None if raised is None else f"raised {type(raised).__name__}"

    async def aclose(self, timeout: float) -> None:
        """Wait for calls that were cancelled; bounded, for one may refuse to be."""
        await self._tasks.wait(timeout)

    def forget(self) -> None:
        """Give up what ran on an event loop that is closed."""
        self._tasks.forget()
        self._running = {}

    async def _ask(self, provider: Callable[[], Any]) -> Answer:
        """Ask; what is raised is returned: nobody may be left to take it from a task."""
        try:
            return await self._answer(provider)
        except Exception as error:
            return Answer(error=error)

    async def _answer(self, provider: Callable[[], Any]) -> Answer:
        if (before := self._running.get(id(provider))) is not None:
            await asyncio.wait({before[1]})
        if inspect.iscoroutinefunction(provider):
            answer = Answer(provider())
        else:
            answer = await self._on_thread(provider)
        if inspect.isawaitable(asked := answer.value):
            running = start_task(_sealed(asked))
            # Cancelled before its first step, it leaves a coroutine that nobody awaited.
            running.add_done_callback(lambda _: _close(asked))
            self._note(provider, running)
            answer = await running
        return answer

    def _note(self, provider: Provider, running: asyncio.Future[Answer]) -> None:
        left = {key: each for key, each in self._running.items() if not each[1].done()}
        self._running = {**left, id(provider): (provider, running)}

    async def _on_thread(self, call: Callable[[], Any]) -> Answer:
        # Not `to_thread`: its pool is joined when the loop ends, and a provider that hangs would
        # keep the program from ending.
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Answer] = loop.create_future()
        context = contextvars.copy_context()

        def run() -> None:
            value: Any = None
            error: Exception | None = None
            try:
                value = context.run(call)
            except Exception as raised:
                error = raised if not isinstance(raised, StopIteration) else RuntimeError("stopped")
            except BaseException as raised:  # it would end the event loop
                error = RuntimeError(type(raised).__name__)
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set_result, Answer(value, error))

        self._note(call, ended)
        try:
            threading.Thread(target=run, name="heimdall-provider", daemon=True).start()
        except RuntimeError:  # there can be none, as in a browser: it has to block this one
            run()
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            ended.add_done_callback(_discard)
            raise


async def _sealed(awaitable: Awaitable[Any]) -> Answer:
    """Await an answer; what it raises is returned, see `ProviderCalls._ask`."""
    try:
        return Answer(await awaitable)
    except Exception as error:
        return Answer(error=error)


def _discard(ended: asyncio.Future[Answer]) -> None:
    """Drop a late answer."""
    if not ended.cancelled():
        _close(ended.result().value)


def _close(answer: Any) -> None:
    """Close an answer that may be a coroutine: it would warn that nobody awaited it."""
    if inspect.iscoroutine(answer):
        answer.close()
