"""Values that reach widgets: run by `test_qt.py` for PySide6 and PyQt6."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex import operators as ops

from heimdall_reactive import ConfigurationError
from heimdall_reactive.bindings import badge
from heimdall_reactive.bindings.qt import connect, scope, to_property

from .qt_support import Gui, Heartbeat, QtCore, QtWidgets, Signal, delete, running
from .support import BURST, Stage, observers


@pytest.fixture(scope="module")
def gui() -> Iterator[Gui]:
    yield from running()


class Window(QtWidgets.QWidget):  # type: ignore[misc]
    """Shows a store: whether it is connected, its badge, its newest message."""

    def __init__(self, store: Any) -> None:
        super().__init__()
        self.box = QtWidgets.QCheckBox(self)
        self.badge = QtWidgets.QLabel(self)
        self.message = QtWidgets.QLabel(self)
        connect(store.is_connected, self.box.setChecked)
        connect(badge(store), self.badge.setText, select=str)
        connect(store.last_message, lambda m: self.message.setText(str(m and m["n"])), self)


def test_a_window_lives_through_a_drop(gui: Gui, stage: Stage) -> None:
    with stage.store() as store:
        before = observers(store)
        window = Window(store)
        assert window.message.text() == "None", "the first value is there at once"
        gui.until(window.box.isChecked)
        stage.say(1)
        gui.until(lambda: window.message.text() == "1")
        stage.go_offline(store)
        gui.until(lambda: "reconnecting in" in window.badge.text())
        assert not window.box.isChecked()
        gui.until(lambda: window.badge.text() == "connected" and window.box.isChecked())
        stage.say(2)
        gui.until(lambda: window.message.text() == "2")
        assert observers(store) > before
        window.deleteLater()
        gui.until(lambda: observers(store) == before)


def test_a_burst_does_not_block_the_window(gui: Gui, stage: Stage) -> None:
    seen: list[int] = []
    where: set[int] = set()
    label = QtWidgets.QLabel()

    def show(message: Any) -> None:
        where.add(threading.get_ident())
        seen.append(message["n"])
        label.setText(str(message["n"]))

    with stage.store() as store:
        gui.until(lambda: store.connected)
        connect(store.last_message.pipe(ops.filter(lambda m: m is not None)), show, label)
        heart = Heartbeat()
        sender = threading.Thread(target=stage.burst)
        sender.start()
        gui.until(lambda: bool(seen) and seen[-1] == BURST - 1, timeout=30)
        sender.join()
        heart.stop()
    assert len(seen) < BURST / 20
    assert seen == sorted(seen)
    assert where == {threading.get_ident()}
    assert heart.beats > 10
    assert heart.longest < 1.0  # some 0.05 s on an idle machine
    delete(label)


def test_a_slow_slot_leaves_time_for_the_rest(gui: Gui) -> None:
    """Events posted while events are handled could be handled in the same round."""
    values: Subject[int] = Subject()
    seen: list[int] = []
    owner = QtCore.QObject()

    def show(n: int) -> None:
        time.sleep(0.001)
        seen.append(n)

    binding = connect(values, show, owner, buffer=1000)
    heart, began = Heartbeat(), time.monotonic()
    for n in range(500):
        values.on_next(n)
    gui.until(lambda: len(seen) == 500, timeout=20)
    took = time.monotonic() - began
    heart.stop()
    assert seen == list(range(500)), "all, in order"
    assert binding.stats.dropped == 0
    assert heart.beats > 20
    assert heart.longest < took / 2  # some 0.02 s on an idle machine


def test_equal_messages_are_two(gui: Gui, stage: Stage) -> None:
    owner = QtCore.QObject()
    every: list[Any] = []
    newest: list[Any] = []
    picked: list[Any] = []
    with stage.store() as store:
        gui.until(lambda: store.connected)
        connect(store.messages, every.append, owner, buffer=100)
        connect(store.last_message, newest.append, owner)
        connect(store.last_message, picked.append, owner, select=lambda m: m and m["n"])
        for count in (1, 2):
            stage.say(7)
            gui.until(lambda: len(every) == count)  # noqa: B023 - at once
            gui.until(lambda: len(newest) == count + 1)  # noqa: B023
        gui.turn()
    assert picked == [None, 7], "an equal selection changes nothing"


def test_an_error_hurts_nobody_else(gui: Gui, stage: Stage) -> None:
    owner, label = QtCore.QObject(), QtWidgets.QLabel()
    told: list[Exception] = []

    def fail(_: object) -> None:
        raise ValueError("no")

    with stage.store() as store:
        errors: list[Any] = []
        store.errors.subscribe(errors.append)
        gui.until(lambda: store.connected)
        connect(store.last_message, fail, owner)
        connect(store.last_message, fail, owner, on_error=told.append)
        connect(store.last_message, label.setText, select=str)
        stage.say(1)
        gui.until(lambda: "1" in label.text() and len(told) == 2 and len(errors) == 2)
        assert store.connected
    delete(label)


def test_scheduler_works_from_a_thread(gui: Gui, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    values: Subject[int] = Subject()
    owner = QtCore.QObject()
    seen: list[tuple[int, int]] = []
    scheduler = scope(owner).scheduler
    calm: Observable[int] = values.pipe(ops.debounce(0.05, scheduler))
    calm.subscribe(lambda n: seen.append((n, threading.get_ident())))
    for last in (3, 6):  # RxPY's own scheduler is dead after the first time
        numbers = reactivex.range(last + 1)
        thread = threading.Thread(target=numbers.subscribe, args=(values.on_next,))
        thread.start()
        gui.until(lambda: bool(seen) and seen[-1][0] == last)  # noqa: B023
        thread.join()
    assert seen == [(3, threading.get_ident()), (6, threading.get_ident())]

    scheduler.schedule(fail)
    gui.until(lambda: "ZeroDivisionError" in caplog.text)


def test_owner_is_asked_for() -> None:
    values: Subject[int] = Subject()
    gone = QtCore.QObject()
    delete(gone)
    old = type("QLabel", (), {"__module__": "PyQt5.QtWidgets"})()
    with pytest.raises(ConfigurationError, match="PyQt5 is not supported"):
        connect(Subject(), print, old)
    with pytest.raises(ConfigurationError, match="not a method of a QObject"):
        connect(values, print)
    with pytest.raises(ConfigurationError, match="not Gui"):
        connect(values, print, Gui())
    with pytest.raises(ConfigurationError, match="destroyed"):
        connect(values, print, gone)
    assert not values.observers


def test_another_thread_is_refused(gui: Gui) -> None:
    owner = QtCore.QObject()
    raised: list[Exception] = []

    def wrong() -> None:
        try:
            connect(Subject(), print, owner)
        except ConfigurationError as error:
            raised.append(error)

    thread = threading.Thread(target=wrong)
    thread.start()
    thread.join()
    assert "thread of the QApplication" in str(raised[0])


def test_a_property_tells_of_its_changes(gui: Gui) -> None:
    values: Subject[Any] = Subject()
    parent = QtCore.QObject()
    shown = to_property(values, parent, select=lambda n: {"n": n, "twice": [n, n]})
    changes: list[Any] = []
    shown.changed.connect(lambda: changes.append(shown.value))
    assert shown.value is None
    values.on_next(3)
    gui.until(lambda: changes == [{"n": 3, "twice": [3, 3]}])
    assert shown.property("value") == {"n": 3, "twice": [3, 3]}
    delete(parent)
    assert not values.observers


def test_a_signal_is_a_slot(gui: Gui) -> None:
    class Model(QtCore.QObject):  # type: ignore[misc]
        told = Signal(int)

    model, values = Model(), Subject[int]()
    seen: list[int] = []
    model.told.connect(seen.append)
    connect(values, model.told.emit, model)
    values.on_next(5)
    gui.until(lambda: seen == [5])
