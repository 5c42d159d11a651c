"""The prompt of `connect`: lines with history, below what comes, above how the connection is."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager
from typing import Any, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.patch_stdout import patch_stdout

from heimdall_reactive import WebSocketStore, ws_config
from heimdall_reactive.base.endpoints import redact
from heimdall_reactive.base.exceptions import HeimdallError
from heimdall_reactive.base.state import ConnectionState, Status

from .output import Output
from .show import End, Show, stamped
from .text import describe

__all__ = ["above", "show_in_colour", "typed_lines"]

# Codes of a terminal (ECMA-48, SGR).
CYAN, GREEN, YELLOW, RED = 36, 32, 33, 31
STATUS: Final = {Status.CONNECTED: GREEN, Status.FAILED: RED, Status.DISCONNECTED: RED}


def above() -> AbstractContextManager[None]:
    """Return a context in which what is printed appears above the prompt."""
    return patch_stdout(raw=True)


async def typed_lines(
    store: WebSocketStore[Any], options: argparse.Namespace
) -> AsyncGenerator[str, None]:
    """Yield what is typed, until Ctrl-D or Ctrl-C."""
    history: History = FileHistory(options.history) if options.history else InMemoryHistory()
    url = redact(ws_config.resolve(options.endpoint))
    session: PromptSession[str] = PromptSession(
        "> ", history=history, bottom_toolbar=lambda: _toolbar(url, store), refresh_interval=1.0
    )
    with store.state.subscribe(lambda _: session.app.invalidate()):
        while True:
            try:
                line = await session.prompt_async()
            except (EOFError, KeyboardInterrupt):
                return
            if line:
                yield line


def _toolbar(url: str, store: WebSocketStore[Any]) -> str:
    latency, stats = store.latency.value, store.stats
    parts = [url, describe(store.state.value)]
    if latency is not None:
        parts.append(f"{latency * 1000:.0f} ms")
    parts.append(f"{stats.sent} sent, {stats.received} received")
    return "  |  ".join(parts)


def show_in_colour(options: argparse.Namespace, out: Output) -> Show:
    """Return what writes each event as a line, in a colour unless `NO_COLOR` is set."""
    plain = ColorDepth.from_env() is ColorDepth.DEPTH_1_BIT

    def show(name: str, value: Any) -> None:
        line = stamped(value, options, "< " if name == "message" else "")
        out.line(line if plain else f"\x1b[{_colour(value)}m{line}\x1b[0m")

    return show


def _colour(value: Any) -> int:
    match value:
        case ConnectionState():
            return STATUS.get(value.status, YELLOW)
        case HeimdallError() | End():
            return RED
    return CYAN
