"""Makes `docs/images/ui-textual.png`: `python -m examples.screenshots.textual`.

Textual draws an SVG; Chromium makes pixels of it.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input, Label, Log

from examples.textual_app import Heimdall
from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import serve_in_thread

PICTURE = Path("docs/images/ui-textual.png")
TEXTS = ("good morning", "is anybody there?", "see you")
SIZE = (820, 454)  # pixels of 60 columns and 15 lines, with the frame of Textual's SVG


async def draw() -> str:
    """Send some messages, drop the connection, and return the countdown as an SVG."""
    with (
        serve_in_thread(require_token=False, echo=True) as server,
        use_websocket(f"{server.url}/v1/ws", loop="thread", reconnect_delay=5.0) as store,
    ):
        app = Heimdall(store, server)
        async with app.run_test(size=(60, 15)) as pilot:
            box = app.query_one(Input)
            for text in TEXTS:
                await until(pilot, lambda: not box.disabled)
                box.focus().value = text
                await pilot.press("enter")
                await until(pilot, lambda: len(box.value) == 0)
            await until(pilot, lambda: TEXTS[-1] in "".join(app.query_one(Log).lines))
            await pilot.click("Button")
            await until(
                pilot, lambda: "again in 4 s" in str(app.query_one("#status", Label).visual)
            )
            return app.export_screenshot(title="python -m examples.textual_app")


async def until(pilot: Pilot[None], condition: Callable[[], bool], timeout: float = 10.0) -> None:
    """Let the app go on until a condition holds."""
    async with asyncio.timeout(timeout):
        while not condition():
            await pilot.pause(0.01)


def take(path: Path = PICTURE) -> None:
    """Draw, and have Chromium make a PNG of it."""
    svg = asyncio.run(draw())
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(
            f"<style>body{{margin:0;overflow:hidden}} svg{{width:{SIZE[0]}px}}</style>{svg}"
        )
        subprocess.run(
            [shutil.which("chromium") or "chromium", "--headless", "--no-sandbox", "--disable-gpu",
             f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={path.resolve()}",
             f"--user-data-dir={folder}/profile", page.as_uri()],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip


if __name__ == "__main__":
    take()
