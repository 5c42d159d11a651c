"""`demo`: watch a connection break and reconnect."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Self

from heimdall_reactive.base.exceptions import WaitTimeout
from heimdall_reactive.base.starting import start_task
from heimdall_reactive.base.state import ConnectionState, Status
from heimdall_reactive.devserver import DevServer

from .output import CommandError, Output
from .story import CHAPTERS, Chapter, DemoStage, Event, Picture, Scene
from .text import clock, describe, printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.panel import Panel
    from rich.text import Text

__all__ = ["demo"]

_LENGTH: Final = 20.0  # seconds of the story as it is written
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


async def demo(options: argparse.Namespace, out: Output) -> int:
    """Play the story, and print whether it went as planned.

    Raises:
        CommandError: the port cannot be bound.
    """
    server = DevServer(port=options.port, echo=True)
    try:
        await server.start()
    except OSError as error:
        raise CommandError(
            f"cannot listen on 127.0.0.1:{options.port}: {error.strerror}; try another --port"
        ) from None
    try:
        stage = DemoStage(server, options.seconds / _LENGTH)
        async with stage.store:
            return await _show(stage, options.seconds, out)
    finally:
        await server.stop()


async def _show(stage: DemoStage, seconds: float, out: Output) -> int:
    picture = Picture(show=lambda _: None, seconds=seconds)
    picture.scenes = [Scene(chapter) for chapter in CHAPTERS]
    with _choose_view(picture, out) as view:
        picture.show = view.show
        picture.observe(stage.store)
        tasks = [start_task(view.draw()), start_task(stage.publish())]
        try:
            problem = await _play(stage, picture)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    for line in _summary(stage, picture, problem):
        out.line(line)
    return 1 if problem else 0


async def _play(stage: DemoStage, picture: Picture) -> str:
    """Play the chapters, and return what went wrong, or nothing."""
    due = time.monotonic()
    for scene in picture.scenes:
        chapter = scene.chapter
        due += chapter.length * stage.unit
        picture.states.clear()
        picture.tell(chapter.text)
        scene.told = True
        problem = await _act(chapter, stage, picture.states)
        scene.outcome = not problem
        if problem:
            return f"{chapter.title}: {problem}"
        await asyncio.sleep(max(0.3 * stage.unit, due - time.monotonic()))
    picture.tell("the story ends with disconnect()")
    stage.store.disconnect()
    try:
        await stage.reach(lambda state: state.status is Status.DISCONNECTED)
    except WaitTimeout:
        return "the store did not disconnect"
    return f"{stage.lost} notes were lost" if stage.lost else ""


async def _act(chapter: Chapter, stage: DemoStage, seen: Sequence[ConnectionState]) -> str:
    """Let a chapter happen, and return what went wrong, or nothing."""
    try:
        await chapter.act(stage)
    except WaitTimeout:
        now = describe(stage.store.state.value)
        return f"not finished after {stage.limit:.0f} s; the store is {now}"
    if chapter.proof(seen):
        return ""
    return f"the store did something else: {', '.join(describe(state) for state in seen[-4:])}"


def _summary(stage: DemoStage, picture: Picture, problem: str) -> Iterator[str]:
    stats = stage.store.stats
    done = [scene for scene in picture.scenes if scene.outcome]
    yield ""
    yield "Summary"
    yield f"  story           {', '.join(scene.chapter.title for scene in done) or 'nothing'}"
    yield f"  connections     {picture.state.session}, with {stats.attempts} attempts"
    yield f"  messages        {stats.received} received, {stats.sent} sent, {stage.lost} lost"
    yield f"  sends           {stats.delivered} delivered, {stats.in_doubt} in doubt"
    yield f"  longest outage  {picture.longest:.1f} s"
    yield f"  tokens          {stage.tokens_issued} from the provider"
    yield f"  took            {time.monotonic() - picture.began:.1f} s"
    verdict = f"unexpected: {problem}" if problem else "reconnected every time"
    yield f"  verdict         {len(done)} of {len(CHAPTERS)} chapters, {verdict}"


def _choose_view(picture: Picture, out: Output) -> PlainView | LiveView:
    """Return the live view where it can work, else the plain one."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if not terminal or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return PlainView(out)
    try:
        return LiveView(picture)
    except ImportError:
        out.line("for the live view: pip install 'heimdall-reactive[cli]'")
        return PlainView(out)


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


class LiveView:
    """Draws the picture on the terminal's other screen, which leaves the first as it was.

    Args:
        picture: what to draw.

    Raises:
        ImportError: `rich` is not installed.
    """

    def __init__(self, picture: Picture) -> None:
        from rich.console import Console
        from rich.live import Live

        self._picture = picture
        self._console = Console(highlight=False)
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
        from rich.console import Group

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
    from rich.console import Group
    from rich.panel import Panel

    return Panel(
        Group(*lines), title=title, title_align="left", border_style="bright_black", width=width
    )


def _line(*parts: str | tuple[str, str]) -> Text:
    from rich.text import Text

    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _title(picture: Picture, width: int) -> RenderableType:
    from rich.table import Table

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
    return ("until connect() is called",) if state.status is Status.FAILED else ()


def _cause(state: ConnectionState) -> str:
    return f", {printable(str(state.error))}" if state.error else ""


def _scene(scene: Scene) -> Text:
    title, text = scene.chapter.title, scene.chapter.text
    if not scene.told:
        return _line((f"·  {title}", "bright_black"))
    if scene.outcome is None:
        return _line(("▶  ", "yellow"), (f"{title:<10}", "bold"), text)
    mark = ("✓  ", "green") if scene.outcome else ("✗  ", "red")
    return _line(mark, f"{title:<10}", (text, "bright_black"))


def _feed(picture: Picture, room: int) -> Iterable[Text]:
    events = [event for event in picture.feed if event.kind != "story"][-room:]
    for event in events:
        mark, colour = _MARKS[event.kind]
        yield _line((f"{clock(event.at)}  ", "bright_black"), (mark, colour), event.text)
    for _ in range(room - len(events)):
        yield _line(" ")


def _numbers(picture: Picture) -> Text:
    counts = f"  {picture.received} received, {picture.sent} sent, session {picture.state.session}"
    return _line((f"{counts}; Ctrl-C quits", "bright_black"))
