"""Owners that end, and programs that do: run by `test_qt.py` for PySide6 and PyQt6."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from reactivex import Subject

from heimdall_reactive.bindings.qt import connect, scope

from .qt_support import API, Gui, QtCore, QtWidgets, delete, running
from .support import Stage, observers


@pytest.fixture(scope="module")
def gui() -> Iterator[Gui]:
    yield from running()


def later(held: list[Any]) -> None:
    held[0].deleteLater()


def at_once(held: list[Any]) -> None:
    delete(held[0])


def with_the_parent(held: list[Any]) -> None:
    parent = held[0].parent()
    held.pop(0)
    delete(parent)


def last_reference(held: list[Any]) -> None:
    held[0].setParent(None)
    held.clear()


def close(held: list[Any]) -> None:
    held[0].setParent(None)
    held[0].setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
    held[0].show()
    held[0].close()


@pytest.mark.parametrize("end", [later, at_once, with_the_parent, last_reference, close])
def test_the_end_of_the_owner(gui: Gui, stage: Stage, end: Callable[[list[Any]], None]) -> None:
    other = QtWidgets.QLabel()
    with stage.store() as store:
        gui.until(lambda: store.connected)
        before = observers(store)
        connect(store.last_message, other.setText, select=str)
        parent = QtWidgets.QWidget()
        held = [QtWidgets.QLabel(parent), parent]
        if end in (last_reference, close):  # what Python owns at the time
            held[0].setParent(None)
        connect(store.last_message, held[0].setText, select=str)
        connect(store.is_connected, lambda _: None, held[0])
        assert observers(store) == before + 3
        end(held)
        gui.until(lambda: observers(store) == before + 1)
        stage.say(4)
        gui.until(lambda: "4" in other.text())
        other.deleteLater()
        gui.until(lambda: observers(store) == before)


def test_nothing_comes_after_the_end(gui: Gui) -> None:
    values: Subject[int] = Subject()
    label = QtWidgets.QLabel()
    seen: list[int] = []
    binding = connect(values, seen.append, label)
    other = connect(values, lambda n: delete(label) if n == 2 else seen.append(n), label)
    values.on_next(1)
    gui.until(lambda: seen == [1, 1])
    values.on_next(1)
    binding.dispose()  # with a value on its way
    gui.until(lambda: seen == [1, 1, 1])
    values.on_next(2)
    gui.until(lambda: other.is_disposed)
    values.on_next(3)
    gui.turn()
    assert seen == [1, 1, 1]
    assert not values.observers


def test_a_connected_method_does_not_keep_its_object(gui: Gui) -> None:
    class Window(QtWidgets.QWidget):  # type: ignore[misc]
        def show_it(self, n: int) -> None:
            self.n = n

    values: Subject[int] = Subject()
    window = Window()
    connect(values, window.show_it)
    connect(values, window.setWindowTitle, select=str)
    values.on_next(1)
    gone: Any = weakref.ref(window)
    gui.until(lambda: gone().windowTitle() == "1" and gone().n == 1)
    del window
    assert gone() is None
    assert not values.observers


def test_wrappers_that_nobody_keeps(gui: Gui) -> None:
    """What Qt owns lives on without a reference in Python, and its binding with it."""
    values: Subject[int] = Subject()
    window = QtWidgets.QMainWindow()
    connect(values, window.statusBar().showMessage, select=str)
    view, layout = QtWidgets.QTableView(), QtWidgets.QVBoxLayout()
    view.setModel(QtCore.QStringListModel(view))
    seen: list[int] = []
    connect(values, seen.append, view.selectionModel())
    label = QtWidgets.QLabel()
    connect(values, label.setText, select=str)
    central = QtWidgets.QWidget()
    layout.addWidget(label)
    del label
    central.setLayout(layout)
    window.setCentralWidget(central)
    del central, layout
    gc.collect()
    values.on_next(8)
    gui.until(lambda: window.statusBar().currentMessage() == "8" and seen == [8])
    gui.until(lambda: window.centralWidget().layout().itemAt(0).widget().text() == "8")
    delete(window)
    delete(view)
    assert not values.observers


def test_an_early_end_leaves_nothing_at_its_owner(gui: Gui) -> None:
    owner = QtCore.QObject()
    place = scope(owner)
    undo = place.register(print)
    undo()
    for _ in range(3):
        connect(Subject[int](), print, owner).dispose()
    ends: list[int] = []
    place.register(lambda: ends.append(1))
    delete(owner)
    assert ends == [1]
    assert not place.is_alive()


PROGRAM = """
    import gc, threading, time
    from reactivex import Subject
    from {api} import QtCore
    from heimdall_reactive import ConfigurationError, use_websocket
    from heimdall_reactive.bindings.qt import connect, scope
    from heimdall_reactive.devserver import serve_in_thread

    values = Subject()
    early = QtCore.QObject()
    try:
        connect(values, print, early)
    except ConfigurationError as error:
        print(error)
    app = QtCore.QCoreApplication([])
    {body}
"""
LEAVES = """
    serving = serve_in_thread(require_token=False)
    store = use_websocket(serving.__enter__().url + "/v1/ws", loop="thread")
    owner = QtCore.QObject()
    connect(values, lambda _: None, owner)
    def flood():
        while True:
            values.on_next(1)
            time.sleep(0)
    threading.Thread(target=flood, daemon=True).start()
    connect(store.last_message, lambda _: None, owner)
    connect(store.is_connected, lambda up: up and QtCore.QTimer.singleShot(200, app.quit), owner)
    app.exec()
    print("left")
"""


def run(body: str) -> str:
    program = textwrap.dedent(PROGRAM).format(api=API, body=textwrap.dedent(body))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, timeout=30, env=dict(os.environ),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.leaky
def test_a_program_that_leaves_its_store_open() -> None:
    told, left = run(LEAVES).splitlines()
    assert "make the QApplication" in told
    assert left == "left"


@pytest.mark.leaky
def test_an_application_after_another() -> None:
    body = """
    one = QtCore.QObject()
    binding = connect(values, print, one)
    post = scope(one).post
    getattr(app, "shutdown", int)()  # PySide6 keeps the application that is deleted
    del app
    gc.collect()
    assert QtCore.QCoreApplication.instance() is None
    values.on_next(1)
    assert binding.is_disposed and not values.observers
    try:
        post(print)
    except RuntimeError as error:
        print(error)
    app = QtCore.QCoreApplication([])
    two = QtCore.QObject()
    connect(values, lambda n: app.exit(n), two)
    values.on_next(7)
    print(app.exec())
    """
    assert run(body).splitlines()[1:] == ["the QApplication is gone", "7"]
