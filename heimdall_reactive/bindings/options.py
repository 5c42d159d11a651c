"""The keyword options of the bindings, and what is wrong with arguments, in words for people."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypedDict

from reactivex import abc

from heimdall_reactive.base.checks import check_function, is_count
from heimdall_reactive.base.exceptions import ConfigurationError

from .scope import UiScope

__all__ = ["BindOptions", "OnError", "check", "check_functions", "check_observable"]

OnError = Callable[[Exception], object]


class BindOptions(TypedDict, total=False):
    """The keyword options of `bind` beside `select`; `bind` documents them."""

    distinct: bool | None
    every: float | None
    buffer: int
    immediate: bool
    on_error: OnError | None
    on_done: Callable[[], object] | None


def check_observable(source: object) -> None:
    """Refuse what cannot be observed.

    Raises:
        TypeError: it names what can.
    """
    if not isinstance(source, abc.ObservableBase):
        name = type(source).__name__
        raise TypeError(f"{name} is not an observable: take one of a store, as store.last_message")


def check_functions(**given: object) -> None:
    """Refuse what is not a plain function of a value, by its name.

    Raises:
        TypeError: as `check_function`.
    """
    for name, value in given.items():
        check_function(value, f"{name} must be a function of the value")


def check(
    source: object, setter: object, scope: object, every: float | None, buffer: object
) -> None:
    """Refuse what would fail later, on another thread, and in other words.

    Raises:
        TypeError: as for `bind`.
        ConfigurationError: as for `bind`.
    """
    check_observable(source)
    if inspect.iscoroutinefunction(setter):
        raise TypeError(
            "a coroutine function cannot be a setter: nobody would await it; "
            "iterate over values() in a task of your framework, or use store.on_each()"
        )
    check_functions(setter=setter)
    if not isinstance(scope, UiScope):
        name = type(scope).__name__
        raise TypeError(f"{name} is not a UiScope: pass scope(widget), of your adapter")
    if every is not None and (every < 0 or (every > 0 and scope.post is None)):
        raise ConfigurationError(
            f"every={every} must be 0 or more seconds, and needs a scope that posts"
        )
    if not is_count(buffer):
        raise ConfigurationError(f"buffer must be a whole number of 1 or more, not {buffer}")
