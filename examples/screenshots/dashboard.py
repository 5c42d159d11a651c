"""Makes `docs/images/dashboard-*.png`: `python -m examples.screenshots.dashboard`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image
from playwright.sync_api import Page, expect

from heimdall_reactive.dashboard import Board, Embedded, embedded_board, serving

from .browser import browser_page

IMAGES = Path("docs/images")
WIDE = (1440, 1000)
NARROW = (390, 1560)
WARM_UP = 45.0  # seconds of traffic that the plots show


class Shown(NamedTuple):
    """A dashboard that runs.

    Attributes:
        url: of its page.
        board: its connections.
        embedded: its server.
        loop: where all of it lives; other threads post there.
    """

    url: str
    board: Board
    embedded: Embedded
    loop: asyncio.AbstractEventLoop


@contextmanager
def shown(reconnect_delay: float = 3.0, reconnect_timeout: float = 3.0) -> Iterator[Shown]:
    """Run a dashboard on an event loop in a thread of its own."""
    started: Future[Shown] = Future()
    stop = asyncio.Event()

    async def main() -> None:
        async with (
            embedded_board(reconnect_delay) as (board, embedded),
            serving(board, embedded, port=0, reconnect_timeout=reconnect_timeout) as url,
        ):
            started.set_result(Shown(url, board, embedded, asyncio.get_running_loop()))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="dashboard")
    thread.start()
    dashboard = started.result(30)
    try:
        yield dashboard
    finally:
        dashboard.loop.call_soon_threadsafe(stop.set)
        thread.join()


def press(tab: Page, name: str) -> None:
    """Press a button of the page."""
    tab.get_by_role("button", name=name, exact=True).click()


def take(
    dashboard: Shown, name: str, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    """Take one picture; in the dark ones there was an outage, and one user is banned."""
    with browser_page(dashboard.url, *size, scheme=scheme) as tab:
        expect(tab.locator(".badge.good")).to_have_count(3, timeout=20_000)
        press(tab, "Roles updated")
        press(tab, "Subscribe")
        press(tab, "Send")
        expect(tab.get_by_text("delivered on updates")).to_be_visible()
        if scheme == "dark":
            tab.get_by_role("button", name="bo", exact=True).click()
            press(tab, "Ban")
            press(tab, "Outage")
            expect(tab.locator(".badge.busy", has_text="attempt 2")).to_have_count(2, timeout=9_000)
        tab.mouse.move(0, 0)
        tab.evaluate("scrollTo(0, 0); document.activeElement.blur()")
        path = IMAGES / f"dashboard-{name}-{scheme}.png"
        tab.screenshot(path=path, full_page=name == "wide")
    if scheme == "dark":
        dashboard.embedded.server.forgive()
        for connection in dashboard.board.connections:
            connection.store.connect()
    # 200 colours are enough for it, and take a third of the room.
    Image.open(path).quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Take all four."""
    with shown() as dashboard:
        with browser_page(dashboard.url) as tab:
            tab.wait_for_timeout(WARM_UP * 1000)
        take(dashboard, "wide", WIDE, "light")
        take(dashboard, "narrow", NARROW, "light")
        take(dashboard, "wide", WIDE, "dark")
        take(dashboard, "narrow", NARROW, "dark")


if __name__ == "__main__":
    main()
