"""Read something every so many seconds, on the event loop of a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import reactivex
from reactivex import Observable
from reactivex.abc import SchedulerBase

from heimdall_reactive.base.exceptions import ConfigurationError

from .source import Derived, Hot

__all__ = ["every", "until_end_of"]

T = TypeVar("T")


def every(
    seconds: float, read: Callable[[], T], scheduler: SchedulerBase, lives: Observable[Any]
) -> Observable[T]:
    """Return what is read, again and again; each observer has a timer of its own.

    Args:
        seconds: between two readings, and before the first.
        read: reads it.
        scheduler: where.
        lives: an observable; when it completes there is nothing more to read.

    Raises:
        ConfigurationError: the seconds are not more than 0.
    """
    if not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
        raise ConfigurationError(f"a period must be more than 0 seconds, not {seconds!r}")
    from reactivex import operators as ops  # all of them: few programs need that

    ticks = reactivex.interval(seconds, scheduler=scheduler)
    return until_end_of(lives, ticks.pipe(ops.map(lambda _: read())))


def until_end_of(lives: Observable[Any], source: Observable[T]) -> Observable[T]:
    """Complete an observable when another one does."""
    from reactivex import operators as ops

    end = reactivex.concat(lives.pipe(ops.ignore_elements()), reactivex.just(None))
    words = source._words() if isinstance(source, Hot) else "of a store"
    return Derived(source.pipe(ops.take_until(end)), words)
