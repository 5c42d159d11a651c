"""The demo's live view; the one module that imports `rich`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from heimdall_reactive.base.state import ConnectionState, Status

from .picture import Event, Picture, Scene
from .text import clock, printable

__all__ = ["LiveView"]

_FRAME: Final = 0.08  # seconds between two drawings: smooth for the eye, idle for the processor
_WIDEST: Final = 110  # columns; longer lines are hard to read
_FIXED: Final = 18  # lines of everything but the feed, for eight chapters

_COLOURS: Final = {
    Status.IDLE: "white",
    Status.CONNECTING: "cyan",
    Status.CONNECTED: "green",
    Status.WAITING: "yellow",
    Status.DISCONNECTING: "white",
    Status.DISCONNECTED: "white",
    Status.FAILED: "red",
}

_MARKS: Final = {
    "received": ("<- ", "green"),
    "sent": ("-> ", "cyan"),
    "status": ("== ", "yellow"),
    "error": ("!! ", "red"),
}


class LiveView:
    """Draws the picture on the terminal's other screen, which leaves the first as it was.

    Args:
        picture: what to draw.
        console: where; by default standard output.
    """

    def __init__(self, picture: Picture, console: Console | None = None) -> None:
        self._picture = picture
        self._console = console or Console(highlight=False)
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,  # drawn by a task: nothing changes while it draws
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=self.render,
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Go back to the first screen."""
        self._live.stop()

    def show(self, event: Event) -> None:
        """Draw at once."""
        self._live.refresh()

    async def draw(self) -> None:
        """Draw again and again: the countdown runs."""
        while True:
            self._live.refresh()
            await asyncio.sleep(_FRAME)

    def render(self) -> RenderableType:
        """Build the screen for the terminal's present size."""
        width = min(self._console.width, _WIDEST)
        room = max(1, self._console.height - _FIXED)
        parts = (
            _title(self._picture, width),
            _box("connection", _connection(self._picture, width - 6), width),
            _box("story", map(_scene, self._picture.scenes), width),
            _box("messages", _feed(self._picture, room), width),
            _numbers(self._picture),
        )
        return Group(*parts)


def _box(title: str, lines: Iterable[RenderableType], width: int) -> Panel:
    return Panel(
        Group(*lines), title=title, title_align="left", border_style="bright_black", width=width
    )


def _line(*parts: str | tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _title(picture: Picture, width: int) -> RenderableType:
    passed = time.monotonic() - picture.began
    row = Table.grid(expand=False)
    row.add_column(width=width // 2)
    row.add_column(width=width - width // 2, justify="right")
    row.add_row(
        _line("  ", ("heimdall-reactive", "bold"), " demo"),
        _line((f"{passed:.1f} of about {picture.seconds:g} s  ", "bright_black")),
    )
    return row


def _connection(picture: Picture, width: int) -> Iterable[Text]:
    state = picture.state
    colour = _COLOURS[state.status]
    badge = (f" {state.status.upper()} ", f"bold {colour} reverse")
    yield _line(badge, "  ", *_next(picture, width - len(badge[0]) - 2))
    ping = "" if picture.latency is None else f", ping {picture.latency * 1000:.1f} ms"
    session = f"session {state.session}" if state.session else "no session yet"
    yield _line((f"{session}{ping}{_cause(state)}", "bright_black"))


def _next(picture: Picture, width: int) -> Iterable[str | tuple[str, str]]:
    """Say what comes next: the countdown with its bar, or how long it has been up."""
    state, now = picture.state, time.time()
    if state.status is Status.WAITING and state.retry_at is not None:
        left = max(0.0, state.retry_at - now)
        words = f"attempt {state.attempt} in {left:4.1f} s  "
        whole = max(0.001, state.retry_at - picture.waited_from)
        size = max(0, min(40, width - len(words)))
        full = round(size * min(1.0, left / whole))
        return words, ("━" * full, "yellow"), ("━" * (size - full), "bright_black")
    if state.is_connected and state.connected_at is not None:
        return (f"for {max(0.0, now - state.connected_at):.1f} s",)
    if state.status is Status.CONNECTING and state.attempt:
        return (f"attempt {state.attempt}",)
    return ("until somebody calls connect()",) if state.status is Status.FAILED else ()


def _cause(state: ConnectionState) -> str:
    return f", {printable(str(state.error))}" if state.error else ""


def _scene(scene: Scene) -> Text:
    if not scene.told:
        return _line((f"·  {scene.title}", "bright_black"))
    if scene.outcome is None:
        return _line(("▶  ", "yellow"), (f"{scene.title:<10}", "bold"), scene.text)
    mark = ("✓  ", "green") if scene.outcome else ("✗  ", "red")
    return _line(mark, f"{scene.title:<10}", (scene.text, "bright_black"))


def _feed(picture: Picture, room: int) -> Iterable[Text]:
    events = [event for event in picture.feed if event.kind != "story"][-room:]
    for event in events:
        mark, colour = _MARKS[event.kind]
        yield _line((f"{clock(event.at)}  ", "bright_black"), (mark, colour), event.text)
    for _ in range(room - len(events)):
        yield _line(" ")


def _numbers(picture: Picture) -> Text:
    counts = f"  {picture.received} received, {picture.sent} sent, session {picture.state.session}"
    return _line((f"{counts}; Ctrl-C ends", "bright_black"))
