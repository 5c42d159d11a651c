"""Marbles over virtual time: what a peer does, what an observable emits, and RxPY's own tests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby
from json import dumps
from typing import Any, Final, NamedTuple, NoReturn

from reactivex import Notification, Observable
from reactivex.notification import OnError, OnNext
from reactivex.observable.marbles import parse
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.testing import Recorded, TestScheduler

from heimdall_reactive.base.exceptions import ConfigurationError

__all__ = ["Cue", "LoopTestScheduler", "MarbleRecord", "cues", "expect_marbles", "record_marbles"]

DIGITS: Final = 6  # of a second: RxPY's schedulers reckon in microseconds
NAME: Final = re.compile(r"[^-,()#|\s]+")


class LoopTestScheduler(AsyncIOScheduler, TestScheduler):
    """A `TestScheduler` whose clock is that of an event loop: one second is one tick.

    For operators that take a scheduler, as in `ops.debounce(1.0, scheduler=scheduler)`, and for
    `create_hot_observable`, `create_cold_observable` and `create_observer`. The clock shows 0 when
    the scheduler is made, and passes as the loop's does: in virtual time, by waiting.

    Args:
        loop: the loop; None takes the running one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(asyncio.get_running_loop() if loop is None else loop)
        self._began = self._loop.time()

    @property
    def clock(self) -> float:
        """Seconds since the scheduler was made."""
        return round(self._loop.time() - self._began, DIGITS)

    @property
    def now(self) -> datetime:
        """The same as a time after 1970."""
        return self.to_datetime(self.clock)

    def start(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: the loop's clock is not this scheduler's to move."""
        raise ConfigurationError("time passes on the event loop: await asyncio.sleep(seconds)")

    advance_to = advance_by = sleep = start


class MarbleRecord:
    """What an observable emitted, and when; made by `record_marbles`.

    Attributes:
        messages: `Recorded` notifications, with seconds since the subscription.
    """

    def __init__(self, source: Observable[Any], scheduler: LoopTestScheduler) -> None:
        observer = scheduler.create_observer()
        self.messages: list[Recorded[Any]] = observer.messages
        # Operators without a scheduler of their own take that of the subscription.
        self._subscription = source.subscribe(observer, scheduler=scheduler)

    def marbles(self, values: Mapping[str, Any] | None = None, *, step: float = 1.0) -> str:
        """Draw it as a marble diagram, from the subscription to the last notification.

        Args:
            values: names of values; a value without a name is drawn as its text.
            step: seconds of one character.

        Raises:
            ConfigurationError: a notification has no room at its time, or a value no name.
        """
        drawn = ""
        for at, group in groupby(self.messages, key=lambda message: message.time):
            marks = [_mark(message.value, values or {}) for message in group]
            gap = round(at / step) - len(drawn)
            if gap < 0 or abs(at / step - round(at / step)) > step / 100:
                raise ConfigurationError(
                    f"{', '.join(marks)} at {at} s has no place behind {drawn!r} where a step is "
                    f"{step} s; take a smaller step or shorter names, or compare `messages`"
                )
            drawn += "-" * gap + (marks[0] if len(marks) == 1 else f"({','.join(marks)})")
        return drawn

    def dispose(self) -> None:
        """Record no more."""
        self._subscription.dispose()

    def __repr__(self) -> str:
        return f"<MarbleRecord {self.messages}>"


def record_marbles(
    source: Observable[Any], *, loop: asyncio.AbstractEventLoop | None = None
) -> MarbleRecord:
    """Subscribe to an observable, and record what it emits and when.

    Operators in it that were given no scheduler run on the loop's clock.

    Args:
        source: a store's observable, or a pipeline made of it.
        loop: whose clock counts; None takes the running loop.
    """
    return MarbleRecord(source, LoopTestScheduler(loop))


def expect_marbles(
    marbles: str,
    values: Mapping[str, Any] | None = None,
    *,
    step: float = 1.0,
    error: Exception | None = None,
) -> list[Recorded[Any]]:
    """Return the notifications that a marble diagram describes: compare with `record.messages`.

    Args:
        marbles: as RxPY reads it: `-` is a step, `|` the end, `#` an error, `(a,b)` both at the
            time of the bracket. Every character takes a step, those of names and brackets too.
        values: what the names stand for; another name stands for itself, a number for a number.
        step: seconds of one character.
        error: what `#` stands for.

    Raises:
        ValueError: it is not a marble diagram.
    """
    named: dict[str | float, Any] = dict((values or {}).items())
    messages = parse(marbles, step, lookup=named, error=error)
    return [Recorded(_seconds(at), notification) for at, notification in messages]


class Cue(NamedTuple):
    """One thing that a peer does at its time.

    Attributes:
        at: seconds after the start.
        name: `send`, or the name of a method of `Link` without arguments.
        value: what is sent.
    """

    at: float
    name: str
    value: Any


def cues(
    marbles: str, values: Mapping[str, Any], step: float, commands: frozenset[str]
) -> Iterator[Cue]:
    """Read a marble diagram as a peer's script; the last cue is the diagram's end.

    Raises:
        ConfigurationError: a name is neither a value nor a command.
        ValueError: it is not a marble diagram.
    """
    named: dict[str | float, _Value] = {name: _Value(value) for name, value in values.items()}
    for at, notification in parse(marbles, step, lookup=named):
        yield Cue(_seconds(at), *_action(notification, commands))
    yield Cue(_seconds(len(marbles.replace(" ", "")) * step), "", None)


class _Value(NamedTuple):
    """A value that has a name, so that no value is taken for a command."""

    value: Any


def _action(notification: Notification[Any], commands: frozenset[str]) -> tuple[str, Any]:
    if not isinstance(notification, OnNext):
        return ("drop" if isinstance(notification, OnError) else "close"), None
    value = notification.value
    if isinstance(value, _Value):
        return "send", value.value
    if value in commands:
        return value, None
    if isinstance(value, str) and len(value) > 1:
        known = ", ".join(sorted(commands))
        raise ConfigurationError(f"{value!r} is not a name of a value, and none of {known}")
    return "send", dumps(value)  # a message in itself: a str would be sent as it is


def _mark(notification: object, values: Mapping[str, Any]) -> str:
    if not isinstance(notification, OnNext):
        return "#" if isinstance(notification, OnError) else "|"
    value = notification.value
    name = next((name for name, named in values.items() if named == value), str(value))
    if not NAME.fullmatch(name):
        raise ConfigurationError(f"{value!r} cannot be drawn; give it a name in `values`")
    return name


def _seconds(at: Any) -> Any:  # RxPY calls its ticks int, and computes with any number
    return round(float(at), DIGITS)
