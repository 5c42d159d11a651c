"""Stores bound to Textual: `Bound`, a mixin with `bind_subject`, and the `scope` of a node.

Tried with Textual 8.2.8. Its rules:

- **Thread.** Widgets belong to the thread of the app's event loop. `call_later` posts a message to
  the widget's own queue and works from any thread; `call_from_thread` blocks the caller, and raises
  on the app's own thread.
- **Context.** Textual finds "the app" in a context variable, and a task on another loop keeps the
  context of whoever started it. Posts here run in an empty context, so that a store which was
  made under one app can serve the next one.
- **Eager tasks.** `run()` and `run_async()` set `asyncio.eager_task_factory` on Python 3.12 and
  newer, `run_test()` does not: a node is mounted before it knows the task of its messages.
- **Clean-up.** A node is gone when the task ends that handles its messages. That happens also where
  `on_mount` raised, when Textual sends no `Unmount`. An `App` has no such task of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final, TypeVar, Unpack, cast

from reactivex import Observable

from heimdall_reactive import ConfigurationError
from heimdall_reactive.base.extras import of_extra
from heimdall_reactive.connecting.runtime import running_loop

from .binding import Binding, BindOptions, bind
from .frames import timer
from .scope import OnClose, UiScope

with of_extra("textual"):
    from textual.app import App
    from textual.message_pump import MessagePump
    from textual.visual import VisualError
    from textual.widgets import Static

__all__ = ["Bound", "scope"]

T = TypeVar("T")

CLEANUPS: Final = "_heimdall_cleanups"  # of an app, which has no task to wait for


class Bound:
    """A mixin for widgets, screens and apps: `class Status(Bound, Static)`."""

    def bind_subject(
        self,
        source: Observable[T],
        target: str | Callable[[Any], object],
        *,
        select: Callable[[T], Any] | None = None,
        **options: Unpack[BindOptions],
    ) -> Binding:
        """Have an attribute or a function follow an observable while this is mounted.

        Call it in `on_mount`, or later.

        Args:
            source: a subject of a store, or any observable.
            target: the name of an attribute, such as a `reactive`; or what is called with each
                value.
            select: what of the value is shown.
            **options: as for `bind`: `distinct`, `every`, `buffer`, `immediate`, `on_error`,
                `on_done`. A `reactive` itself leaves out equal values, unless it was made with
                `always_update=True`.

        Raises:
            AttributeError: there is no attribute of that name.
            ConfigurationError: as for `scope`; or `buffer` is not a whole number of 1 or more.
        """
        if isinstance(target, str):
            getattr(self, target)  # a wrong name fails here, and not later in a log
        setter = _attribute(self, target) if isinstance(target, str) else _harmless(target)
        return bind(source, setter, scope(cast(MessagePump, self)), select=select, **options)

    def _on_unmount(self) -> None:  # Textual calls that of each class, an override hides nothing
        for cleanup in tuple(_cleanups(self)):
            cleanup()


def scope(node: MessagePump) -> UiScope:
    """Return the scope of a widget, a screen, or an app that has the mixin `Bound`.

    Args:
        node: what owns the bindings; it is being mounted or mounted, and this is its own thread.

    Raises:
        ConfigurationError: the node has not begun to mount, or has ended; this is another thread
            than the app's; or it is an app without the mixin, whose end nobody is told.
    """

    def post(call: Callable[[], None]) -> None:
        if not Context().run(node.call_later, call):
            raise RuntimeError("the node is closed")

    def alive() -> bool:
        # Between `remove()` and the end of its task a node loses its children one by one; only a
        # private mark tells.
        going = getattr(node, "_pruning", False)
        return node.is_running and not going and (isinstance(node, App) or node.is_attached)

    clock = running_loop() or timer
    if not node.is_running:
        raise ConfigurationError(f"{type(node).__name__} is not mounted; bind in on_mount")
    if isinstance(node, App):
        if not isinstance(node, Bound):
            raise ConfigurationError(
                f"{type(node).__name__} does not report its end; "
                "give it the mixin heimdall_reactive.bindings.textual.Bound, or bind a widget"
            )
        return UiScope(post, _on_unmount_of(node), alive, clock=clock)
    return UiScope(post, _on_end_of(node), alive, clock=clock)


def _attribute(owner: object, name: str) -> Callable[[Any], None]:
    return lambda value: setattr(owner, name, value)


def _harmless(setter: Callable[[Any], object]) -> Callable[[Any], object]:
    """Return the `update` of a label with nothing left behind where it raises.

    A label keeps what it has refused. It raises again when it is painted, and that ends the app.
    """
    label = getattr(setter, "__self__", None)
    if not isinstance(label, Static) or getattr(setter, "__name__", "") != "update":
        return setter

    def show(value: Any) -> None:
        before = getattr(label, "content" if hasattr(label, "content") else "renderable")
        try:
            setter("" if value is None else value)  # None: `last_message` at first
        except VisualError:
            setter(before)
            raise ConfigurationError(
                f"a {type(label).__name__} shows no {type(value).__name__}; give a select= that "
                "makes a text of it, such as select=str"
            ) from None
        except Exception:  # what looks like markup, and is not
            setter(before)
            raise

    return show


def _on_end_of(node: MessagePump) -> OnClose:
    known, loop = _task_of(node), running_loop()
    if loop is None or (known is not None and known.get_loop() is not loop):
        raise ConfigurationError("bind on the thread of the app, such as in on_mount")

    def on_close(cleanup: Callable[[], None]) -> Callable[[], object]:
        watched: list[asyncio.Task[Any]] = []

        def done(_: object) -> None:
            cleanup()

        def watch() -> None:
            if (task := known or _task_of(node)) is None:
                cleanup()  # the node has ended
                return
            watched.append(task)
            task.add_done_callback(done)

        turn = None
        if known is not None:
            watch()
        else:  # with eager tasks the node is mounted before it knows its task
            turn = loop.call_soon(watch)

        def leave() -> None:
            if turn is not None:
                turn.cancel()
            for task in watched:
                task.remove_done_callback(done)

        return leave

    return on_close


def _task_of(node: MessagePump) -> asyncio.Task[Any] | None:
    task: asyncio.Task[Any] | None = getattr(node, "_task", None)  # `task` asserts that it is set
    return task


def _on_unmount_of(app: Bound) -> OnClose:
    def on_close(cleanup: Callable[[], None]) -> Callable[[], object]:
        _cleanups(app)[cleanup] = None
        return lambda: _cleanups(app).pop(cleanup, None)

    return on_close


def _cleanups(node: Bound) -> dict[Callable[[], None], None]:
    found: dict[Callable[[], None], None] = vars(node).setdefault(CLEANUPS, {})
    return found
