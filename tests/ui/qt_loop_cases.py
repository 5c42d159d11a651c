"""Qt with asyncio, and QML: run by `test_qt.py` for PySide6 and PyQt6."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from reactivex.subject import BehaviorSubject

from heimdall_reactive.bindings import badge
from heimdall_reactive.bindings.qt import connect, to_property

from .qt_support import API, Gui, QtCore, QtWidgets, running
from .support import Stage, observers


@pytest.fixture(scope="module")
def gui() -> Iterator[Gui]:
    yield from running()


# qasync 0.28 uses names of asyncio that Python 3.14 deprecates: policies, `iscoroutinefunction`.
OF_QASYNC = pytest.mark.filterwarnings(r"ignore:'asyncio\..*is deprecated:DeprecationWarning")


@pytest.fixture
def qasync() -> Any:
    return pytest.importorskip("qasync", reason="pip install qasync")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - widgets tell nobody
            await asyncio.sleep(0.002)


@OF_QASYNC
def test_a_store_on_the_loop_of_qt(gui: Gui, stage: Stage, qasync: Any) -> None:
    loops: tuple[Any, ...] = asyncio.SelectorEventLoop, qasync.QEventLoop
    asked, given = (inspect.signature(loop._add_reader).parameters for loop in loops)
    if "context" in asked and "context" not in given:
        pytest.skip("this version of qasync opens no socket on this version of Python")

    async def main() -> None:
        here = threading.get_ident()
        async with stage.store(loop="auto") as store:
            before = observers(store)
            box, label, plain = QtWidgets.QCheckBox(), QtWidgets.QLabel(), QtWidgets.QLabel()
            connect(store.is_connected, box.setChecked)
            connect(badge(store), label.setText, select=str)
            where: set[int] = set()

            def show(message: object) -> None:  # no binding is needed: it is this thread
                where.add(threading.get_ident())
                plain.setText(str(message))

            subscription = store.last_message.subscribe(show)
            await store.wait_connected(timeout=5)
            stage.say(3)
            await until(lambda: "3" in plain.text() and box.isChecked())
            stage.go_offline(store)
            await until(lambda: "reconnecting in" in label.text() and not box.isChecked())
            await until(lambda: label.text() == "connected" and box.isChecked())
            assert where == {here}
            subscription.dispose()
            for widget in (box, label):
                widget.deleteLater()
            await until(lambda: observers(store) == before)

    with qasync.QEventLoop(gui.app) as loop:
        loop.run_until_complete(main())


@OF_QASYNC
def test_a_store_beside_the_loop_of_qt(gui: Gui, stage: Stage, qasync: Any) -> None:
    """`qasync.run` installs a policy whose loops do not work on another thread."""

    async def main() -> None:
        with stage.store(loop="thread") as store:
            box = QtWidgets.QCheckBox()
            connect(store.is_connected, box.setChecked)
            await until(box.isChecked)

    before = asyncio.get_event_loop_policy()
    qasync.run(main())
    asyncio.set_event_loop_policy(before)


@pytest.mark.leaky
def test_qt_asyncio_opens_no_sockets() -> None:
    """It has no `create_connection`, so the store leaves for its own thread."""
    if API != "PySide6":
        pytest.skip("QtAsyncio is a part of PySide6")
    if importlib.util.find_spec("PySide6.QtAsyncio") is None:
        pytest.skip("pip install PySide6-Addons")
    done = subprocess.run(
        [sys.executable, "-c", ON_QT_ASYNCIO], capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr) == ("checked on heimdall-reactive\n", "")


ON_QT_ASYNCIO = """
import asyncio, threading
from PySide6 import QtAsyncio, QtWidgets
from heimdall_reactive import use_websocket
from heimdall_reactive.bindings.qt import connect
from heimdall_reactive.devserver import serve_in_thread

app = QtWidgets.QApplication([])

async def main():
    with serve_in_thread(require_token=False) as server:
        with use_websocket(server.url + "/v1/ws") as store:
            box, where = QtWidgets.QCheckBox(), []
            store.is_connected.subscribe(lambda _: where.append(threading.current_thread().name))
            connect(store.is_connected, box.setChecked)
            while not box.isChecked():
                await asyncio.sleep(0.01)
            print("checked on", where[-1])

QtAsyncio.run(main(), keep_running=False)
"""


QML = b"""
import QtQml
QtObject {
    property string text: message.value ? "n = " + message.value.n : "nothing yet"
    property int changes: 0
    property var count: Connections { target: message; function onChanged() { changes += 1 } }
}
"""


def test_qml_follows(gui: Gui) -> None:
    qml: Any = pytest.importorskip(f"{API}.QtQml", exc_type=ImportError)
    source: BehaviorSubject[Any] = BehaviorSubject(None)
    engine = qml.QQmlEngine()
    engine.rootContext().setContextProperty("message", to_property(source, engine))
    component = qml.QQmlComponent(engine)
    component.setData(QML, QtCore.QUrl())
    thing = component.create()
    assert thing is not None, component.errorString()
    assert thing.property("text") == "nothing yet"
    threading.Thread(target=source.on_next, args=({"n": 6},)).start()
    gui.until(lambda: thing.property("text") == "n = 6")
    assert thing.property("changes") == 1
    thing.deleteLater()
    engine.deleteLater()
    gui.until(lambda: not source.observers)
