"""Makes `docs/images/ui-reacton.png`: `python -m examples.screenshots.reacton`."""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from .solara import front_end, served

PICTURE = Path("docs/images/ui-reacton.png")


def take(path: Path = PICTURE) -> None:
    """Send some messages, drop the connection, and take the countdown."""
    with served("examples.reacton_app", front_end()) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page(viewport={"width": 440, "height": 400}, device_scale_factor=2)
        tab.goto(url)
        for text in ("good morning", "is anybody there?", "see you"):
            say(tab, text)
        tab.get_by_role("button", name="drop").click()
        tab.get_by_text("reconnecting in 2 s").wait_for()  # looks in each frame of the second
        tab.locator(".v-card").screenshot(path=path)
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
