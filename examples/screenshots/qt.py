"""Makes `docs/images/ui-qt.png`: `python -m examples.screenshots.qt`; no display is needed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QApplication

from examples.qt_app import Window
from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import serve_in_thread

PICTURE = Path("docs/images/ui-qt.png")
TEXTS = ("good morning", "is anybody there?", "see you")


def make(picture: Path = PICTURE) -> None:
    """Send some messages, drop the connection, and take a picture of the countdown."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    app = QApplication.instance() or QApplication(["qt_app", "-style", "Fusion"])
    with (
        serve_in_thread(require_token=False, echo=True) as server,
        use_websocket(f"{server.url}/v1/ws", loop="thread", reconnect_delay=5.0) as store,
    ):
        window = Window(store, server)
        window.resize(440, 240)
        window.show()
        until(app, window.box.isEnabled)
        for text in TEXTS:
            window.box.setText(text)
            window.say()
        until(app, lambda: TEXTS[-1] in window.newest.toPlainText())
        window.drop()
        until(app, lambda: "again in 4 s" in window.status.text())
        window.grab().save(str(picture))
        window.close()
        window.deleteLater()


def until(app: QCoreApplication, condition: Callable[[], bool], timeout: float = 10.0) -> None:
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
