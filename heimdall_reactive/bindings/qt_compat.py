"""The two bindings of Qt as one: PySide6 and PyQt6, chosen by the object at hand.

They differ in names, in how one asks whether an object is still there, and in what becomes of an
exception. Nothing here is imported before an object of that binding is seen.
"""

from __future__ import annotations

import atexit
import logging
import math
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Final

from heimdall_reactive import ConfigurationError, QueueHop
from heimdall_reactive.base.masking import told

from .frames import FRAME

__all__ = ["QtCompat", "QtHop", "find_qt", "qt_of"]

logger: Final = logging.getLogger("heimdall_reactive")


class QtCompat:
    """One of the two bindings of Qt.

    Args:
        core: its `QtCore`.
        signal: its class of signals.
        prop: its decorator of properties.
        valid: whether the C++ object of a wrapper is there.
        owned: whether it goes with the last reference of Python.
    """

    def __init__(
        self,
        core: Any,
        signal: Any,
        prop: Any,
        valid: Callable[[Any], bool],
        owned: Callable[[Any], bool],
    ) -> None:
        self.core = core
        self.valid = valid
        self.owned = owned
        self.waker_class = _waker_class(core, signal)
        self.value_class = _value_class(core, signal, prop)
        self._hop: QtHop | None = None
        self._endings: Any = weakref.WeakKeyDictionary()

    def hop(self) -> QtHop:
        """Return the hop to the GUI's thread, on which this has to be called."""
        app = self.core.QCoreApplication.instance()
        if app is None:
            raise ConfigurationError("make the QApplication before you connect to a store")
        if app.thread() != self.core.QThread.currentThread():
            raise ConfigurationError(
                "connect on the thread of the QApplication; values may come from any"
            )
        if self._hop is None or self._hop.closed:
            self._hop = QtHop(self, app)
        return self._hop

    def endings_of(self, owner: Any) -> dict[Callable[[], None], None]:
        """Return what is to be called when an owner is destroyed.

        One connection to `destroyed` for all: so a binding that ends early takes itself back
        without a call into Qt, from any thread.
        """
        found: dict[Callable[[], None], None] | None = self._endings.get(owner)
        if found is None:
            endings = self._endings[owner] = found = {}

            def end(*_: object) -> None:
                for cleanup in list(endings):
                    cleanup()

            owner.destroyed.connect(end)
        return found


class QtHop:
    """The hop to the thread of the application; it closes with the application.

    What waits is here and not in the arguments of the signal, so Qt never holds a Python object.
    The signal starts a timer instead of calling: events that are posted while events are handled
    may be handled in the same round, and a busy binding would block the rest. What comes within a
    frame after a round waits for the next one; after a pause the round is at once.
    """

    def __init__(self, qt: QtCompat, app: Any) -> None:
        self.closed = False
        self._lock = threading.RLock()  # the collector may end the application in the middle
        self._calls = QueueHop()
        self._waker = qt.waker_class(app)
        self._timer = qt.core.QTimer(self._waker)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._run)
        self._free_at = 0.0  # by time.monotonic()
        queued = qt.core.Qt.ConnectionType.QueuedConnection
        self._waker.on_woken = self._wait
        self._waker.woken.connect(self._waker.wake, queued)
        app.destroyed.connect(lambda *_: self.close())
        atexit.register(self.close)  # before that of PySide6 or PyQt6, which ends the application

    def __call__(self, call: Callable[[], None]) -> None:
        """Run a function on the GUI's thread, soon.

        Raises:
            RuntimeError: the application is gone.
        """
        with self._lock:
            if self.closed:
                raise RuntimeError("the QApplication is gone")
            self._calls(lambda: _guarded(call))
            self._waker.woken.emit()

    def _wait(self) -> None:
        if not self._timer.isActive():
            left = self._free_at - time.monotonic()
            self._timer.start(max(0, math.ceil(left * 1000)))

    def _run(self) -> None:
        self._calls.run_pending()
        self._free_at = time.monotonic() + FRAME

    def close(self) -> None:
        """Refuse calls from now on."""
        with self._lock:
            self.closed = True
        atexit.unregister(self.close)


def _guarded(call: Callable[[], None]) -> None:
    """Run a call; what it raises is logged, for PyQt6 aborts where a slot raises."""
    try:
        call()
    except Exception as error:
        logger.error("a call scheduled on Qt's thread raised %s", told(error))


def _waker_class(core: Any, signal: Any) -> Any:
    class Waker(core.QObject):  # type: ignore[misc]
        woken = signal()
        on_woken: Callable[[], None]

        def wake(self) -> None:
            self.on_woken()

    return Waker


def _value_class(core: Any, signal: Any, prop: Any) -> Any:
    class SubjectProperty(core.QObject):  # type: ignore[misc]
        changed = signal()

        def __init__(self, parent: Any) -> None:
            super().__init__(parent)
            self._value: Any = None

        def show(self, value: Any) -> None:
            self._value = value
            self.changed.emit()

        value = prop("QVariant", lambda self: self._value, notify=changed)

    return SubjectProperty


def qt_of(owner: Any) -> QtCompat:
    """Return the binding of Qt that an object is of.

    Raises:
        ConfigurationError: it is not a `QObject`, or its C++ object is destroyed.
    """
    qt = find_qt(owner)
    if qt is None:
        raise ConfigurationError(
            f"the owner must be a QObject of PySide6 or PyQt6, not {type(owner).__name__}"
        )
    if not qt.valid(owner):
        raise ConfigurationError("the owner is destroyed already")
    return qt


def find_qt(thing: Any) -> QtCompat | None:
    """Return the binding of Qt that an object is of; None where it is not a `QObject`.

    Raises:
        ConfigurationError: it is an object of Qt 5.
    """
    for kind in type(thing).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in ("PyQt5", "PySide2"):
            raise ConfigurationError(f"{name} is not supported: use PySide6 or PyQt6")
        if name in ("PySide6", "PyQt6"):
            qt = _kit(name)
            return qt if isinstance(thing, qt.core.QObject) else None
    return None


@cache
def _kit(name: str) -> QtCompat:
    if name == "PySide6":
        import shiboken6
        from PySide6 import QtCore

        _warn_of_lost_none(QtCore.QObject().setObjectName, QtCore.qVersion())
        return QtCompat(
            QtCore, QtCore.Signal, QtCore.Property, shiboken6.isValid, shiboken6.ownedByPython
        )
    from PyQt6 import sip

    core: Any = import_module("PyQt6.QtCore")  # its stubs do not know `pyqtProperty`
    return QtCompat(
        core, core.pyqtSignal, core.pyqtProperty, lambda it: not sip.isdeleted(it), sip.ispyowned
    )


def _warn_of_lost_none(method: Callable[[str], None], version: str) -> None:
    """Warn of a PySide6 that gives a reference to None away with each call.

    6.12.0 does so on Python before 3.12, where None is counted: after about 5,000 calls of methods
    without a result the process aborts with "deallocating None".
    """
    calls = 50
    before = sys.getrefcount(None)
    for _ in range(calls):
        method("")
    if sys.getrefcount(None) < before - calls // 2:
        warnings.warn(
            f"PySide6 {version} will abort this process: on Python before 3.12 it miscounts the "
            "references to None. Install 'PySide6-Essentials<6.12', or a newer Python.",
            RuntimeWarning,
            stacklevel=2,
        )
