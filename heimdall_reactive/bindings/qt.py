"""Stores in Qt, with PySide6 or PyQt6: `connect` a slot, `to_property` for QML, `scope` for more.

Thread rule: widgets belong to the thread of the `QApplication`. A value reaches it by a queued
signal to an object there; `QTimer.singleShot(0, f)` on a Python thread never fires, and RxPY's
`QtScheduler` stops permanently after the first value from one (RxPY #551). Bindings run by a
timer, after the events of the user interface, at most 60 times a second.

Clean-up rule: a binding ends when its owner is `destroyed`, whoever destroys it; the owner is the
`QObject` whose method the slot is. As with Qt's own connections, a connected method does not keep
its object alive, and a lambda keeps what it captures.

Tried with PySide6 6.10, 6.11 and PyQt6 6.11. PySide6 6.12.0 on Python 3.11 aborts the process
after some thousand calls of any Qt method, see `qt_compat`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar, Unpack, overload

from reactivex import Observable

from heimdall_reactive import ConfigurationError

from .binding import Binding, BindOptions, bind
from .qt_compat import QtCompat, find_qt, qt_of
from .scope import UiScope

__all__ = ["connect", "scope", "to_property"]

T = TypeVar("T")
R = TypeVar("R")


@overload
def connect(
    source: Observable[T],
    slot: Callable[[T], object],
    owner: Any = None,
    *,
    select: None = None,
    **options: Unpack[BindOptions],
) -> Binding: ...
@overload
def connect(
    source: Observable[T],
    slot: Callable[[R], object],
    owner: Any = None,
    *,
    select: Callable[[T], R],
    **options: Unpack[BindOptions],
) -> Binding: ...
def connect(
    source: Observable[Any], slot: Callable[[Any], object], owner: Any = None, **options: Any
) -> Binding:
    """Connect an observable to a slot, like a signal; to be called on the GUI's thread.

    Args:
        source: a subject of a store, or any observable.
        slot: shows a value: `label.setText`, `box.setEnabled`, any function.
        owner: the `QObject` that the binding ends with; None takes the one whose method the slot
            is.
        **options: as for `bind`: `select`, `distinct`, `every`, `buffer`, `immediate`, `on_error`,
            `on_done`.

    Returns:
        The binding; `dispose()` ends it before its owner does.

    Raises:
        ConfigurationError: as for `scope`: no owner is given and the slot is not a method of a
            `QObject`; or `buffer` is not a whole number of 1 or more.
    """
    if owner is None:
        owner = _owner_of(slot)
    return bind(source, _weakly(slot, owner), scope(owner), **options)


def scope(owner: Any) -> UiScope:
    """Return the scope of a `QObject`: its `bind` companion, and an RxPY `scheduler`.

    Args:
        owner: a widget, window or any `QObject` of the GUI's thread.

    Raises:
        ConfigurationError: the owner is not a `QObject` of PySide6 or PyQt6, or is destroyed; there
            is not a `QApplication` yet, or this is not its thread.
    """
    qt = qt_of(owner)
    hop, held, endings = qt.hop(), _hold(qt, owner), qt.endings_of(owner)

    def alive() -> bool:
        it = held()
        return it is not None and bool(qt.valid(it))

    def on_close(cleanup: Callable[[], None]) -> Callable[[], object]:
        endings[cleanup] = None
        return lambda: endings.pop(cleanup, None)

    return UiScope(hop, on_close, alive, every=0.0)  # the hop runs at most 60 times a second


def to_property(source: Observable[Any], owner: Any, **options: Any) -> Any:
    """Return a `QObject` whose property `value` follows an observable, for QML.

    Its notify signal is `changed`. QML shows what Qt can convert: numbers, texts, lists and
    dictionaries of these; so `select` that from models.

    Args:
        source: a subject of a store, or any observable.
        owner: the parent of the object, such as the QML engine.
        **options: as for `connect`.

    Raises:
        ConfigurationError: as for `scope`.
    """
    qt = qt_of(owner)
    qt.hop()  # refuses before the object is made
    made = qt.value_class(owner)
    connect(source, made.show, made, **options)
    return made


def _owner_of(slot: Callable[[Any], object]) -> Any:
    owner = getattr(slot, "__self__", None)
    if find_qt(owner) is None:
        raise ConfigurationError(
            "the slot is not a method of a QObject: say whose it is, connect(source, slot, owner)"
        )
    return owner


def _hold(qt: QtCompat, owner: Any) -> Callable[[], Any]:
    """Hold an owner so that it can go.

    What Python owns goes with its last reference, which must not be ours. What Qt owns goes when
    Qt says so, and its wrapper may be one that nobody else keeps.
    """
    return weakref.ref(owner) if qt.owned(owner) else lambda: owner


def _weakly(slot: Callable[[Any], object], owner: Any) -> Callable[[Any], object]:
    """Return the slot; where it is a method of its owner, one that does not keep the owner."""
    if getattr(slot, "__self__", None) is not owner:
        return slot
    held = _hold(qt_of(owner), owner)
    function, name = getattr(slot, "__func__", None), getattr(slot, "__name__", "")

    def call(value: Any) -> None:
        it = held()
        if it is None:
            return
        if function is None:
            getattr(it, name)(value)
        else:
            function(it, value)

    return call
