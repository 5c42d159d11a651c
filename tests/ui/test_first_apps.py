"""The first block of each page of a framework is a whole application: it runs as it is pasted."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .kernels import kernel
from .support import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```python [^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HELLO = '{"text": "hello"}'


@pytest.fixture
def pasted(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Write the first block of a page into a file; the page is named by the test."""
    page = request.function.__name__.removeprefix("test_a_chat_in_")
    text = (ROOT / "docs" / "ui" / f"{page}.md").read_text(encoding="utf-8")
    found = BLOCK.search(text)
    assert found is not None
    assert text.index("## ") > found.start(), "it comes before everything else"
    code = found[1]
    assert code.count("\n") <= 42, "it is short"
    file = tmp_path / "chat.py"
    file.write_text(code, encoding="utf-8")
    return file


def driven(pasted: Path, driver: str, **environment: str) -> str:
    """Run a file in a process of its own; a driver stands for the user, in place of the loop."""
    script = pasted.with_name("driven.py")
    start = f"import runpy; runpy.run_path({str(pasted)!r}, run_name='__main__')"
    script.write_text(f"{driver}\n{start}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT, capture_output=True, text=True, timeout=55,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.leaky
def test_a_chat_in_textual(pasted: Path) -> None:
    pytest.importorskip("textual")
    pytest.importorskip("pyte", reason="pip install pyte")
    from examples.screenshots.terminal import Terminal

    command = [sys.executable, str(pasted)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Terminal(command, 80, 20, cwd=ROOT, env=environment) as terminal:
        terminal.until(lambda lines: lines[0].strip() == "connected")
        terminal.type("hello\r")
        terminal.until(lambda lines: any(HELLO in line for line in lines))
        terminal.type("\x11")  # Ctrl-Q
        assert terminal.end() == 0


TK_USER = """
import time, tkinter as tk

def use(root, n=0):
    label, log, box = root.winfo_children()
    def until(condition):
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, label.cget("text")
            root.update()
            time.sleep(0.005)
    until(lambda: label.cget("text") == "connected")
    box.insert(0, "hello")
    box.focus_force()
    until(lambda: root.focus_get() is box)
    box.event_generate("<Return>")
    until(lambda: log.size() == 1)
    print(log.get(0))
    root.destroy()

tk.Tk.mainloop = use
"""


@pytest.mark.leaky
def test_a_chat_in_tk(pasted: Path) -> None:
    pytest.importorskip("tkinter")
    from .tk_support import screen

    with screen():
        assert driven(pasted, TK_USER) == f"{HELLO}\n"


QT_USER = """
import sys, time
from PySide6 import QtCore, QtWidgets

def use(app):
    (window,) = app.topLevelWidgets()
    def until(condition):
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, window.status.text()
            app.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 10)
    until(lambda: window.status.text() == "connected")
    window.box.setText("hello")
    window.box.returnPressed.emit()
    until(lambda: window.log.toPlainText() != "")
    print(window.log.toPlainText())
    window.close()

QtWidgets.QApplication.exec = use
"""


@pytest.mark.leaky
def test_a_chat_in_qt(pasted: Path) -> None:
    core = pytest.importorskip("PySide6.QtCore", reason="pip install PySide6-Essentials")
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    if core.__version_info__[:2] == (6, 12) and sys.version_info < (3, 12):
        pytest.skip("PySide6 6.12 aborts on Python before 3.12")
    assert driven(pasted, QT_USER, QT_QPA_PLATFORM="offscreen") == f"{HELLO}\n"


@contextmanager
def page_of(pasted: Path, port: int, add: str = "") -> Iterator[Page]:
    """Run a file that serves a page, on a free port in place of its own; open the page."""
    pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if shutil.which("chromium") is None:
        pytest.skip("this test looks at a page with chromium: apt-get install chromium")
    from examples.screenshots.browser import browser_page

    code, free = pasted.read_text(encoding="utf-8"), free_port()
    assert code.count(f"{port}") == 1  # all that is changed: another test may have that port
    pasted.write_text(code.replace(f"{port}", f"{free}{add}"), encoding="utf-8")
    # Outside of pytest, whose variables put NiceGUI into a mode of its own.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "NICEGUI"))}
    with subprocess.Popen(
        [sys.executable, str(pasted)], cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)}
    ) as server:
        try:
            wait_until(lambda: listens(free), lambda: time.sleep(0.02), 30)
            with browser_page(f"http://127.0.0.1:{free}") as tab:
                yield tab
        finally:
            server.terminate()


def says_hello(tab: Page, box: Locator) -> None:
    """Send a text, and wait until it is shown, and what became of it."""
    tab.get_by_text("connected").wait_for(timeout=20_000)
    box.fill("hello")
    box.press("Enter")
    tab.get_by_text(HELLO).wait_for(timeout=20_000)
    tab.get_by_text("delivered").wait_for(timeout=20_000)


@pytest.mark.leaky
def test_a_chat_in_nicegui(pasted: Path) -> None:
    pytest.importorskip("nicegui")
    with page_of(pasted, 8080, ", show=False") as tab:
        says_hello(tab, tab.get_by_label("say something"))


@pytest.mark.leaky
def test_a_chat_in_param(pasted: Path) -> None:
    pytest.importorskip("panel")
    with page_of(pasted, 5006) as tab:
        says_hello(tab, tab.get_by_placeholder("say something"))


@pytest.mark.leaky
def test_a_chat_in_reacton(pasted: Path) -> None:
    pytest.importorskip("solara", reason="pip install solara-ui")
    pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if shutil.which("chromium") is None:
        pytest.skip("this test looks at a page with chromium: apt-get install chromium")
    from examples.screenshots.browser import browser_page
    from examples.screenshots.solara import FrontEndMissing, front_end, served

    try:
        folder = front_end()
    except FrontEndMissing as error:
        pytest.skip(f"Solara's front end is missing: {error}")
    with (
        served("uvicorn", folder, SOLARA_APP=str(pasted)) as url,
        browser_page(url) as tab,
    ):
        says_hello(tab, tab.get_by_label("say something"))


@pytest.mark.leaky
def test_a_chat_in_traitlets(pasted: Path) -> None:
    pytest.importorskip("ipywidgets")
    with kernel() as cell:
        for _ in range(3):
            cell.run(pasted.read_text(encoding="utf-8"))
            assert cell.run(NOTEBOOK_USER) == f"{HELLO} delivered"


NOTEBOOK_USER = """
import asyncio, html, ipywidgets

async def use():
    kept = list(ipywidgets.widgets.widget._instances.values())
    box = [each for each in kept if isinstance(each, ipywidgets.VBox)][-1]
    status, log, row, word = box.children
    async with asyncio.timeout(20):
        while "connected" not in status.value: await asyncio.sleep(0.01)
        row.children[0].value = "hello"
        row.children[1].click()
        while not log.value or word.value != "delivered": await asyncio.sleep(0.01)
    print(html.unescape(log.value), word.value)

await use()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
