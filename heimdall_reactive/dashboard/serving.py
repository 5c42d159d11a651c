"""`serving`: a board as a web page, on the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI
from nicegui import ui
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response

from heimdall_reactive.base.endpoints import is_loopback
from heimdall_reactive.base.masking import told
from heimdall_reactive.base.starting import start_task

from .board import Board
from .embedded import Embedded
from .page import page

__all__ = ["serving"]

logger: Final = logging.getLogger("heimdall_reactive")

BACKLOG: Final = 128
GRACE: Final = 1  # seconds that open requests get at the end; whole ones, as uvicorn has it


class _Server(uvicorn.Server):
    """One that leaves signals to the program around it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(
    board: Board,
    embedded: Embedded | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    reconnect_timeout: float = 3.0,
) -> AsyncIterator[str]:
    """Serve the dashboard for the length of an `async with` block; yield its URL.

    NiceGUI is one for the process: another dashboard needs another process.

    Args:
        board: of stores on this event loop; it ticks here.
        embedded: its server, where it has one; its traffic runs here.
        host: address to listen on. Where it is this machine's own, requests for another host are
            refused: a page of the web cannot reach the dashboard by a name of its own.
        port: port to listen on; 0 takes a free one.
        reconnect_timeout: seconds that a closed tab is kept for its return.

    Raises:
        OSError: the address cannot be bound.
    """
    app = FastAPI(openapi_url=None)  # its pages of documentation load scripts from elsewhere
    if is_loopback(host):
        app.add_middleware(
            TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", host]
        )
    app.middleware("http")(_unframed)
    ui.run_with(
        app, root=lambda: page(board, embedded), title="Heimdall", dark=None,
        reconnect_timeout=reconnect_timeout, tailwind=False, show_welcome_message=False,
    )  # fmt: skip
    with _listener(host, port) as listener:
        server = _Server(uvicorn.Config(
            app, log_config=None, access_log=False, ws="wsproto", timeout_graceful_shutdown=GRACE,
        ))  # fmt: skip
        work = [board.run()] if embedded is None else [board.run(), embedded.run()]
        async with _running(server, listener):
            tasks = [start_task(item) for item in work]
            for task in tasks:
                task.add_done_callback(_report)
            try:
                yield _url(listener)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def _unframed(request: Request, answer: RequestResponseEndpoint) -> Response:
    """Let no other page put the dashboard into a frame, under buttons of its own (RFC 7034)."""
    response = await answer(request)
    response.headers["X-Frame-Options"] = "DENY"
    return response


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a task of the dashboard ended: %s", told(error))


@asynccontextmanager
async def _running(server: uvicorn.Server, listener: socket.socket) -> AsyncIterator[None]:
    task = start_task(server.serve([listener]))
    while not (server.started or task.done()):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    if task.done():
        task.result()
    try:
        yield
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def _url(listener: socket.socket) -> str:
    address = listener.getsockname()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], str(address[0]))
    return f"http://{f'[{host}]' if ':' in host else host}:{address[1]}"
