"""The page of one browser tab: its layout and its theme."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from nicegui import ui

from .board import Board
from .charts import charts
from .connections import connection_card
from .controls import Controls
from .embedded import Embedded
from .feed_view import FeedView
from .parts import Segments, Text, box, jump_bar
from .send_box import SendBox

__all__ = ["page"]

STYLE: Final = files("heimdall_reactive.dashboard").joinpath("style.css").read_text("utf-8")
LOGO: Final = (
    '<svg viewBox="0 0 64 64" width="30" height="30" fill="none" stroke-width="5" '
    'stroke-linecap="round" aria-hidden="true">'
    '<path d="M6 46a26 26 0 0 1 52 0" stroke="var(--line-1)"/>'
    '<path d="M15.500 46a16.500 16.500 0 0 1 33 0" stroke="var(--line-3)"/>'
    '<path d="M25 46a7 7 0 0 1 14 0" stroke="var(--line-2)"/>'
    '<path d="M4 55.500h56" stroke="var(--muted)" stroke-width="4"/></svg>'
)
THEMES: Final[tuple[tuple[bool | None, str], ...]] = (
    (None, "auto"), (False, "light"), (True, "dark"),
)  # fmt: skip


def page(board: Board, embedded: Embedded | None) -> None:
    """Show a board.

    Args:
        board: shared by all tabs.
        embedded: its server, where it has one of its own.
    """
    ui.add_css(STYLE)
    with box("dashboard"):
        _header(board, embedded)
        with box("main", "main"):
            with box("connections").props("id=connections"):
                for index, connection in enumerate(board.connections):
                    connection_card(board, connection, index)
            with box("column"):
                charts_box = box("charts")
                with charts_box:
                    charts(board)
                FeedView(board)
            with box("column side"):
                SendBox(board)
                if embedded is not None:
                    Controls(board, embedded)
        faults = [] if embedded is None else [("faults", "bolt", "Faults")]
        jump_bar(
            ("send", "send", "Send"), ("connections", "hub", "Connections"), *faults,
            ("messages", "list", "Messages"),
        )  # fmt: skip


def _header(board: Board, embedded: Embedded | None) -> None:
    theme = ui.dark_mode(None)
    with box("header", "header"):
        ui.html(LOGO, sanitize=False).classes("logo")
        Text("h1", "Heimdall")
        count = len(board.connections)
        where = f"{count} endpoint{'s' if count > 1 else ''}"
        if embedded is not None:
            where = f"embedded server {embedded.server.url}"
        Text("span", where, "muted mono ellipsis grow")
        Segments("theme", THEMES, None, theme.set_value)
