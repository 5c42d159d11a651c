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
from .feed import LONGEST, PREVIEW, Line
from .parts import Segments, Text, box, button, card, labelled, search_field

__all__ = ["FeedView"]

ROWS: Final = 60
WHOLE: Final = 4 * LONGEST  # characters of a line in full: indented, deep lists grow by a thousand
CHIPS: Final = 24  # kinds with a button

MARKS: Final = {"in": "↓", "out": "↑", "state": "●", "error": "!"}
PICK: Final = "(e) => { const row = e.target.closest('[data-n]'); if (row) emit(row.dataset.n); }"
# The arrows move the focus from the list to its lines, and Enter opens one.
KEYS: Final = """(e) => {
  const row = e.target.closest('[data-n]');
  const down = row ? row.nextElementSibling : e.currentTarget.querySelector('[data-n]');
  const next = {ArrowDown: down, ArrowUp: row?.previousElementSibling}[e.key];
  if (next) next.focus();
  if (next || e.key === 'Enter') e.preventDefault();
  if (row && e.key === 'Enter') emit(row.dataset.n);
}"""
# Lines that are drawn again would lose the focus of the keyboard, so they stand still; a click
# does not need that.
HOLD: Final = "(e) => { if (e.target.matches(':focus-visible')) emit(true); }"
LET_GO: Final = "(e) => { if (!e.currentTarget.contains(e.relatedTarget)) emit(false); }"
# Here and not at the server: a page may write to the clipboard within a click only, and on plain
# HTTP of another host by the old way.
COPY: Final = """async (e) => {
  const text = e.target.closest('.dialog').querySelector('.whole');
  try { await navigator.clipboard.writeText(text.textContent); } catch {
    getSelection().selectAllChildren(text);
    document.execCommand('copy');
  }
  emit();
}"""


class FeedView:
    """Draws the feed where something is new, four times a second at most.

    Args:
        board: whose feed it is.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._kinds: set[str] = set()
        self._where: str | None = None
        self._search = ""
        self._paused = self._held = False
        self._drawn: object = None
        self._chips: dict[str, tuple[ui.element, Text]] = {}
        with card("Messages and events", "feed-card", "messages") as head:
            with head:
                self._tools()
            self._chip_row = labelled("chips", "filter by type", role="group")
            # No sanitizer: every text is escaped by `_row`.
            self._rows = ui.html("", sanitize=False).classes("feed")
            self._rows.props('tabindex=0 role=list aria-label="lines, the newest first"')
            self._rows.on("click", self._open, js_handler=PICK)
            self._rows.on("keydown", self._open, js_handler=KEYS)
            self._rows.on("focusin", self._hold, js_handler=HOLD)
            self._rows.on("focusout", self._hold, js_handler=LET_GO)
        self._whole = Whole()
        bind(board.ticks, self._draw, scope(self._rows))

    def _tools(self) -> None:
        search_field("search", self._look_for)
        names = [connection.name for connection in self._board.connections]
        if len(names) > 1:
            choices: list[tuple[str | None, str]] = [(None, "all"), *((n, n) for n in names)]
            Segments("connection", choices, None, self._choose_where)
        self._pause = button("", self._toggle, icon="pause", tip="Pause", classes="icon")

    def _choose_where(self, where: str | None) -> None:
        self._where = where
        self._draw()

    def _look_for(self, text: str) -> None:
        self._search = text.strip().lower()
        self._draw()

    def _hold(self, event: Any) -> None:
        self._held = bool(event.args)

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
        wanted = feed.number, frozenset(self._kinds), self._where, self._search
        if wanted == self._drawn or (self._still and self._drawn is not None):
            return
        self._drawn = wanted
        self._draw_chips()
        lines = feed.newest(ROWS, self._kinds, self._where, self._holds)
        masked = self._board.masked
        rows = "".join(_row(line, masked(line.kind), masked(line.text)) for line in lines)
        nothing = "Nothing matches." if self._search else "Nothing of this kind yet."
        self._rows.set_content(rows or f'<p class="empty">{nothing}</p>')

    @property
    def _still(self) -> bool:
        return self._paused or self._held or self._whole.is_open

    def _holds(self, line: Line) -> bool:
        """Return whether what is searched is in a line; in its secrets nothing is found."""
        search = self._search
        return not search or (
            search in f"{line.kind} {line.whole}".lower()
            and search in self._board.masked(f"{line.kind} {line.whole}").lower()
        )

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
        masked = self._board.masked
        title = f"{masked(line.kind)} · {line.where} · {_clock(line.at)}"
        cut = "" if line.size == len(line.whole) else f"… {line.size:,} characters in all"
        self._whole.show(title, masked(_pretty(line.whole)), cut)


class Whole:
    """A line in full, its JSON indented, which can be copied."""

    def __init__(self) -> None:
        with ui.dialog() as self._dialog, box("card dialog"):
            with box("card-head"):
                self._title = Text("h2")
                with box("card-tools"):
                    self._copied = Text("span", "", "muted").props("role=status")
                    copy = button("Copy", lambda: None, icon="content_copy")
                    copy.on("click", lambda: self._copied.set_text("copied"), js_handler=COPY)
                    button("", self._dialog.close, icon="close", tip="Close", classes="icon")
            self._text = Text("pre", "", "mono whole").props("tabindex=0")
            self._cut = Text("p", "", "muted")

    @property
    def is_open(self) -> bool:
        """Whether it is shown."""
        return bool(self._dialog.value)

    def show(self, title: str, text: str, cut: str) -> None:
        """Open it with a text, and with what is missing of that."""
        for label, words in (
            (self._title, title), (self._text, text), (self._cut, cut), (self._copied, ""),
        ):  # fmt: skip
            label.set_text(words)
        self._dialog.open()


def _row(line: Line, kind: str, text: str) -> str:
    more = "…" if len(line.text) == PREVIEW else ""
    cells = (
        f'<span class="at tabular">{_clock(line.at)}</span>'
        f'<span class="tone" aria-hidden="true">{MARKS[line.tone]}</span>'
        f'<span class="where">{html.escape(line.where)}</span>'
        f'<span class="kind">{html.escape(kind)}</span>'
        f'<span class="text mono">{html.escape(text)}{more}</span>'
    )
    attributes = f'class="line {line.tone}" data-n="{line.number}" role="listitem" tabindex="-1"'
    return f"<div {attributes}>{cells}</div>"


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
