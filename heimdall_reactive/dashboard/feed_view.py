"""The feed in one tab: the newest lines, filtered by kind and connection, and one in full."""

from __future__ import annotations

import html
import json
import time
from functools import partial
from typing import Any, Final

from nicegui import ui

from heimdall_reactive.bindings import bind
from heimdall_reactive.bindings.nicegui import scope

from .board import Board
from .feed import LONGEST, Line
from .parts import Segments, Text, box, button, card, labelled

__all__ = ["FeedView"]

ROWS: Final = 60
PREVIEW: Final = 240  # characters of a row
WHOLE: Final = 4 * LONGEST  # characters of a line in full: indented, deep lists grow by a thousand
CHIPS: Final = 24  # kinds with a button

MARKS: Final = {"in": "↓", "out": "↑", "state": "●", "error": "!"}
PICK: Final = "(e) => { const row = e.target.closest('[data-n]'); if (row) emit(row.dataset.n); }"


class FeedView:
    """Draws the feed where something is new, four times a second at most.

    Args:
        board: whose feed it is.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._kinds: set[str] = set()
        self._where: str | None = None
        self._paused = False
        self._drawn: object = None
        self._chips: dict[str, tuple[ui.element, Text]] = {}
        with card("Messages and events", "feed-card") as head:
            with head:
                self._tools()
            self._chip_row = labelled("chips", "filter by type", role="group")
            # No sanitizer: every text is escaped by `_row`.
            self._rows = ui.html("", sanitize=False).classes("feed")
            self._rows.on("click", self._open, js_handler=PICK)
        self._dialog, self._title, self._whole = _dialog()
        bind(board.ticks, self._draw, scope(self._rows))

    def _tools(self) -> None:
        names = [connection.name for connection in self._board.connections]
        if len(names) > 1:
            choices: list[tuple[str | None, str]] = [(None, "all"), *((n, n) for n in names)]
            Segments("connection", choices, None, self._choose_where)
        self._pause = button("", self._toggle, icon="pause", tip="Pause", classes="icon")

    def _choose_where(self, where: str | None) -> None:
        self._where = where
        self._draw()

    def _toggle(self) -> None:
        self._paused = not self._paused
        self._pause.props["aria-pressed"] = str(self._paused).lower()
        self._pause.classes(toggle="on")
        self._draw()

    def _pick(self, kind: str) -> None:
        self._kinds ^= {kind}
        self._draw()

    def _draw(self, _: int = 0) -> None:
        feed = self._board.feed
        wanted = feed.number, frozenset(self._kinds), self._where
        if wanted == self._drawn or (self._paused and self._drawn is not None):
            return
        self._drawn = wanted
        self._draw_chips()
        lines = feed.newest(ROWS, self._kinds, self._where)
        masked = self._board.masked
        rows = "".join(_row(line, masked(line.kind), masked(line.text[:PREVIEW])) for line in lines)
        self._rows.set_content(rows or '<p class="empty">Nothing of this kind yet.</p>')

    def _draw_chips(self) -> None:
        counts = self._board.feed.counts
        for kind in sorted(counts, key=lambda kind: -counts[kind]):
            if kind not in self._chips and len(self._chips) < CHIPS:
                with self._chip_row:
                    chip = button(
                        self._board.masked(kind), partial(self._pick, kind), classes="chip"
                    )
                    with chip:
                        self._chips[kind] = chip, Text("span", "", "count tabular")
        for kind, (chip, count) in self._chips.items():
            chip.props["aria-pressed"] = str(kind in self._kinds).lower()
            count.set_text(_short(counts[kind]))

    def _open(self, event: Any) -> None:
        line = self._board.feed.line(int(event.args))
        if line is None:
            ui.notify("this line is not kept any more", position="bottom", type="info")
            return
        self._title.set_text(f"{self._board.masked(line.kind)} · {line.where} · {_clock(line.at)}")
        cut = "" if line.size == len(line.text) else f"\n… {line.size:,} characters in all"
        self._whole.set_text(self._board.masked(_pretty(line.text)) + cut)
        self._dialog.open()


def _dialog() -> tuple[ui.dialog, Text, Text]:
    with ui.dialog() as dialog, box("card dialog"):
        with box("card-head"):
            title = Text("h2")
            button("", dialog.close, icon="close", tip="Close", classes="icon")
        whole = Text("pre", "", "mono whole")
    return dialog, title, whole


def _row(line: Line, kind: str, text: str) -> str:
    more = "…" if line.size > PREVIEW else ""
    cells = (
        f'<span class="at tabular">{_clock(line.at)}</span>'
        f'<span class="tone" aria-hidden="true">{MARKS[line.tone]}</span>'
        f'<span class="where">{html.escape(line.where)}</span>'
        f'<span class="kind">{html.escape(kind)}</span>'
        f'<span class="text mono">{html.escape(text)}{more}</span>'
    )
    return f'<div class="line {line.tone}" data-n="{line.number}">{cells}</div>'


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 10)}"


def _pretty(text: str) -> str:
    try:
        pretty = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
    return pretty if len(pretty) <= WHOLE else text


def _short(count: int) -> str:
    return str(count) if count < 10_000 else f"{count // 1000:,}k"
