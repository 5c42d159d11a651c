"""Reacton, and Solara over it: hooks, as React has them.

Tried with reacton 1.9 and 1.11, solara-ui 1.64, ipywidgets 8.1.

Thread: any thread may set the state of a component, and then renders it. A socket's thread must not
do that, and in Solara's server it must not either way: outside of its user's kernel context the
first render that makes a widget fails (`AssertionError`). So changes are gathered, at most 60 times
a second for each render context, and set on the event loop where one runs, as in a notebook. In
Solara's server, and where no loop runs, a thread does it that ends soon after, inside the user's
kernel context; a page of Solara 20 times a second at most, and less often with more tabs. It is not
the loop that Solara runs components on: that one ends when a browser reconnects, and the components
go on.

Clean-up: a component that is unmounted, also by a closed tab, ends what its hooks observe, and the
store that it made. Solara keeps the components of a tab that was lost without a goodbye for
`SOLARA_KERNEL_CULL_TIMEOUT`, 24 hours by default.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar, Unpack, cast, overload

from reactivex import Observable
from reactivex import operators as ops

from heimdall_reactive import WebSocketStore
from heimdall_reactive.base.extras import of_extra
from heimdall_reactive.base.options import OptionsDict
from heimdall_reactive.connecting.runtime import LoopOption
from heimdall_reactive.consuming.hops import Hop

from .badge import Badge, badge, badge_now
from .binding import bind_batch
from .component_store import ComponentStore, WebSocketValues
from .render_queue import render_queue_of
from .scope import UiScope
from .selecting import same
from .snapshots import external_store

with of_extra("reacton"):
    import reacton
    from reacton.core import get_render_context

__all__ = ["WebSocketValues", "use_badge", "use_history", "use_subject", "use_websocket"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")
D = TypeVar("D")


class Valued(Protocol[T_co]):
    """A subject with a value at any time, as every subject of a store."""

    @property
    def value(self) -> T_co: ...
    @property
    def subscribe(self) -> Any: ...


@overload
def use_subject(source: Valued[T], select: None = None, *, every: float = 0) -> T: ...
@overload
def use_subject(source: Valued[T], select: Callable[[T], R], *, every: float = 0) -> R: ...
@overload
def use_subject(
    source: Observable[T], select: None = None, *, initial: D, every: float = 0
) -> T | D: ...
@overload
def use_subject(
    source: Observable[T], select: Callable[[T], R], *, initial: D, every: float = 0
) -> R | D: ...
def use_subject(
    source: Any,
    select: Callable[[Any], Any] | None = None,
    *,
    initial: Any = None,
    every: float = 0,
) -> Any:
    """Return the value of a subject, and render the component again when it changes.

    Args:
        source: a subject of a store, `latest_by`, `window`, or any observable. One that is made
            while rendering has to be kept: `use_memo(lambda: store.messages_of(Ban), [store])`.
        select: what of the value is shown: an equal one renders nothing again. It may be another
            function at each render. Without it every emission renders, two equal messages too.
        initial: returned until a source without a `value` has emitted.
        every: seconds between two renders for this at least, such as 1/20 for a page with
            much on it; 0 is each turn, of which there are 60 a second at most.

    Raises:
        ConfigurationError: `every` is less than 0.
    """
    watched = reacton.use_memo(lambda: _Watched(source, _turns(), every), [source, every])
    render = _use_render()
    value = watched.read()
    shown = initial if value is NOTHING else value if select is None else select(value)
    committed = (value, select, shown)

    def attach() -> Callable[[], None]:
        end = watched.subscribe(lambda: watched.changed() and render())
        if watched.read() is not watched.committed[0]:
            render()
        return end

    reacton.use_effect(lambda: setattr(watched, "committed", committed))
    reacton.use_effect(attach, [watched])
    return shown


def use_history(source: Observable[T], count: int, *, every: float = 0) -> tuple[T, ...]:
    """Return the last values of an observable, the newest at the end; every one of them, in order.

    Args:
        source: such as `store.messages`, or `store.history(n)` for those before the mount, kept by
            `use_memo`.
        count: how many. What comes within one frame beyond them is not seen.
        every: as for `use_subject`.

    Raises:
        ConfigurationError: `count` is not a whole number of 1 or more, or `every` is less than 0.
    """
    shown, show = reacton.use_state(cast("tuple[T, ...]", ()))
    turns = _turns()

    def follow() -> Callable[[], None]:
        kept: deque[T] = deque(maxlen=count)

        def add(values: list[T]) -> None:
            kept.extend(values)
            show(tuple(kept))

        show(())
        return bind_batch(source, add, UiScope(turns, every=every), buffer=count).dispose

    reacton.use_effect(follow, [source, count, every])
    return shown


def use_badge(store: WebSocketStore[Any]) -> Badge:
    """Return the badge of a store; while it waits, the component is rendered each second."""
    source = reacton.use_memo(lambda: badge(store), [store])
    return use_subject(source, initial=badge_now(store))


@overload
def use_websocket(store: WebSocketStore[T], /) -> WebSocketValues[T]: ...
@overload
def use_websocket(
    factory: Callable[[], WebSocketStore[T]], /, *deps: object
) -> WebSocketValues[T]: ...
@overload
def use_websocket(
    endpoint: str,
    /,
    *deps: object,
    message_type: type[T],
    loop: LoopOption = "thread",
    **options: Unpack[OptionsDict],
) -> WebSocketValues[T]: ...
@overload
def use_websocket(
    endpoint: str,
    /,
    *deps: object,
    message_type: Any = None,
    loop: LoopOption = "thread",
    **options: Unpack[OptionsDict],
) -> WebSocketValues[Any]: ...
def use_websocket(endpoint: Any, /, *deps: object, **options: Any) -> WebSocketValues[Any]:
    """Use a WebSocket in a component.

    With an endpoint or a factory the component has a store of its own: made by its first render,
    connected when it is mounted, kept over its renders, closed when it is unmounted. That does not
    wait for the closing handshake. A store is only observed, and stays as it is.

    Args:
        endpoint: a path or URL; or a function that makes the store; or a store from elsewhere.
        *deps: another store is made when one of them changes; with a factory they alone decide.
        **options: as for `heimdall_reactive.use_websocket`. Another endpoint or option makes
            another store; functions are equal where their code and what they close over is. The
            default of `loop` is `thread`: the loop of a Solara component ends with its browser's
            connection, and the one of a notebook stands still while a cell runs.

    Raises:
        ConfigurationError: an option cannot work, or does not go with a store or a factory.
    """
    isolated = callable(endpoint) and deps
    key = [deps] if isolated else [endpoint, deps, options]
    held = reacton.use_memo(lambda: ComponentStore(endpoint, options, _turns()), key)
    render = _use_render()
    values: WebSocketValues[Any] = WebSocketValues(held.store, held.used)
    reacton.use_effect(lambda: held.commit(values, render))
    reacton.use_effect(held.mount, [held])
    return values


# Inside


class _NotSet:
    """No value yet."""


NOTHING: Final = _NotSet()


class _Watched:
    """A source as `useSyncExternalStore` wants it, and what of it was rendered.

    Attributes:
        committed: value, `select` and selection of the newest render that is seen.
    """

    def __init__(self, source: Any, turns: Hop, every: float) -> None:
        self._valued = hasattr(source, "value")
        boxed = source if self._valued else source.pipe(ops.map(lambda value: (value,)))
        self.subscribe, self._get = external_store(boxed, None, turns, every=every)
        self.committed: tuple[Any, Callable[[Any], Any] | None, Any] = (NOTHING, None, None)

    def read(self) -> Any:
        value = self._get()
        if self._valued:
            return value
        return NOTHING if value is None else value[0]

    def changed(self) -> bool:
        _, select, shown = self.committed
        return select is None or not same(select(self.read()), shown)


def _use_render() -> Callable[[], None]:
    _, count = reacton.use_state(0)
    return lambda: count(lambda before: before + 1)


def _turns() -> Hop:
    """Return the hop to the tree of the component that is rendered."""
    return render_queue_of(get_render_context())
