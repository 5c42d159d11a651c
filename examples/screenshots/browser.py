"""A page on a free port, and a real browser that looks at it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI
from nicegui import ui
from playwright.sync_api import Page, sync_playwright

__all__ = ["browser_page", "serving", "web"]


@contextmanager
def web(root: Callable[[], object], storage_secret: str | None = None) -> Iterator[str]:
    """Serve a NiceGUI page on this machine, from a thread; yield its URL.

    NiceGUI is one for the process, so only one page can be served at a time.
    """
    app = FastAPI()
    ui.run_with(
        app,
        root=root,
        show_welcome_message=False,
        reconnect_timeout=0.5,
        storage_secret=storage_secret,
    )
    with serving(app) as url:
        yield url


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an ASGI application on this machine, from a thread; yield its URL."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=1
        )
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started: Future[None] = Future()

        async def serve() -> None:
            task = asyncio.create_task(server.serve([listener]))
            while not (server.started or task.done()):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            started.set_result(None)
            await task

        thread = threading.Thread(target=lambda: asyncio.run(serve()), name="uvicorn")
        thread.start()
        try:
            started.result(30)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def browser_page(
    url: str, width: int = 1280, height: int = 800, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    """Open a URL in Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=2
        )
        tab.goto(url)
        yield tab
        browser.close()
