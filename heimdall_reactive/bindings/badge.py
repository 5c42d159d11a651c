"""`badge`: the connection as a person reads it, with the seconds until the next attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import reactivex
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, SerialDisposable

from heimdall_reactive.base.exceptions import ConfigurationError, one_line
from heimdall_reactive.base.state import (
    TONES,
    ConnectionState,
    Status,
    Tone,
    in_words,
    seconds_left,
)
from heimdall_reactive.reactive.source import Derived

__all__ = ["Badge", "Badged", "Tone", "badge", "badge_now", "badge_of"]

LONGEST: Final = 200  # characters of an error: a badge is one line


@dataclass(frozen=True, slots=True)
class Badge:
    """What a status badge shows.

    Attributes:
        text: such as `connected`, or `reconnecting in 3 s (attempt 2)`; that of `failed` has the
            reason, too.
        tone: for the colour.
        status: the phase.
        seconds: until the next attempt, rounded up, while `waiting`.
        reason: what the last connection or attempt failed of, on one line; empty while connected.
    """

    text: str
    tone: Tone
    status: Status
    seconds: int | None = None
    reason: str = ""

    @property
    def online(self) -> bool:
        """Whether what is sent now goes out now."""
        return self.status is Status.CONNECTED

    def __str__(self) -> str:
        return self.text

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        """Show the text in Rich and Textual, without markup: it may quote the server."""
        yield console.render_str(self.text, markup=False, emoji=False, highlight=False)


class Badged(Protocol):
    """What a badge is made of: every store has it."""

    @property
    def state(self) -> Any: ...  # noqa: D102 - see `WebSocketStore`
    @property
    def scheduler(self) -> Any: ...  # noqa: D102 - a `LoopScheduler`; Any as it is a cached one


def badge_of(state: ConnectionState, now: float) -> Badge:
    """Return the badge of a state.

    Args:
        state: of a store.
        now: seconds since the epoch.
    """
    text, status = in_words(state, now), state.status
    reason = "" if state.error is None else one_line(str(state.error), LONGEST)
    if status is Status.FAILED and reason:
        text = f"{text}: {reason}"
    return Badge(text, TONES[status], status, seconds_left(state, now), reason)


def badge_now(store: Badged) -> Badge:
    """Return the badge of a store as it is now."""
    return badge_of(store.state.value, _wall(store))


def badge(store: Badged) -> Observable[Badge]:
    """Return a store's badge: one at once, then one a change, and one a second while it waits.

    Args:
        store: whose connection it shows. The seconds are counted on its own loop.

    Raises:
        ConfigurationError: it is the view of a store, which has no timers.
    """
    if not hasattr(store, "scheduler"):
        raise ConfigurationError(
            f"{type(store).__name__} has no timers to count seconds by: "
            "give badge() the store itself, bind() brings it to your thread"
        )

    def subscribe(
        observer: abc.ObserverBase[Badge], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        timer = SerialDisposable()
        tell = _teller(store, observer, timer)
        return CompositeDisposable(
            store.state.subscribe(tell, observer.on_error, observer.on_completed), timer
        )

    return Derived(reactivex.create(subscribe), "badge")


def _teller(
    store: Badged, observer: abc.ObserverBase[Badge], timer: SerialDisposable
) -> Callable[[ConnectionState], None]:
    def tell(state: ConnectionState) -> None:
        now = _wall(store)
        shown = badge_of(state, now)
        timer.disposable = None
        if state.retry_at is not None and shown.seconds is not None and shown.seconds > 1:
            ahead = state.retry_at - now - (shown.seconds - 1)  # when one second less is left
            timer.disposable = store.scheduler.schedule_relative(ahead, again)
        observer.on_next(shown)

    def again(_: object, __: object = None) -> None:
        tell(store.state.value)

    return tell


def _wall(store: Badged) -> float:
    # Not the scheduler's time, which is steady: `retry_at` is by the wall clock, and the two part
    # where the machine sleeps or the clock is set.
    return float(store.scheduler.runtime.wall())
