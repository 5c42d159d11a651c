"""Makes `docs/images/ui-reacton.png`: `python -m examples.screenshots.reacton`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from heimdall_reactive.devserver import DevServer, serve_in_thread

from .solara import front_end, served

APP = Path(__file__).parents[1] / "first" / "solara_app.py"
PICTURE = Path("docs/images/ui-reacton.png")


@contextmanager
def chat(folder: Path) -> Iterator[tuple[DevServer, str]]:
    """Serve the application with a server of ours; yield that, and the address of the page."""
    with (
        serve_in_thread(require_token=False, echo=True) as server,
        tempfile.TemporaryDirectory() as name,
    ):
        file = Path(name) / "chat.py"
        text = APP.read_text(encoding="utf-8")
        file.write_text(text.replace('f"{server.url}/v1/ws"', f'"{server.url}/v1/ws"'))
        with served("uvicorn", folder, SOLARA_APP=str(file)) as url:
            yield server, url


def take(path: Path = PICTURE) -> None:
    """Send some messages, drop the connection, and take the countdown."""
    with chat(front_end()) as (server, url), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page(viewport={"width": 560, "height": 500}, device_scale_factor=2)
        tab.goto(url)
        for text in ("good morning", "is anybody there?", "see you"):
            say(tab, text)
        server.refuse(503, times=2)
        server.drop()
        tab.get_by_text("reconnecting in 2 s").wait_for()  # looks in each frame of the second
        tab.screenshot(path=path)
        browser.close()


def say(tab: Page, text: str) -> None:
    """Send a text, and wait for its echo."""
    box = tab.get_by_label("say something")
    expect(box).to_be_enabled(timeout=20_000)
    box.fill(text)
    box.press("Enter")
    expect(tab.get_by_text(f'{{"text": "{text}"}}')).to_be_visible()


if __name__ == "__main__":
    take()
