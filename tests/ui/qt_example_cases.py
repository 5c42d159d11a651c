"""The example, driven without a display: run by `test_qt.py` for PySide6."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import serve_in_thread

from .qt_support import API, Gui, QtCore, QtWidgets, running
from .support import observers

if API != "PySide6":
    pytest.skip("the example is for PySide6", allow_module_level=True)


@pytest.fixture(scope="module")
def gui() -> Iterator[Gui]:
    yield from running()


def test_the_example(gui: Gui) -> None:
    from PySide6.QtTest import QTest

    from examples.qt_app import Window

    with (
        serve_in_thread(require_token=False, echo=True) as server,
        use_websocket(
            f"{server.url}/v1/ws", reconnect_delay=1.1, max_reconnect_attempts=None
        ) as store,
    ):
        before = observers(store)
        window = Window(store, server)
        window.show()
        shown: list[str] = []
        gui.until(lambda: window.status.text() == "connected" and window.box.isEnabled())
        for n in range(7):
            QTest.keyClicks(window.box, f"hello {n}")
            QTest.keyClick(window.box, QtCore.Qt.Key.Key_Return)
        gui.until(lambda: "hello 6" in window.newest.toPlainText())
        assert "hello 1" not in window.newest.toPlainText(), "five lines"
        assert window.box.text() == ""
        gui.until(lambda: window.word.text() == "delivered")
        button: Any = window.findChild(QtWidgets.QPushButton)
        QTest.mouseClick(button, QtCore.Qt.MouseButton.LeftButton)

        def counts_down() -> bool:
            shown.append(window.status.text())
            return {"again in 2 s (attempt 1)", "again in 1 s (attempt 1)"} <= set(shown)

        gui.until(counts_down)
        assert not window.box.isEnabled()
        gui.until(lambda: window.status.text() == "connected" and window.box.isEnabled())
        # A close reason is the server's: as rich text it could load a picture from the disk.
        assert window.status.textFormat() == QtCore.Qt.TextFormat.PlainText
        window.close()
        window.deleteLater()
        gui.until(lambda: observers(store) == before)


def test_the_picture(gui: Gui, tmp_path: Path) -> None:
    from PySide6.QtGui import QImage

    from examples.screenshots.qt import make

    make(tmp_path / "qt.png")
    image = QImage(str(tmp_path / "qt.png"))
    assert image.width() == 440
    colours = {image.pixel(x, y) for x in range(12, 120, 2) for y in range(10, 40)}
    assert len(colours) > 5, "no text, are there fonts? apt-get install fonts-dejavu-core"
