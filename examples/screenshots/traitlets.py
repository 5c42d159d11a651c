"""Makes `docs/images/ui-traitlets.png`: the widgets of `notebooks/04_widgets.ipynb`, in JupyterLab.

`python -m examples.screenshots.traitlets`; it needs `jupyterlab`, `ipywidgets` and `chromium`.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "ui-traitlets.png"
NOTEBOOK = ROOT / "notebooks" / "04_widgets.ipynb"
CELLS = 8  # up to the widgets


@contextmanager
def jupyter() -> Iterator[str]:
    """Run JupyterLab on a copy of the notebook; yield the address that opens it."""
    token = secrets.token_hex()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(NOTEBOOK, folder)
        options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
                   f"--IdentityProvider.token={token}", f"--notebook-dir={folder}",
                   f"--LabApp.workspaces_dir={folder}"]  # fmt: skip
        program = [sys.executable, "-m", "jupyterlab", *options]
        with subprocess.Popen(program, stderr=subprocess.DEVNULL) as server:
            try:
                wait_for(port)
                yield f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK.name}?token={token}&reset"
            finally:
                server.terminate()


def wait_for(port: int, timeout: float = 60) -> None:
    """Wait until somebody listens on a port."""
    until = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def use(page: Page) -> Locator:
    """Run the cells up to the widgets, use these as a person would, and return them."""
    page.locator(".jp-Notebook .jp-Cell").first.click(timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    for _ in range(CELLS):
        page.keyboard.press("Shift+Enter")
    view = page.locator(".widget-vbox").first
    view.get_by_text("connected").wait_for(timeout=30_000)
    for text in ("good morning", "is anybody there?", "see you"):
        view.get_by_placeholder("say something").fill(text)
        view.get_by_placeholder("say something").press("Tab")
        view.get_by_role("button", name="send").click()
        view.get_by_text(text).wait_for()
    page.wait_for_timeout(3000)  # a plot that is long enough
    view.get_by_role("button", name="drop").click()
    view.get_by_text("reconnecting in 1 s (attempt 2)").wait_for()
    return view


def main() -> None:
    """Take the picture while the store waits."""
    with jupyter() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": 840, "height": 900}, device_scale_factor=2)
        page.goto(url)
        use(page).screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
