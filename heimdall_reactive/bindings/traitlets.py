"""Traitlets: a trait that follows an observable; so do the widgets of ipywidgets and anywidget.

Tried with traitlets 5.16, ipywidgets 8.1, anywidget 0.11, ipykernel 7.4.

Thread: traitlets has none; what observes a trait runs on the thread that sets it. Where an event
loop runs, as in a cell of a notebook, a trait is set on that loop and on no other thread; without
one it is set in place, on the thread that emits. A busy cell blocks the kernel's loop: the widgets
are not updated until it ends, and a store with `loop="thread"` keeps its connection.

Clean-up: `Widget.close()` sets the widget's `comm` to None, and that ends its bindings. A
`HasTraits` has no end; dispose of its bindings. Closing a browser's tab ends nothing: the kernel
and its widgets live on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from reactivex import Observable

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.extras import of_extra
from heimdall_reactive.connecting.runtime import running_loop
from heimdall_reactive.consuming.hops import loop_hop

from .binding import Binding, bind
from .scope import UiScope

with of_extra("traitlets"):
    from traitlets import HasTraits

__all__ = ["scope", "to_trait"]

T = TypeVar("T")

COMM: Final = "comm"  # the trait of a widget that is its line to the browser


def scope(owner: HasTraits, loop: asyncio.AbstractEventLoop | None = None) -> UiScope:
    """Return where the bindings of a widget, or of any `HasTraits`, live.

    Args:
        owner: a widget ends its bindings when it is closed.
        loop: where its traits are set; None is the loop that runs here, and none if none does.
            It is set at most 60 times a second: Jupyter's server drops what is more than 1000
            messages a second (`iopub_msg_rate_limit`), the last one too.
    """
    loop = loop or running_loop()
    if not owner.has_trait(COMM):
        return UiScope() if loop is None else UiScope(loop_hop(loop), clock=loop)

    def on_close(cleanup: Callable[[], None]) -> Callable[[], None]:
        def changed(change: Any) -> None:
            if change["new"] is None:
                cleanup()

        owner.observe(changed, COMM)
        return lambda: owner.unobserve(changed, COMM)

    def alive() -> bool:
        return getattr(owner, COMM) is not None

    if loop is None:
        return UiScope(None, on_close, alive)
    return UiScope(loop_hop(loop), on_close, alive, clock=loop)


def to_trait(
    source: Observable[T],
    owner: HasTraits,
    name: str = "value",
    *,
    select: Callable[[T], Any] | None = None,
    every: float | None = None,
    buffer: int = 1,
    on_error: Callable[[Exception], object] | None = None,
    within: UiScope | None = None,
) -> Binding:
    """Make a trait follow an observable, even a read-only one.

    For traitlets an equal value is not a change: neither observers of the trait nor a browser are
    notified. If equal messages count, `bind` your own function with `scope(owner)`.

    Args:
        source: a subject of a store, or any observable.
        owner: a widget, or any `HasTraits`.
        name: of the trait.
        select: what of a value the trait gets.
        every: seconds between two values at least, as for `bind`.
        buffer: values that may wait for the loop, as for `bind`.
        on_error: told what the trait refused (`TraitError`), in place of the report.
        within: where it is set and when that ends; None is `scope(owner)`.

    Returns:
        The binding; `dispose()` ends it, and so does closing the widget.

    Raises:
        ConfigurationError: there is no trait of this name, or `every` cannot work.
    """
    if not owner.has_trait(name):
        kind, names = type(owner).__name__, ", ".join(owner.trait_names())
        raise ConfigurationError(f"{kind} has no trait {name!r}; it has {names}")
    return bind(
        source,
        lambda value: owner.set_trait(name, value),
        within or scope(owner),
        select=select or (lambda value: value),
        distinct=select is not None and buffer == 1,  # as `bind` without a `select`
        every=every,
        buffer=buffer,
        on_error=on_error,
    )
