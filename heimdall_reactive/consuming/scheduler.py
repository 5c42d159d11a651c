"""`LoopScheduler`: an RxPY scheduler on a store's event loop, from any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from reactivex import abc, typing
from reactivex.disposable import SingleAssignmentDisposable
from reactivex.scheduler.periodicscheduler import PeriodicScheduler

from heimdall_reactive.connecting.runtime import Runtime

__all__ = ["LoopScheduler"]

S = TypeVar("S")


class LoopScheduler(PeriodicScheduler):
    """Runs actions on a store's event loop, at the loop's own time.

    Scheduling and disposing work from any thread and never wait. What was disposed of does not
    run, wherever that happened. What an action raises is reported. At the end of the store all
    timers are cancelled, and nothing is scheduled any more.

    Args:
        runtime: where the store runs.
        report: told of what an action raised.
    """

    def __init__(self, runtime: Runtime, report: Callable[[BaseException, str], None]) -> None:
        super().__init__()
        self.runtime = runtime
        self.ended = False
        self.timers: set[_Timer] = set()
        self._report = report
        self._began = runtime.wall() - runtime.time()

    @property
    def now(self) -> datetime:
        """The time in UTC: the wall clock when the store was made, and steady since then."""
        return self.to_datetime(self._began + self.runtime.time())

    def schedule(
        self, action: typing.ScheduledAction[S], state: S | None = None
    ) -> abc.DisposableBase:
        """Run an action soon on the loop."""
        return self.schedule_relative(0.0, action, state)

    def schedule_relative(
        self,
        duetime: typing.RelativeTime,
        action: typing.ScheduledAction[S],
        state: S | None = None,
    ) -> abc.DisposableBase:
        """Run an action on the loop after a time in seconds."""

        def run() -> abc.DisposableBase | None:
            try:
                return self.invoke_action(action, state)
            except Exception as error:
                self._report(error, "scheduler")
                return None

        timer = _Timer(self, self.to_seconds(duetime), run)
        if self.ended:
            timer.dispose()
        elif self.runtime.here():
            timer.arm()
        else:
            self.runtime.post(timer.arm)
        return timer

    def schedule_absolute(
        self,
        duetime: typing.AbsoluteTime,
        action: typing.ScheduledAction[S],
        state: S | None = None,
    ) -> abc.DisposableBase:
        """Run an action on the loop at a time."""
        ahead: timedelta = self.to_datetime(duetime) - self.now
        return self.schedule_relative(ahead, action, state)

    def end(self) -> None:
        """Cancel all timers; on the loop's thread."""
        self.ended = True
        for timer in tuple(self.timers):
            timer.dispose()


class _Timer(abc.DisposableBase):
    """One action that is to run."""

    def __init__(self, scheduler: LoopScheduler, seconds: float, run: Callable[[], Any]) -> None:
        self._scheduler = scheduler
        self._due = scheduler.runtime.time() + max(seconds, 0.0)
        self._soon = seconds <= 0
        self._run = run
        self._handle: asyncio.Handle | None = None
        self._inner = SingleAssignmentDisposable()  # what the action returned

    def arm(self) -> None:
        """Set the timer; on the loop's thread."""
        if self._inner.is_disposed or self._scheduler.ended:
            return
        loop = self._scheduler.runtime.loop
        self._scheduler.timers.add(self)
        if self._soon:
            self._handle = loop.call_soon(self._fire)
        else:
            self._handle = loop.call_at(self._due, self._fire)

    def dispose(self) -> None:
        """Run no more; from any thread, without waiting."""
        self._inner.dispose()
        if self._scheduler.runtime.here():
            self._cancel()
        elif not self._scheduler.ended:
            self._scheduler.runtime.post(self._cancel)

    def _cancel(self) -> None:
        self._scheduler.timers.discard(self)
        if self._handle is not None:
            self._handle.cancel()

    def _fire(self) -> None:
        self._scheduler.timers.discard(self)
        # An action may dispose of itself while it runs: then what it returned is disposed of too.
        if not self._inner.is_disposed and (returned := self._run()) is not None:
            self._inner.disposable = returned
