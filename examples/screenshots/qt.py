"""Makes `docs/images/ui-qt.png`: `python -m examples.screenshots.qt`; no display is needed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from pyqtgraph.Qt import QtCore, QtWidgets

from examples.live.feed import market
from examples.live.qt_app import Window

PICTURE = Path("docs/images/ui-qt.png")


def make(picture: Path = PICTURE, points: int = 60) -> None:
    """Add a row, let the plot begin, drop the connection, and take a picture of the countdown."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    app = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["qt", "-style", "Fusion"])
    with market() as live:
        window = Window(live)
        window.resize(760, 420)
        window.show()
        until(app, window.box.isEnabled)
        window.box.setText("MINE")
        window.add()
        until(app, lambda: len(live.minute.value.x) > points, 30)
        live.drop()
        until(app, lambda: "reconnecting in 2 s" in window.status.text())
        window.grab().save(str(picture))
        window.close()
        window.deleteLater()


def until(
    app: QtCore.QCoreApplication, condition: Callable[[], bool], timeout: float = 10.0
) -> None:
    """Let the application go on until a condition holds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout} s")
        app.processEvents()
        time.sleep(0.005)


if __name__ == "__main__":
    make()
    print(PICTURE)
