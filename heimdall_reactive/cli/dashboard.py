"""`dashboard`: connections, messages and faults in a browser."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from heimdall_reactive import use_websocket, ws_config
from heimdall_reactive.base.endpoints import redact
from heimdall_reactive.base.exceptions import InvalidEndpoint

from .dialing import CLOSE_TIMEOUT, Message, given_token
from .output import CommandError, Output, UsageError

if TYPE_CHECKING:
    from heimdall_reactive.dashboard import Board, Embedded

__all__ = ["dashboard"]

PING: Final = 5.0  # seconds between pings of another's server: seldom for it, often for a plot
FRAMEWORK: Final = {"nicegui", "fastapi", "starlette", "uvicorn"}


async def dashboard(options: argparse.Namespace, out: Output) -> int:
    """Serve the dashboard until it is cancelled.

    Raises:
        CommandError: NiceGUI is not installed, or the address cannot be bound.
        UsageError: a token without an endpoint.
    """
    try:
        from heimdall_reactive.dashboard import serving
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in FRAMEWORK:
            raise
        text = "the dashboard needs NiceGUI: pip install 'heimdall-reactive[dashboard]'"
        raise CommandError(text) from None
    async with _board(options) as (board, embedded):
        try:
            async with serving(board, embedded, host=options.host, port=options.port) as url:
                out.line(f"dashboard  {url}")
                for connection in board.connections:
                    out.line(f"connection {connection.about}")
                out.line("Ctrl-C ends")
                await asyncio.Event().wait()
        except OSError as error:
            why = error.strerror or "no such address"
            address = f"{options.host}:{options.port}"
            raise CommandError(f"cannot listen on {address}: {why}; try another --port") from None
    return 0


@asynccontextmanager
async def _board(options: argparse.Namespace) -> AsyncIterator[tuple[Board, Embedded | None]]:
    """Make the stores of the endpoints that are given, or of an embedded server."""
    from heimdall_reactive.dashboard import Board, BoardConnection, embedded_board

    token = given_token(options)
    if not options.endpoint:
        if token is not None:
            raise UsageError("a token is for an --endpoint; the embedded server has its own")
        async with embedded_board() as pair:
            yield pair
        return
    connections = []
    for number, endpoint in enumerate(options.endpoint, 1):
        store = use_websocket(
            endpoint,
            message_type=Message,
            access_token=token,
            allow_insecure_token=options.allow_insecure_token,
            max_reconnect_attempts=None,
            ping_interval=PING,
            close_timeout=CLOSE_TIMEOUT,
        )
        url = _shown(endpoint)
        connections.append(BoardConnection(_name(url, number), url, store))
    board = Board(connections, [token] if token else [])
    try:
        yield board, None
    finally:
        await board.aclose()


def _shown(endpoint: str) -> str:
    """Return the URL without what may be secret in it."""
    try:
        return redact(ws_config.resolve(endpoint))
    except InvalidEndpoint:
        return redact(endpoint)


def _name(url: str, number: int) -> str:
    parts = urlsplit(url)
    return f"{number} {(parts.path.rpartition('/')[2] or parts.hostname or 'endpoint')[:24]}"
