"""What the cases of Qt share: the binding that `QT_API` names, and waiting in a real event loop."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

API = {"pyside6": "PySide6", "pyqt6": "PyQt6"}[os.environ.get("QT_API", "pyside6").lower()]
MISSING = (
    f"pip install {API if API == 'PyQt6' else 'PySide6-Essentials'}, "
    "and on Debian: apt-get install libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1 "
    "libglib2.0-0"
)

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
QtCore: Any = pytest.importorskip(f"{API}.QtCore", reason=MISSING, exc_type=ImportError)
QtWidgets: Any = pytest.importorskip(f"{API}.QtWidgets", reason=MISSING, exc_type=ImportError)
if API == "PySide6" and QtCore.__version_info__[:2] == (6, 12) and sys.version_info < (3, 12):
    pytest.skip(
        "PySide6 6.12 aborts on Python before 3.12: pip install 'PySide6-Essentials<6.12'",
        allow_module_level=True,
    )

Signal: Any = getattr(QtCore, "Signal", None) or QtCore.pyqtSignal


def delete(thing: Any) -> None:
    """Destroy the C++ object of a wrapper at once."""
    if API == "PySide6":
        import shiboken6

        shiboken6.delete(thing)
    else:
        from PyQt6 import sip

        sip.delete(thing)


class Gui:
    """The application, and its event loop until something holds."""

    def __init__(self) -> None:
        self.app: Any = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])

    def until(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        """Run the event loop until a condition holds.

        Raises:
            TimeoutError: it did not, in `timeout` seconds.
        """
        loop, poll, end = QtCore.QEventLoop(), QtCore.QTimer(), time.monotonic() + timeout

        def look() -> None:
            if condition() or time.monotonic() > end:
                loop.quit()

        poll.timeout.connect(look)
        poll.start(2)
        loop.exec()
        poll.stop()
        if not condition():
            raise TimeoutError(f"not within {timeout} s")

    def turn(self, rounds: int = 5) -> None:
        """Let the event loop go round a few times."""
        left = iter(range(rounds))
        self.until(lambda: next(left, None) is None)


class Heartbeat:
    """A timer of the user interface, and the longest time of its thread that it had to wait."""

    def __init__(self) -> None:
        self.beats = 0
        self.longest = 0.0
        self._last = time.thread_time()  # a busy machine must not count, a busy loop must
        self._timer = QtCore.QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(5)

    def _beat(self) -> None:
        now = time.thread_time()
        self.beats, self.longest = self.beats + 1, max(self.longest, now - self._last)
        self._last = now

    def stop(self) -> None:
        self._timer.stop()


def running() -> Iterator[Gui]:
    """Make the application, and a first round of its loop, which opens what it keeps open."""
    gui = Gui()
    gui.turn()
    yield gui
