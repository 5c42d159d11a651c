"""NiceGUI: values of a store in elements, per browser tab.

Thread rule: elements are changed on NiceGUI's event loop only, within the slot of an element, as
in its own event handlers; `scope` posts there from any thread. Call `bind` in a page function or
an event handler.

Clean-up rule: a binding ends with its element. Elements go by `delete()`, `clear()`, a
`refreshable.refresh()`, and with the page (`reconnect_timeout`, 3 s, after the tab was closed or
loaded again; 60 s where a page was fetched and never opened). A clean-up by `client.on_delete`
alone keeps the observers of every refreshed element until the tab is closed.

Tried with NiceGUI 3.18.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from reactivex import Observable

from heimdall_reactive.base.extras import of_extra

from .binding import Binding, bind
from .pages import WEB_FRAME, PageClock
from .scope import OnClose, UiScope

with of_extra("nicegui"):
    from nicegui import Client, core, ui
    from nicegui.elements.mixins.disableable_element import DisableableElement
    from nicegui.elements.mixins.text_element import TextElement
    from nicegui.elements.mixins.value_element import ValueElement

__all__ = ["bind_enabled", "bind_text", "bind_value", "bind_visibility", "scope"]

Select: TypeAlias = Callable[[Any], Any] | None

_clocks: WeakKeyDictionary[Client, PageClock] = WeakKeyDictionary()


def scope(element: ui.element | None = None) -> UiScope:
    """Return where a binding of an element lives: NiceGUI's loop, and the element's own life.

    What the setter creates lands beside the element, as in NiceGUI's event handlers, and
    `ui.notify` reaches its tab.

    Args:
        element: the owner. None puts an invisible one where the code stands, so that the binding
            ends with what is around it: the page, a card, one run of a `refreshable`.

    Raises:
        RuntimeError: no element is given, and there is no page here to put one.
    """
    owner = ui.element("template") if element is None else element

    def alive() -> bool:
        return not owner.is_deleted

    def post(call: Callable[[], None]) -> None:
        def run() -> None:
            with (owner.parent_slot if alive() else None) or nullcontext():
                clock.turn(call)

        if (loop := core.loop) is None:
            raise RuntimeError("NiceGUI does not run")
        if clock.goes_here():
            run()
        else:
            loop.call_soon_threadsafe(run)

    clock = _clock_of(owner.client)
    return UiScope(post, _farewell(owner), alive, WEB_FRAME, clock)


def bind_text(
    element: TextElement, source: Observable[Any], fmt: Callable[[Any], object] = str
) -> Binding:
    """Show a source as the text of a label, a button, a badge.

    Args:
        element: whose text it is.
        source: a subject of a store, or any observable.
        fmt: makes the text of a value; an equal text is not sent to the browser.
    """
    return bind(source, element.set_text, scope(element), select=lambda value: str(fmt(value)))


def bind_enabled(
    element: DisableableElement, source: Observable[Any], select: Select = None
) -> Binding:
    """Enable an element while a source, or what is selected of it, is true."""
    return bind(source, element.set_enabled, scope(element), select=_truth(select))


def bind_visibility(element: ui.element, source: Observable[Any], select: Select = None) -> Binding:
    """Show an element while a source, or what is selected of it, is true."""
    return bind(source, element.set_visibility, scope(element), select=_truth(select))


def bind_value(
    element: ValueElement[Any], source: Observable[Any], select: Select = None
) -> Binding:
    """Set the value of an element: a switch, a slider, a progress bar."""
    return bind(source, element.set_value, scope(element), select=select or (lambda value: value))


def _truth(select: Select) -> Callable[[Any], bool]:
    return lambda value: bool(value if select is None else select(value))


def _clock_of(client: Client) -> PageClock:
    """Return the clock of a page, with an invisible element by which its browser answers."""
    if client in _clocks:
        return _clocks[client]
    if (loop := core.loop) is None:
        raise RuntimeError("NiceGUI does not run")
    with client.layout:
        page = ui.element("template")
    answer = f"document.getElementById('{page.html_id}')?.dispatchEvent(new Event('painted'))"

    def ask(code: str) -> None:
        if not page.is_deleted and (client := page.client).has_socket_connection:
            # `run_javascript` makes a task of each, and waits for an answer.
            client.outbox.enqueue_message("run_javascript", {"code": code}, client.id)

    def after_paint() -> None:
        ask(f"requestAnimationFrame(() => {answer})" if clock.answers else answer)

    def after_connect() -> None:  # what was asked before may be lost
        ask(answer)

    clock = _clocks[client] = PageClock(loop, loop.call_soon, after_paint)
    page.on("painted", clock.seen, args=[])
    client.on_connect(after_connect)
    return clock


def _farewell(owner: ui.element) -> OnClose:
    """Have clean-ups called when an element is deleted, however that happens.

    NiceGUI tells it nobody but the element, by `_handle_delete` (nicegui#3028, #5581). Should a
    later version not do so, bindings still end at the next value, by `is_deleted`.
    """

    def on_close(cleanup: Callable[[], None]) -> Callable[[], object]:
        handler: Any = getattr(owner, "_handle_delete", None)
        farewell = handler if isinstance(handler, _Farewell) else _Farewell(handler)
        owner._handle_delete = farewell  # type: ignore[method-assign]
        return farewell.add(cleanup)

    return on_close


class _Farewell:
    """What an element does when it is deleted, and then the clean-ups."""

    def __init__(self, handle: Callable[[], None] | None) -> None:
        self._handle = handle
        self._cleanups: dict[object, Callable[[], None]] = {}

    def add(self, cleanup: Callable[[], None]) -> Callable[[], object]:
        key = object()
        self._cleanups[key] = cleanup
        return lambda: self._cleanups.pop(key, None)

    def __call__(self) -> None:
        if self._handle is not None:
            self._handle()
        for cleanup in list(self._cleanups.values()):
            cleanup()
