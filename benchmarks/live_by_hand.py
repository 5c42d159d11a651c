"""The live examples without `bindings`: a dictionary, a list and a timer, as one writes by hand."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import panel as pn
from nicegui import ui

from examples.live import nicegui_app, panel_app
from examples.live.feed import Tick
from heimdall_reactive import WebSocketStore

EVERY = 0.05  # seconds between two flushes


class Kept:
    """What a tab has not shown yet, and the last minute."""

    def __init__(self, store: WebSocketStore[Tick]) -> None:
        self.fresh: dict[str, Tick] = {}
        self.minute: deque[tuple[float, float]] = deque(maxlen=600)
        self.following = store.messages.subscribe(self.take)

    def take(self, tick: Tick) -> None:
        """Keep a tick."""
        self.fresh[tick.symbol] = tick
        if tick.symbol == "S000":
            self.minute.append((time.time() * 1000, tick.price))

    def flush(self) -> list[Tick]:
        """Return what is new by key."""
        fresh, self.fresh = self.fresh, {}
        return list(fresh.values())


def nicegui_page(store: WebSocketStore[Tick]) -> None:
    """Show the table and the plot in NiceGUI."""
    kept, known = Kept(store), set[str]()
    grid, chart = nicegui_app.widgets()

    def flush() -> None:
        ticks = kept.flush()
        if not ticks:
            return
        change: dict[str, list[dict[str, Any]]] = {
            "add": [nicegui_app.row_of(tick) for tick in ticks if tick.symbol not in known],
            "update": [nicegui_app.row_of(tick) for tick in ticks if tick.symbol in known],
        }
        known.update(tick.symbol for tick in ticks)
        grid.run_grid_method("applyTransaction", change)
        chart.run_chart_method("setOption", {"series": [{"data": list(kept.minute)}]})

    ui.timer(EVERY, flush)
    ui.context.client.on_disconnect(kept.following.dispose)


def panel_page(store: WebSocketStore[Tick]) -> pn.Column:
    """Show the table and the plot in Panel."""
    kept = Kept(store)
    places: dict[str, int] = {}
    rows, points, body = panel_app.widgets()

    def flush() -> None:
        ticks = kept.flush()
        if not ticks:
            return
        patches = [(places[t.symbol], t.price) for t in ticks if t.symbol in places]
        if patches:
            rows.patch({"price": patches})
        added = [tick for tick in ticks if tick.symbol not in places]
        if added:
            places.update({tick.symbol: len(places) + n for n, tick in enumerate(added)})
            rows.stream({"symbol": [t.symbol for t in added], "price": [t.price for t in added]})
        minute = list(kept.minute)
        points.data = {"x": [x for x, _ in minute], "y": [y for _, y in minute]}

    pn.state.add_periodic_callback(flush, int(EVERY * 1000))
    pn.state.on_session_destroyed(lambda _: kept.following.dispose())
    return pn.Column(body, margin=20, sizing_mode="stretch_width")
