"""The live example, driven without a display: run by `test_qt.py` for PySide6 and PyQt6."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.live.feed import ROWS, Market, Tick, market

from .held import left_of
from .qt_support import API, Gui, QtCore, QtWidgets, running
from .support import observers

os.environ["PYQTGRAPH_QT_LIB"] = API
pytest.importorskip("pyqtgraph", reason="pip install pyqtgraph")

from examples.live.qt_app import Rows, Window
from heimdall_reactive.bindings import Changes, Series

QtTest: Any = pytest.importorskip(f"{API}.QtTest", exc_type=ImportError)


@pytest.fixture(scope="module")
def gui() -> Iterator[Gui]:
    for gui in running():
        with market() as live:  # a first one, which opens what Qt keeps open for the process
            first = Window(live)
            first.show()
            gui.until(lambda: len(live.minute.value.x) > 1)
            first.deleteLater()
            gui.turn()
        yield gui


@pytest.fixture
def live() -> Iterator[Market]:
    with market(reconnect_delay=0.4) as live:
        yield live


def prices(model: Any) -> dict[str, str]:
    """Return the prices that a model gives to its views."""
    rows = range(model.rowCount())
    return {model.index(row, 0).data(): model.index(row, 1).data() for row in rows}


def test_it_shows_every_row_sends_shows_the_countdown_and_heals(gui: Gui, live: Market) -> None:
    before = observers(live.store)
    window = Window(live)
    window.show()
    gui.until(lambda: window.status.text() == "connected" and window.box.isEnabled())
    gui.until(lambda: window.rows.rowCount() == ROWS)
    QtTest.QTest.keyClicks(window.box, "MINE")
    QtTest.QTest.keyClick(window.box, QtCore.Qt.Key.Key_Return)
    assert window.box.text() == ""
    gui.until(lambda: "MINE" in prices(window.rows))
    gui.until(lambda: window.word.text() == "delivered")
    gui.until(lambda: len(window.line.getData()[0]) > 3)
    button: Any = window.findChild(QtWidgets.QPushButton)
    QtTest.QTest.mouseClick(button, QtCore.Qt.MouseButton.LeftButton)
    gui.until(lambda: window.status.text() == "reconnecting in 1 s (attempt 1)")
    gui.until(lambda: not window.box.isEnabled())
    gui.until(lambda: window.status.text() == "connected" and window.box.isEnabled())
    live.over.set()
    gui.until(
        lambda: prices(window.rows) == {s: f"{t.price:.2f}" for s, t in live.rows.value.items()}
    )
    # A close reason is the server's: as rich text it could load a picture from the disk.
    assert window.status.textFormat() == QtCore.Qt.TextFormat.PlainText
    window.close()
    window.deleteLater()
    gui.until(lambda: observers(live.store) == before)


def test_windows_leave_nothing(gui: Gui, live: Market) -> None:
    def once() -> None:
        window = Window(live)
        window.show()
        gui.until(lambda: window.rows.rowCount() == ROWS)
        window.close()
        window.deleteLater()
        gui.turn()

    once()  # until every row is there
    live.over.set()  # what is on its way would be counted
    assert left_of(once, 30) == {}


def test_the_model_tells_its_views_what_has_changed(gui: Gui) -> None:
    model = Rows(parent := QtCore.QObject())
    told: list[Any] = []
    model.dataChanged.connect(lambda first, last, _: told.append((first.row(), last.row())))
    model.rowsInserted.connect(lambda _, first, last: told.append(("in", first, last)))
    model.rowsRemoved.connect(lambda _, first, last: told.append(("out", first, last)))
    model.apply(Changes({n: tick(n, 1) for n in "abc"}, {}, []))
    model.apply(Changes({"d": tick("d", 1)}, {"c": tick("c", 2)}, ["a"]))
    assert told == [("in", 0, 2), ("out", 0, 0), (1, 1), ("in", 2, 2)]
    assert prices(model) == {"b": "1.00", "c": "2.00", "d": "1.00"}
    assert [model.headerData(n, QtCore.Qt.Orientation.Horizontal, 0) for n in (0, 1)] == [
        "Symbol",
        "Price",
    ]
    parent.deleteLater()


def tick(symbol: str, price: float) -> Tick:
    return Tick(symbol=symbol, price=price, sent=0)


def test_the_picture(gui: Gui, tmp_path: Path) -> None:
    from pyqtgraph.Qt import QtGui

    from examples.screenshots.qt import make

    make(tmp_path / "qt.png", points=3)
    image = QtGui.QImage(str(tmp_path / "qt.png"))
    assert image.width() == 760
    colours = {image.pixel(x, y) for x in range(12, 120, 2) for y in range(10, 40)}
    assert len(colours) > 5, "no text, are there fonts? apt-get install fonts-dejavu-core"


def draws(window: Window, x: float) -> bool:
    """Return whether a picture of the plot has a part of the line at a time."""
    view, box = window.line.getViewWidget(), window.line.getViewBox()
    there = view.mapFromScene(box.mapViewToScene(QtCore.QPointF(x, 0))).x()
    image = view.grab().toImage()
    # All but the line is black, white or grey.
    return any(image.pixelColor(there, y).saturation() > 60 for y in range(image.height()))


@pytest.mark.parametrize(("between", "drawn"), [(2.0, True), (math.nan, False)])
def test_pyqtgraph_ends_the_line_at_a_gap(gui: Gui, between: float, drawn: bool) -> None:
    with market(rate=0) as live:
        window = Window(live)
        window.resize(800, 480)
        window.show()
        series = Series([1000.0, 1010.0, 1020.0, 1030.0, 1040.0], [1.0, 2.0, between, 2.0, 3.0])
        window.show_minute(series)
        gui.turn()
        assert [draws(window, x) for x in (1005, 1020, 1035)] == [True, drawn, True]
        window.deleteLater()
        gui.turn()
