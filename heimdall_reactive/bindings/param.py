"""param: a parameter, or a reactive expression, that follows an observable; in Panel too.

Tried with param 2.4 alone, and with Panel 1.9.

Thread: param has none; watchers run on the thread that sets a parameter. In a session of a Panel
server a parameter is set by `doc.add_next_tick_callback`, which holds the document's lock;
elsewhere on the event loop that runs where the binding is made, as in a notebook; and without one
in place, on the thread that emits.

Clean-up: the end of a Panel session ends the bindings that were made in it. A `Parameterized` has
no end; dispose of its bindings. What `to_rx` returns ends with its last user.

Panel is not imported here: where the program has not done so, there is no session.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

from reactivex import Observable

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.extras import of_extra
from heimdall_reactive.connecting.runtime import running_loop
from heimdall_reactive.consuming.hops import loop_hop

from .binding import Binding, bind
from .frames import Cancellable, Clock, timer
from .pages import WEB_FRAME, PageClock
from .scope import UiScope

with of_extra("param"):
    import param

__all__ = ["scope", "to_param", "to_rx"]

T = TypeVar("T")
Cleanup = Callable[[], None]

# The clean-ups of each Panel session: a document takes them, and has no way to take them back.
_sessions: weakref.WeakKeyDictionary[Any, dict[object, Cleanup]] = weakref.WeakKeyDictionary()
_clocks: weakref.WeakKeyDictionary[Any, PageClock] = weakref.WeakKeyDictionary()

ANSWER = """
const answer = () => { cb_obj.tags = [cb_obj.name] }
if (cb_obj.tags.length) requestAnimationFrame(answer); else answer()
"""


def scope() -> UiScope:
    """Return where bindings made here live: a Panel session, an event loop, or in place.

    A binding sets its parameter at most 20 times a second in a session, 60 times on another event
    loop: Jupyter drops what is more than 1000 messages a second.
    """
    document, loop = _document(), running_loop()
    if document is None:
        return UiScope() if loop is None else UiScope(loop_hop(loop), clock=loop)
    clock = _clock_of(document, _SessionClock(document, loop or timer))

    def post(call: Cleanup) -> None:
        if clock.goes_here():
            clock.turn(call)
        else:
            document.add_next_tick_callback(lambda: clock.turn(call))

    def on_close(cleanup: Cleanup) -> Cleanup:
        return _at_end_of_session(document, cleanup)

    return UiScope(post, on_close, every=WEB_FRAME, clock=clock)


def to_param(
    source: Observable[T],
    owner: param.Parameterized,
    name: str = "value",
    *,
    select: Callable[[T], Any] | None = None,
    buffer: int = 1,
    on_error: Callable[[Exception], object] | None = None,
    within: UiScope | None = None,
) -> Binding:
    """Let a parameter follow an observable; a constant one too.

    To param an equal value is a change only for watchers with `onlychanged=False`.

    Args:
        source: a subject of a store, or any observable.
        owner: a `Parameterized`, such as every widget and pane of Panel.
        name: of the parameter.
        select: what of a value the parameter gets.
        buffer: values that may wait for the loop, as for `bind`.
        on_error: told what the parameter refused (`ValueError`), in place of the report.
        within: where it is set and when that ends; None is `scope()`.

    Returns:
        The binding; `dispose()` ends it, and so does the end of the Panel session.

    Raises:
        ConfigurationError: there is no parameter of this name.
    """
    if name not in owner.param:
        kind, names = type(owner).__name__, ", ".join(owner.param)
        raise ConfigurationError(f"{kind} has no parameter {name!r}; it has {names}")
    return _follow(source, _setter(owner, name), within, select, buffer, on_error)


def to_rx(
    source: Observable[T],
    *,
    select: Callable[[T], Any] | None = None,
    buffer: int = 1,
    on_error: Callable[[Exception], object] | None = None,
    within: UiScope | None = None,
) -> Any:
    """Return a reactive expression of `param` that follows an observable.

    It is what Panel's components take in place of a value: `pn.pane.Str(to_rx(...))`. It follows
    as long as somebody holds it, or an expression or a component made of it. A pane of Panel takes
    a text for HTML, `Str` too: what a server sends goes through `html.escape`.

    Args:
        source: a subject of a store, or any observable.
        select: what of a value it is; see `to_param` for the rest.
        buffer: values that may wait for the loop.
        on_error: told what a watcher or `select` raised, in place of the report.
        within: where it is set and when that ends.

    Returns:
        A `param.rx`.
    """
    holder = _Holder()  # type: ignore[no-untyped-call]
    there = weakref.ref(holder)

    def show(value: Any) -> None:
        if (kept := there()) is not None:
            kept.value = value

    binding = _follow(source, show, within, select, buffer, on_error)
    weakref.finalize(holder, binding.dispose).atexit = False
    return holder.param.value.rx()


class _SessionClock:
    """A clock that calls in a session, with the lock of its document."""

    def __init__(self, document: Any, clock: Clock) -> None:
        self._document = weakref.ref(document)
        self._clock = clock

    def time(self) -> float:
        return self._clock.time()

    def call_later(self, delay: float, callback: Cleanup, /) -> Cancellable:
        return self._clock.call_later(delay, lambda: self._call(callback))

    def _call(self, callback: Cleanup) -> None:
        document = self._document()
        if document is not None and document in _clocks:  # or its session has ended
            document.add_next_tick_callback(callback)


class _Holder(param.Parameterized):
    value: Any = param.Parameter()


def _setter(owner: param.Parameterized, name: str) -> Callable[[Any], None]:
    def show(value: Any) -> None:
        with param.edit_constant(owner) if owner.param[name].constant else nullcontext():
            setattr(owner, name, value)

    return show


def _follow(
    source: Observable[Any],
    show: Callable[[Any], None],
    within: UiScope | None,
    select: Callable[[Any], Any] | None,
    buffer: int,
    on_error: Callable[[Exception], object] | None,
) -> Binding:
    return bind(
        source,
        show,
        within or scope(),
        select=select or (lambda value: value),
        distinct=select is not None and buffer == 1,  # as `bind` without a `select`
        buffer=buffer,
        on_error=on_error,
    )


def _document() -> Any:
    """Return the document of the Panel session that runs here, if any."""
    panel = sys.modules.get("panel")
    document = getattr(getattr(panel, "state", None), "curdoc", None)
    return document if getattr(document, "session_context", None) is not None else None


def _clock_of(document: Any, clock: Clock) -> PageClock:
    """Return the clock of a session, with a model by which its browser answers."""
    if document in _clocks:
        return _clocks[document]
    models, soon = sys.modules["bokeh.models"], document.add_next_tick_callback
    # Python sets its name, and the page then its tags.
    page = models.ColumnDataSource(name="0")
    page.js_on_change("name", models.CustomJS(code=ANSWER))

    def ask() -> None:
        page.name = f"{int(page.name) + 1}"

    def seen(attr: str, old: Any, new: Any) -> None:
        page_clock.seen()

    _clocks[document] = page_clock = PageClock(clock, soon, ask)
    _at_end_of_session(document, lambda: None)
    page.on_change("tags", seen)
    # Not before the components of the page, the first of which counts as the page to Panel.
    soon(lambda: document.add_root(page))
    return page_clock


def _at_end_of_session(document: Any, cleanup: Cleanup) -> Cleanup:
    if document not in _sessions:
        cleanups = _sessions[document] = {}

        def end(session: object) -> None:
            for each in list(cleanups.values()):
                each()
            cleanups.clear()
            _clocks.pop(document, None)  # which holds the document

        document.on_session_destroyed(end)
    key = object()
    _sessions[document][key] = cleanup
    return lambda: _sessions.get(document, {}).pop(key, None) and None
