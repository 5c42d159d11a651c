"""A chat in Qt: `python -m examples.first.qt_app`."""

# ruff: noqa: D101, D102, SIM117 - it is shown word for word, and as short as it can be
import sys
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import badge, message_line
from heimdall_reactive.bindings.qt import connect
from heimdall_reactive.devserver import serve_in_thread


class Chat(QWidget):
    def __init__(self, store: WebSocketStore[Any]) -> None:
        super().__init__()
        self.store = store
        self.status, self.log, self.box = QLabel(), QPlainTextEdit(), QLineEdit()
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        layout = QVBoxLayout(self)
        for part in (self.status, self.log, self.box):
            layout.addWidget(part)
        self.box.returnPressed.connect(self.send)
        connect(badge(store), self.status.setText, select=str)
        connect(store.messages, self.log.appendPlainText, select=message_line, buffer=100)

    def send(self) -> None:
        self.store.send({"text": self.box.text()})
        self.box.clear()


if __name__ == "__main__":
    app = QApplication(sys.argv)
    # An echo server on this machine; take the URL of your own in its place.
    with serve_in_thread(require_token=False, echo=True) as server:
        with use_websocket(f"{server.url}/v1/ws") as store:
            window = Chat(store)
            window.show()
            app.exec()
