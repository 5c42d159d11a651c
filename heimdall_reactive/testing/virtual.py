"""Virtual time: an event loop that never waits for a timer, and `run` to test with it."""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar, TypeVarTuple

from heimdall_reactive.base.browser_limits import IN_BROWSER
from heimdall_reactive.base.exceptions import ConfigurationError

__all__ = ["Deadlock", "VirtualTimeLoop", "run"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SLICE: Final = 0.001  # real seconds between two looks whether a thread has ended
ROUNDS: Final = 100  # turns of the loop in which tasks may still end after the test's own
ASYNCIO: Final = str(Path(asyncio.__file__).parent)
POOL: Final = "asyncio_"  # threads of the loop's own pool: they idle forever, their calls count
NO_LOOP: Final = (
    "virtual time needs an event loop of its own, and a browser has one for all; run the test "
    "elsewhere, with ScriptedPeer(in_page=True)"
)
NO_SOCKETS: Final = "a VirtualTimeLoop opens no sockets; pass transport=ScriptedPeer()"


class Deadlock(RuntimeError):
    """The program waits, and nothing is left that could wake it."""


class _Selector(selectors.DefaultSelector):
    """Hands the decision what to do over to the loop, where the loop would wait."""

    def __init__(self, idle: Callable[[], list[Any]]) -> None:
        super().__init__()
        self._idle = idle

    def select(self, timeout: float | None = None) -> list[Any]:
        events = self.poll(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        return self._idle()

    def poll(self, seconds: float) -> list[Any]:
        """Wait really."""
        return super().select(seconds)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when nothing is ready.

    Threads run in real time. Before the clock jumps, a call in an executor and every thread that
    was started since the loop was made (a synchronous token provider's, for instance) may end and
    post its result: each is waited for, but in total no longer than `grace`, so that one that hangs
    costs a test one second, but does not block it. Sockets are refused: data from outside would
    always be too late.

    Args:
        start: initial time of the clock, in seconds.
        grace: real seconds that threads are waited for, in total.
        deadline: the clock does not pass this time: a `TimeoutError` ends the loop's run.

    Raises:
        ConfigurationError: Python runs in a browser.
    """

    def __init__(
        self, *, start: float = 0.0, grace: float = 1.0, deadline: float | None = None
    ) -> None:
        if IN_BROWSER:
            self._closed = True  # else its end would complain
            raise ConfigurationError(NO_LOOP)
        self._now = start
        self._began = time.time() - start
        self._slept = 0.0
        self._grace = grace
        self._deadline = deadline
        self._idlers: list[asyncio.Future[None]] = []
        self._calls: set[asyncio.Future[Any]] = set()
        self._waited: weakref.WeakKeyDictionary[object, float] = weakref.WeakKeyDictionary()
        self._elders = weakref.WeakSet(threading.enumerate())
        self._poll = _Selector(self._idle)
        super().__init__(self._poll)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def wall(self) -> float:
        """Return virtual seconds since the epoch, from the real time at which the loop was made."""
        return self._began + self._now

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: the wall clock advances, while this clock stops."""
        self._began += seconds
        self._slept += seconds

    def step_clock(self, seconds: float) -> None:
        """Set the machine's clock: the wall clock jumps, in either direction."""
        self._began += seconds

    def elapsed(self) -> float:
        """Return seconds that no step of the wall clock changes, those of a sleep included."""
        return self._now + self._slept

    @property
    def timers(self) -> list[asyncio.TimerHandle]:
        """The timers that are set, the next first."""
        scheduled: Iterable[asyncio.TimerHandle] = vars(self)["_scheduled"]
        return sorted(timer for timer in scheduled if not timer.cancelled())

    async def idle(self) -> None:
        """Return when nothing more happens without time passing."""
        waiting = self.create_future()
        self._idlers.append(waiting)
        await waiting

    def advance(self, seconds: float = 0.0) -> None:
        """Let virtual time pass, from code outside the loop, until all that is due has happened.

        Args:
            seconds: how long; 0 runs what can run now.
        """

        async def pass_time() -> None:
            if seconds > 0:
                await asyncio.sleep(seconds)
            await self.idle()

        self.run_until_complete(pass_time())

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call a function in a pool of threads; the clock stands still until it returns."""
        call = super().run_in_executor(executor, func, *args)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    async def create_connection(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there are no sockets here."""
        raise ConfigurationError(NO_SOCKETS)

    async def create_unix_connection(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there are no sockets here."""
        raise ConfigurationError(NO_SOCKETS)

    async def sock_connect(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there are no sockets here."""
        raise ConfigurationError(NO_SOCKETS)

    async def create_server(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there are no sockets here."""
        raise ConfigurationError(NO_SOCKETS)

    def _idle(self) -> list[Any]:
        """Do something about it that nothing is ready."""
        events = self._wait_for(self._busy)
        if events or self._wake_idlers():
            return events
        # `_run_once` has just taken the cancelled timers off the head.
        scheduled = vars(self)["_scheduled"]
        if scheduled and (due := scheduled[0].when()) < float("inf"):
            self._refuse_late(due)
            self._now = max(self._now, due)
            return events
        events = self._wait_for(self._others)
        if not events:
            raise Deadlock(f"deadlock: nothing will ever happen; {_describe(self)}")
        return events

    def _refuse_late(self, due: float) -> None:
        if self._deadline is not None and due > self._deadline:
            late, self._deadline = self._deadline, None  # what is cancelled now may take its time
            raise TimeoutError(f"not done at {late} virtual seconds; {_describe(self)}")

    def _wake_idlers(self) -> bool:
        idlers, self._idlers = self._idlers, []
        waiting = [idler for idler in idlers if not idler.done()]
        for idler in waiting:
            idler.set_result(None)
        return bool(waiting)

    def _wait_for(self, busy: Callable[[], list[object]]) -> list[Any]:
        """Wait really for what runs beside the loop; return what the selector says at the end."""
        while running := busy():
            began = time.monotonic()
            events = self._poll.poll(SLICE)
            spent = time.monotonic() - began
            for one in running:
                self._waited[one] = self._waited.get(one, 0.0) + spent
            if events:
                return events
        # Looked at after the threads: what they posted before their end is seen.
        return self._poll.poll(0)

    def _busy(self) -> list[object]:
        young = [thread for thread in self._threads() if thread not in self._elders]
        return self._patiently([*young, *self._calls])

    def _others(self) -> list[object]:
        return self._patiently([*self._threads(), *self._calls])

    def _patiently(self, running: Iterable[object]) -> list[object]:
        return [one for one in running if self._waited.get(one, 0.0) < self._grace]

    def _threads(self) -> list[threading.Thread]:
        me = threading.current_thread()
        return [
            thread
            for thread in threading.enumerate()
            if thread is not me and not thread.name.startswith(POOL)
        ]


def run(
    main: Callable[[], Awaitable[T]] | Awaitable[T],
    *,
    timeout: float | None = 3600.0,
    grace: float = 1.0,
) -> T:
    """Run a test on a fresh `VirtualTimeLoop`, and leave nothing behind.

    Args:
        main: the test: a coroutine function, or a coroutine.
        timeout: virtual seconds that it may take; None forever. A connected store pings
            forever, so with one, this ends a test that waits for nothing, and not `Deadlock`.
        grace: real seconds that a thread is waited for, see `VirtualTimeLoop`.

    Returns:
        What the test returns.

    Raises:
        TimeoutError: it took longer.
        Deadlock: it waits for what cannot come.
        AssertionError: it left tasks, or something raised in a callback of the loop.
    """
    failures: list[dict[str, Any]] = []

    def make() -> VirtualTimeLoop:
        loop = VirtualTimeLoop(grace=grace, deadline=timeout)
        loop.set_exception_handler(lambda _, context: failures.append(context))
        return loop

    try:
        with asyncio.Runner(loop_factory=make) as runner:
            result = runner.run(_watched(main))
    except BaseException as error:
        for failure in failures:
            error.add_note(f"before: {_words(failure)}")
        raise
    if failures:
        cause = failures[0].get("exception")
        raise AssertionError("; ".join(map(_words, failures))) from cause
    return result


async def _watched(main: Callable[[], Awaitable[T]] | Awaitable[T]) -> T:
    result = await (main() if callable(main) else main)
    for _ in range(ROUNDS):
        if len(asyncio.all_tasks()) == 1:
            break
        await asyncio.sleep(0)
    else:
        raise AssertionError(f"tasks left; {_describe(asyncio.get_running_loop())}")
    return result


def _words(context: dict[str, Any]) -> str:
    raised = context.get("exception")
    told = f": {type(raised).__name__}: {raised}" if raised is not None else ""
    return f"{context.get('message', 'an error in the event loop')}{told}"


def _describe(loop: asyncio.AbstractEventLoop) -> str:
    """Name the tasks that wait, and where."""
    me = asyncio.current_task(loop)
    waiting = sorted(
        f"{task.get_name()} in {_place(task)}"
        for task in asyncio.all_tasks(loop)
        if task is not me and not task.done()
    )
    return f"waiting tasks: {', '.join(waiting) or 'none'}"


def _place(task: asyncio.Task[Any]) -> str:
    """Return where a task waits: the innermost place that is not asyncio's own."""
    coroutine: Any = task.get_coro()
    place, known = "an unknown place", False
    while coroutine is not None:
        frame: FrameType | None = getattr(coroutine, "cr_frame", None)
        if frame is not None:
            code = frame.f_code
            ours = not code.co_filename.startswith(ASYNCIO)
            if ours or not known:
                place = f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
            known = known or ours
        coroutine = getattr(coroutine, "cr_await", None)
    return place
