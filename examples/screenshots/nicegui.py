"""Makes `docs/images/ui-nicegui.png`: `python -m examples.screenshots.nicegui`."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from examples.first.nicegui_app import page
from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import serve_in_thread

from .browser import browser_page, web

PICTURE = Path("docs/images/ui-nicegui.png")


def take(path: Path = PICTURE) -> None:
    """Send some messages, drop the connection, and take the countdown."""
    with (
        serve_in_thread(require_token=False, echo=True) as server,
        use_websocket(f"{server.url}/v1/ws", loop="thread", reconnect_delay=5.0) as store,
        web(lambda: page(store)) as url,
        browser_page(url, width=440, height=460) as tab,
    ):
        for text in ("good morning", "is anybody there?", "see you"):
            say(tab, text)
        server.refuse(503, times=2)
        server.drop()
        expect(tab.get_by_text("reconnecting in 4 s")).to_be_visible(timeout=10_000)
        tab.screenshot(path=path)


def say(tab: Page, text: str) -> None:
    """Send a text, and wait for its echo."""
    box = tab.get_by_label("say something")
    box.fill(text)
    box.press("Enter")
    expect(tab.get_by_text(f'{{"text": "{text}"}}')).to_be_visible()


if __name__ == "__main__":
    take()
