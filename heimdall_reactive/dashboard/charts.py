"""The two plots: message rate and latency of every connection over the last minute.

Drawn as SVG, where colours may be variables of the style sheet: the themes need no second plot.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from nicegui import ui

from heimdall_reactive.bindings import bind
from heimdall_reactive.bindings.nicegui import scope

from .board import Board
from .meter import WINDOW, Point, outlier
from .parts import Text, box, card

__all__ = ["COLOURS", "DASHES", "charts"]

# Told apart without colours too; the colours are those of Okabe and Ito, 2008.
COLOURS: Final = ("line-1", "line-2", "line-3", "line-4")
DASHES: Final = ("solid", "dashed", "dotted")
TICKS_A_DRAWING: Final = 2
LEAST: Final = 0.01  # ms: the scale is logarithmic, so that one outlier flattens nothing

Measure = Callable[[Point], float | None]


def charts(board: Board) -> None:
    """Show both plots."""
    _chart(board, "Messages", "per second", lambda point: round(point.rate, 1))
    _chart(board, "Latency", "ms", _milliseconds)


def _milliseconds(point: Point) -> float | None:
    return None if point.latency is None else max(LEAST, round(point.latency * 1000, 2))


def _chart(board: Board, title: str, unit: str, measure: Measure) -> None:
    with card(title, "chart-card") as head:
        with head:
            Text("span", unit, "muted")
        plot = ui.echart(_options(board, unit), renderer="svg").classes("chart")
        with box("legend"):
            for index, connection in enumerate(board.connections):
                with box("legend-item"):
                    colour = COLOURS[index % len(COLOURS)]
                    dash = DASHES[index % len(DASHES)]
                    box("mark").style(f"border-top: 3px {dash} var(--{colour})")
                    Text("span", connection.name)

    def draw(tick: int) -> None:
        if tick % TICKS_A_DRAWING and plot.options["series"][0]["data"]:
            return
        now = time.monotonic()
        for series, connection in zip(plot.options["series"], board.connections, strict=True):
            points = connection.meter.points
            series["data"] = [[round(p.at - now, 2), measure(p)] for p in points]
            if measure is _milliseconds:
                series["markPoint"]["data"] = _mark(outlier(points), now)
        plot.update()

    bind(board.ticks, draw, scope(plot))


def _mark(point: Point | None, now: float) -> list[dict[str, Any]]:
    """Return the mark of an outlier: on this scale it is near the others, and easily missed."""
    at = None if point is None else _milliseconds(point)
    if point is None or at is None:
        return []
    return [{"coord": [round(point.at - now, 2), at], "value": f"{at:,.0f} ms"}]


def _options(board: Board, unit: str) -> dict[str, Any]:
    axis = {"axisLine": {"show": False}, "axisTick": {"show": False}}
    label = {"color": "var(--muted)", "fontSize": 11, "fontFamily": "inherit"}
    grid_line = {"lineStyle": {"color": "var(--line)"}}
    rates = {"type": "value", "min": 0, "minInterval": 1, "splitNumber": 3}
    scale = rates if unit == "per second" else {"type": "log"}
    return {
        "animation": False,
        "grid": {"left": 44, "right": 12, "top": 24, "bottom": 24},
        "tooltip": {
            "trigger": "axis", "confine": True, "className": "chart-tip", "renderMode": "html",
            "axisPointer": {"lineStyle": {"color": "var(--muted)"}},
        },
        "xAxis": {
            "type": "value", "min": -WINDOW, "max": 0, "interval": 15, **axis,
            "splitLine": {"show": False},
            "axisLabel": {**label, ":formatter": "v => v === 0 ? 'now' : `${v} s`"},
            "axisPointer": {"label": {"show": False}},
        },
        "yAxis": {**scale, "axisLabel": label, "splitLine": grid_line, **axis},
        "series": [_series(board.connections[n].name, n) for n in range(len(board.connections))],
    }  # fmt: skip


def _series(name: str, index: int) -> dict[str, Any]:
    colour = f"var(--{COLOURS[index % len(COLOURS)]})"
    return {
        "type": "line", "name": name, "data": [], "showSymbol": False,
        "smooth": 0.2, "smoothMonotone": "x",
        "lineStyle": {"width": 2, "color": colour, "type": DASHES[index % len(DASHES)]},
        "itemStyle": {"color": colour},
        "areaStyle": {"color": colour, "opacity": 0.08},
        "markPoint": {
            "symbol": "triangle", "symbolSize": 9, "symbolRotate": 180, "symbolOffset": [0, -7],
            "data": [],
            "label": {"position": "top", "color": "var(--ink)", "fontSize": 11,
                      "fontFamily": "inherit", "fontWeight": 600},
        },
    }  # fmt: skip
