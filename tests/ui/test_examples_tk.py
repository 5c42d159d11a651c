"""The live example for Tk, driven as its user would."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from examples.live.feed import ROWS, Market, market

from .held import left_of
from .support import observers

pytest.importorskip("tkinter", reason="install Python's tkinter, on Debian python3-tk")

import tkinter as tk

from examples.live.tk_app import draw, window
from heimdall_reactive.bindings import Series

from .tk_support import opened, screen, until


@pytest.fixture(scope="module", autouse=True)
def display() -> Iterator[None]:
    with screen():
        yield


@pytest.fixture
def live() -> Iterator[Market]:
    with market(reconnect_delay=0.4) as live:
        yield live


def prices(table: Any) -> dict[str, str]:
    """Return the prices that a table shows."""
    return {symbol: str(table.item(symbol, "values")[0]) for symbol in table.get_children()}


def test_it_shows_every_row_sends_shows_the_countdown_and_heals(live: Market) -> None:
    before = observers(live.store)
    with opened(lambda: window(live)) as root:
        drive(root, live)
    assert observers(live.store) == before


def drive(root: tk.Tk, live: Market) -> None:
    frame = root.winfo_children()[0]
    status, table, box = (frame.nametowidget(name) for name in ("status", "table", "box"))
    until(root, lambda: status.cget("text") == "connected")
    until(root, lambda: len(table.get_children()) == ROWS)
    until(root, lambda: not box.instate(["disabled"]))
    box.insert(0, "MINE")
    box.focus_force()
    until(root, lambda: root.focus_get() is box)
    box.event_generate("<Return>")
    assert box.get() == ""
    until(root, lambda: "MINE" in table.get_children())
    until(root, lambda: frame.nametowidget("fate").cget("text") == "delivered")
    plot = frame.nametowidget("plot")
    until(root, lambda: any(len(plot.coords(item)) > 6 for item in plot.find_all()))
    frame.nametowidget("drop").invoke()
    until(root, lambda: status.cget("text").startswith("reconnecting in 1 s"))
    until(root, lambda: box.instate(["disabled"]))
    until(root, lambda: not box.instate(["disabled"]))
    until(root, lambda: status.cget("text") == "connected")
    live.over.set()
    until(
        root,
        lambda: prices(table) == {s: f"{t.price:.2f}" for s, t in live.rows.value.items()},
    )


def test_a_plot_has_a_line_up_to_each_gap_and_one_behind_it() -> None:
    nan = math.nan
    with opened(tk.Tk) as root:
        plot = tk.Canvas(root, width=460, height=200)
        plot.pack()
        root.update()
        draw(plot, Series([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 2.0, nan, 3.0, 4.0, nan, 4.0]))
        lines = [plot.coords(item) for item in plot.find_all() if str(plot.type(item)) == "line"]
        assert [len(line) for line in lines] == [4, 4]  # a lone point does not make a line yet
        assert lines[0][-2] < lines[1][0]


def test_windows_leave_nothing(live: Market) -> None:
    def once() -> None:
        with opened(lambda: window(live)) as root:
            table = root.winfo_children()[0].nametowidget("table")
            until(root, lambda: len(table.get_children()) == ROWS)

    once()  # until every row is there
    live.over.set()  # what is on its way would be counted
    assert left_of(once, 30) == {}
