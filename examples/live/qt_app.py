"""A live table and a live plot in Qt: `python -m examples.live.qt_app`, by PySide6 or PyQt6."""

import sys
from typing import Any

import pyqtgraph as pg

from examples.live.feed import Market, Tick, market
from heimdall_reactive.bindings import Badge, Changes, Fate, Series, badge
from heimdall_reactive.bindings.qt import connect

QtCore: Any = pg.QtCore  # of PySide6 or PyQt6
QtWidgets: Any = pg.QtWidgets
Qt: Any = QtCore.Qt
TONES = {"good": "#1a7f37", "busy": "#b35900", "idle": "#57606a", "bad": "#cf222e"}
PILL = "background: {}; color: white; border-radius: 6px; padding: 4px 12px"


class Rows(QtCore.QAbstractTableModel):
    """The newest tick of each symbol; tells its views which rows have changed."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.ticks: list[Tick] = []
        self.places: dict[str, int] = {}  # of the rows, by key

    def apply(self, changes: Changes[str, Tick]) -> None:
        """Apply what has changed since the last paint."""
        for symbol in changes.removed:
            place = self.places[symbol]
            self.beginRemoveRows(QtCore.QModelIndex(), place, place)
            del self.ticks[place]
            self.places = {tick.symbol: place for place, tick in enumerate(self.ticks)}
            self.endRemoveRows()
        for symbol, tick in changes.changed.items():
            place = self.places[symbol]
            self.ticks[place] = tick
            self.dataChanged.emit(self.index(place, 1), self.index(place, 1))
        if changes.added:
            first, last = len(self.ticks), len(self.ticks) + len(changes.added) - 1
            self.beginInsertRows(QtCore.QModelIndex(), first, last)
            self.places.update({symbol: first + n for n, symbol in enumerate(changes.added)})
            self.ticks += changes.added.values()
            self.endInsertRows()

    def rowCount(self, parent: Any = QtCore.QModelIndex()) -> int:  # noqa: B008, D102, N802
        return 0 if parent.isValid() else len(self.ticks)

    def columnCount(self, parent: Any = QtCore.QModelIndex()) -> int:  # noqa: B008, D102, N802
        return 0 if parent.isValid() else 2

    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: D102
        tick = self.ticks[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{tick.price:.2f}" if index.column() else tick.symbol
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column():
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:  # noqa: D102, N802
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return ("Symbol", "Price")[section]
        return None


class Window(QtWidgets.QWidget):
    """Shows the market: every row by key, the last minute of the first one, and the connection."""

    def __init__(self, live: Market) -> None:
        super().__init__()
        self.live, self.fate = live, Fate()
        self.setWindowTitle("Market")
        self.status = QtWidgets.QLabel(textFormat=Qt.TextFormat.PlainText)
        self.rows = Rows(self)
        self.table = QtWidgets.QTableView(alternatingRowColors=True, showGrid=False)
        self.table.setModel(self.rows)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QtWidgets.QHeaderView.ResizeMode.Stretch)
        self.table.setFixedWidth(220)
        palette = self.palette()
        pg.setConfigOptions(foreground=palette.text().color(), antialias=True)
        plot = pg.PlotWidget(
            axisItems={"bottom": pg.DateAxisItem()}, background=palette.base().color().name()
        )
        self.line = plot.plot(pen=pg.mkPen(palette.highlight().color(), width=2))
        self.box = QtWidgets.QLineEdit(placeholderText="a symbol of your own")
        self.word = QtWidgets.QLabel()
        button = QtWidgets.QPushButton("Drop")
        layout = QtWidgets.QGridLayout(self)
        layout.addWidget(QtWidgets.QLabel("<h2>Market</h2>"), 0, 0)
        layout.addWidget(self.status, 0, 1, Qt.AlignmentFlag.AlignRight)
        layout.addWidget(button, 0, 2)
        layout.addWidget(self.table, 1, 0)
        layout.addWidget(plot, 1, 1, 1, 2)
        layout.addWidget(self.box, 2, 0)
        layout.addWidget(self.word, 2, 1)
        layout.setColumnStretch(1, 1)
        self.box.returnPressed.connect(self.add)
        button.clicked.connect(live.drop)
        connect(badge(live.store), self.show_badge)
        connect(live.store.is_connected, self.box.setEnabled)
        connect(live.rows, self.rows.apply)
        connect(live.minute, self.show_minute)
        connect(self.fate, self.word.setText)

    def show_badge(self, badge: Badge) -> None:
        """Show how the connection is, in its colour."""
        self.status.setText(badge.text)
        self.status.setStyleSheet(PILL.format(TONES[badge.tone]))

    def show_minute(self, series: Series) -> None:
        """Draw the last minute."""
        self.line.setData(series.x, series.y)

    def add(self) -> None:
        """Send the symbol in the box; it comes back as a row."""
        self.fate.follow(self.live.add(self.box.text()))
        self.box.clear()


if __name__ == "__main__":
    app = QtWidgets.QApplication(sys.argv)
    with market(url=next(iter(sys.argv[1:]), None)) as live:
        window = Window(live)
        window.resize(800, 480)
        window.show()
        app.exec()
