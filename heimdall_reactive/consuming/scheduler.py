"""RxPY schedulers for any thread: what they have in common, and the one on a store's event loop."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NoReturn, TypeVar

from reactivex import abc, typing
from reactivex.disposable import SingleAssignmentDisposable
from reactivex.scheduler import timeoutscheduler
from reactivex.scheduler.periodicscheduler import PeriodicScheduler

from heimdall_reactive.base.browser_limits import IN_BROWSER
from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.printable import count_of
from heimdall_reactive.base.starting import call_at
from heimdall_reactive.connecting.runtime import Runtime
from heimdall_reactive.reactive.bus import OnRaised

__all__ = ["LoopScheduler", "ReportingScheduler"]

S = TypeVar("S")

NO_TIMER: Final = (
    "a timed operator of RxPY without a scheduler starts a thread, and browsers have none for "
    "Python; pass scheduler=store.scheduler, as in ops.delay(1.0, scheduler=store.scheduler)"
)


def no_timer(*_: Any) -> NoReturn:
    """Say what to do where RxPY would start a thread for its timers."""
    raise ConfigurationError(NO_TIMER)


if IN_BROWSER:  # what this takes the place of can only raise there, and says less
    setattr(timeoutscheduler, "Timer", no_timer)  # noqa: B010 - its type is a class


class ReportingScheduler(PeriodicScheduler):
    """Base of schedulers that report what an action raises, and have one way to schedule.

    A subclass has `schedule_relative`.

    Args:
        report: notified of what an action raised.
    """

    def __init__(self, report: Callable[[BaseException], None]) -> None:
        super().__init__()
        self._report = report

    def schedule(
        self, action: typing.ScheduledAction[S], state: S | None = None
    ) -> abc.DisposableBase:
        """Run an action soon."""
        return self.schedule_relative(0.0, action, state)

    def schedule_absolute(
        self,
        duetime: typing.AbsoluteTime,
        action: typing.ScheduledAction[S],
        state: S | None = None,
    ) -> abc.DisposableBase:
        """Run an action at a time."""
        return self.schedule_relative(self.to_datetime(duetime) - self.now, action, state)

    def _guarded(
        self,
        action: typing.ScheduledAction[S],
        state: S | None,
        inner: SingleAssignmentDisposable,
    ) -> Callable[[], None]:
        """Return what runs an action unless `inner` is disposed of, which gets what it returns."""

        def run() -> None:
            if inner.is_disposed:
                return
            try:
                # An action may dispose of itself while it runs: then what it returned is, too.
                inner.disposable = self.invoke_action(action, state)
            except (Exception, CancelledError) as error:
                self._report(error)

        return run


class LoopScheduler(ReportingScheduler):
    """Runs actions on a store's event loop, at the loop's own time.

    Scheduling and disposing work from any thread and never wait. What was disposed of does not
    run, wherever that happened. What an action raises is reported. At the end of the store all
    timers are cancelled, and nothing is scheduled any more.

    Args:
        runtime: where the store runs.
        report: notified of what an action raised.
    """

    def __init__(self, runtime: Runtime, report: OnRaised) -> None:
        super().__init__(lambda error: report(error, "scheduler", True))
        self.runtime = runtime
        self.ended = False
        self.timers: set[_Timer] = set()
        self._began = runtime.wall() - runtime.time()

    def __repr__(self) -> str:
        return glance(self, f"{count_of(len(self.timers), 'timer')}{', ended' * self.ended}")

    @property
    def now(self) -> datetime:
        """The time in UTC: the wall clock when the store was made, and steady since then."""
        return self.to_datetime(self._began + self.runtime.time())

    def schedule_relative(
        self,
        duetime: typing.RelativeTime,
        action: typing.ScheduledAction[S],
        state: S | None = None,
    ) -> abc.DisposableBase:
        """Run an action on the loop after a time in seconds."""
        inner = SingleAssignmentDisposable()
        run = self._guarded(action, state, inner)
        timer = _Timer(self, self.to_seconds(duetime), inner, run)
        if self.ended:
            timer.dispose()
        elif self.runtime.here():
            timer.arm()
        else:
            self.runtime.post(timer.arm)
        return timer

    def end(self) -> None:
        """Cancel all timers; on the loop's thread."""
        self.ended = True
        for timer in tuple(self.timers):
            timer.dispose()


class _Timer(abc.DisposableBase):
    """One action that is to run."""

    def __init__(
        self,
        scheduler: LoopScheduler,
        seconds: float,
        inner: SingleAssignmentDisposable,
        run: Callable[[], None],
    ) -> None:
        self._scheduler = scheduler
        self._due = scheduler.runtime.time() + max(seconds, 0.0)
        self._soon = seconds <= 0
        self._inner = inner
        self._run = run
        self._handle: asyncio.Handle | None = None

    def arm(self) -> None:
        """Set the timer; on the loop's thread."""
        if self._inner.is_disposed or self._scheduler.ended:
            return
        loop = self._scheduler.runtime.loop
        self._scheduler.timers.add(self)
        if self._soon:
            self._handle = loop.call_soon(self._fire)
        else:
            self._handle = call_at(loop, self._due, self._fire)

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
        self._run()
