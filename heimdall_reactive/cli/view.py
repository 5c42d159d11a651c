"""How the demo is shown: plain lines, or live where `rich` and a terminal are there."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Self

from .output import Output
from .picture import Event, Picture, View
from .text import clock

__all__ = ["PlainView", "choose_view"]


class PlainView:
    """One line for each event, without any escape code.

    Args:
        out: where they go.
    """

    def __init__(self, out: Output) -> None:
        self._out = out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Leave nothing: the lines stay."""

    def show(self, event: Event) -> None:
        """Print the event."""
        self._out.line(f"{clock(event.at)}  {event.kind:<8}  {event.text}")

    async def draw(self) -> None:
        """Wait: lines do not change."""
        await asyncio.Event().wait()


def choose_view(picture: Picture, out: Output) -> View:
    """Return the live view where it can work, else the plain one."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if not terminal or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return PlainView(out)
    try:
        from .live import LiveView
    except ImportError:
        out.line("for the live view: pip install 'heimdall-reactive[cli]'")
        return PlainView(out)
    return LiveView(picture)
