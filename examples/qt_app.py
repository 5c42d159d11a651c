"""A store in Qt: `python -m examples.qt_app` opens a window."""

from typing import Any

from PySide6 import QtCore, QtWidgets

from examples.fate import Fate
from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import Badge, badge
from heimdall_reactive.bindings.qt import connect
from heimdall_reactive.devserver import DevServer, serve_in_thread

TONES = {"good": "#1a7f37", "busy": "#b35900", "idle": "#57606a", "bad": "#cf222e"}
PILL = "background: {}; color: white; border-radius: 6px; padding: 6px 12px"


class Window(QtWidgets.QWidget):
    """Shows a store: how its connection is, and the newest messages."""

    def __init__(self, store: WebSocketStore[Any], server: DevServer) -> None:
        super().__init__()
        self.store, self.server, self.fate = store, server, Fate()
        self.status = QtWidgets.QLabel(textFormat=QtCore.Qt.TextFormat.PlainText)
        self.newest = QtWidgets.QPlainTextEdit(readOnly=True, maximumBlockCount=5)
        self.box = QtWidgets.QLineEdit(placeholderText="say something")
        self.word = QtWidgets.QLabel()
        layout = QtWidgets.QGridLayout(self)
        layout.addWidget(QtWidgets.QLabel("<h2>Heimdall</h2>"), 0, 0)
        layout.addWidget(self.status, 0, 1)
        layout.addWidget(self.newest, 1, 0, 1, 2)
        layout.addWidget(self.box, 2, 0)
        layout.addWidget(button := QtWidgets.QPushButton("Drop"), 2, 1)
        layout.addWidget(self.word, 3, 0)
        self.box.returnPressed.connect(self.say)
        button.clicked.connect(self.drop)
        connect(badge(store), self.show_badge)
        connect(store.is_connected, self.box.setEnabled)
        connect(store.messages, self.newest.appendPlainText, select=lambda m: m["text"], buffer=5)
        connect(self.fate, self.word.setText)

    def show_badge(self, badge: Badge) -> None:
        """Show how the connection is, in its colour."""
        self.status.setText(badge.text)
        self.status.setStyleSheet(PILL.format(TONES[badge.tone]))

    def say(self) -> None:
        """Send what stands in the box."""
        self.fate.follow(self.store.send({"text": self.box.text()}))
        self.box.clear()

    def drop(self) -> None:
        """Cut the line, and refuse the next two dials, so that the countdown can be seen."""
        self.server.refuse(503, times=2)
        self.server.drop()


if __name__ == "__main__":
    app = QtWidgets.QApplication([])
    with serve_in_thread(require_token=False, echo=True) as server:
        store = use_websocket(f"{server.url}/v1/ws", max_reconnect_attempts=None)
        with store:
            window = Window(store, server)
            window.show()
            app.exec()
