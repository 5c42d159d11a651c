"""Makes `docs/images/ui-param.png`: `python -m examples.screenshots.param`. Needs `chromium`."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import panel as pn
from playwright.async_api import Page, async_playwright
from tornado.ioloop import IOLoop

from examples.first.panel_app import page
from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.devserver import serve_in_thread

__all__ = ["say", "tab_of"]

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "ui-param.png"


@asynccontextmanager
async def tab_of(store: WebSocketStore[Any]) -> AsyncIterator[Page]:
    """Serve the application on the running loop, and open it in a browser without a window.

    Panel forgets a session 0.3 s after its tab was closed.
    """
    web: Any = pn.serve(
        lambda: page(store),
        port=0,
        address="127.0.0.1",
        show=False,
        start=False,
        verbose=False,
        loop=IOLoop.current(),
        unused_session_lifetime_milliseconds=300,
        check_unused_sessions_milliseconds=300,
    )
    web.start()
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"))
            size = {"width": 560, "height": 520}
            tab = await browser.new_page(viewport=size, device_scale_factor=2)  # type: ignore[arg-type]
            await tab.goto(f"http://127.0.0.1:{web.port}")
            yield tab
            await browser.close()
    finally:
        web.stop()


async def say(tab: Page, text: str) -> None:
    """Send a text, and wait for its echo, and for the empty box: what is typed before is lost."""
    box = tab.get_by_placeholder("say something")
    await box.fill(text, timeout=20_000)
    await box.press("Enter")
    await tab.get_by_text(f'{{"text": "{text}"}}').wait_for()
    await tab.wait_for_function("box => box.value === ''", arg=await box.element_handle())


async def main() -> None:
    """Say something, drop the connection, and take the picture while it waits."""
    with serve_in_thread(require_token=False, echo=True) as server:
        async with (
            use_websocket(f"{server.url}/v1/ws", max_reconnect_attempts=None) as store,
            tab_of(store) as tab,
        ):
            for text in ("good morning", "the bridge is open", "all is quiet"):
                await say(tab, text)
            server.refuse(503, times=2)
            server.drop()
            await tab.get_by_text("reconnecting in 2 s (attempt 2)").wait_for()
            await tab.wait_for_load_state("networkidle")  # its styles
            await tab.screenshot(path=PICTURE)


if __name__ == "__main__":
    asyncio.run(main())
