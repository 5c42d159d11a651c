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
from textual.widgets import Input, Label

from examples.live.feed import Market, market
from examples.live.textual_app import Live

PICTURE = Path("docs/images/ui-textual.png")
POINTS = 60  # of the plot
SIZE = (900, 552)  # pixels of 90 columns and 26 lines, with the frame of Textual's SVG


async def draw(live: Market) -> str:
    """Add a row, let the plot begin, drop the connection, and return the countdown as an SVG."""
    app = Live(live)
    async with app.run_test(size=(90, 26)) as pilot:
        box = app.query_one(Input)
        await until(pilot, lambda: not box.disabled)
        box.focus().value = "MINE"
        await pilot.press("enter")
        await until(pilot, lambda: len(live.minute.value.x) > POINTS, 30)
        live.drop()
        await until(
            pilot, lambda: "reconnecting in 2 s" in str(app.query_one("#status", Label).visual)
        )
        return app.export_screenshot(title="python -m examples.live.textual_app")


async def until(pilot: Pilot[None], condition: Callable[[], bool], timeout: float = 10.0) -> None:
    """Let the app go on until a condition holds."""
    async with asyncio.timeout(timeout):
        while not condition():
            await pilot.pause(0.01)


def take(path: Path = PICTURE) -> None:
    """Draw, and have Chromium make a PNG of it."""
    with market() as live:
        svg = asyncio.run(draw(live))
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
