"""A live table and a live plot in NiceGUI: `python -m examples.live.nicegui_app`."""

from typing import Any

from nicegui import ui

from examples.live.feed import Market, Tick, for_json, market
from heimdall_reactive.bindings import Changes, Series, badge, bind
from heimdall_reactive.bindings.nicegui import bind_text, scope

COLUMNS = [
    {"field": "symbol", "headerName": "Symbol", "sort": "asc"},
    {"field": "price", "headerName": "Price", "type": "numericColumn"},
]


def widgets() -> tuple[ui.aggrid, ui.echart]:
    """Make the table and the plot, both empty."""
    with ui.row().classes("w-full no-wrap gap-4 max-md:flex-wrap"):
        grid = ui.aggrid(
            {"columnDefs": COLUMNS, "rowData": [], ":getRowId": "row => row.data.symbol"},
            auto_size_columns=True,
        ).classes("w-80 h-96")
        chart = ui.echart(
            {
                "animation": False,
                "grid": {"left": 48, "right": 16, "top": 24, "bottom": 32},
                "xAxis": {"type": "time"},
                "yAxis": {"type": "value", "scale": True},
                "series": [{"type": "line", "showSymbol": False, "data": []}],
            }
        ).classes("grow h-96 min-w-80")
    return grid, chart


def row_of(tick: Tick) -> dict[str, object]:
    """Return what a row of the table shows."""
    return {"symbol": tick.symbol, "price": tick.price}


def page(live: Market) -> None:
    """Show the market in one tab: a new one begins with every row and the last minute."""
    with ui.row().classes("w-full items-center justify-between"):
        ui.label("Market").classes("text-xl font-medium")
        bind_text(ui.badge().props("color=green-8").classes("px-3 py-1"), badge(live.store))
    grid, chart = widgets()

    def show_rows(changes: Changes[str, Tick]) -> None:
        change = {
            "add": [row_of(tick) for tick in changes.added.values()],
            "update": [row_of(tick) for tick in changes.changed.values()],
            "remove": [{"symbol": symbol} for symbol in changes.removed],
        }
        grid.run_grid_method("applyTransaction", change)

    def show_minute(series: Series) -> None:
        data: Any = [(x * 1000, y) for x, y in zip(*for_json(series), strict=True)]
        chart.run_chart_method("setOption", {"series": [{"data": data}]})

    bind(live.rows, show_rows, scope(grid))
    bind(live.minute, show_minute, scope(chart))


def main(port: int = 8080, show: bool = True) -> None:
    """Start the feed and NiceGUI on this machine only, until Ctrl-C."""
    with market() as live:
        ui.run(lambda: page(live), host="127.0.0.1", port=port, show=show, reload=False)


if __name__ == "__main__":
    main()
