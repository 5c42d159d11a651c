"""A live table and a live plot in Panel: `python -m examples.live.panel_app` (Panel 1.9)."""

from html import escape
from typing import Any

import panel as pn
from bokeh.models import ColumnDataSource, CustomJS
from bokeh.models.widgets import DataTable, NumberFormatter, TableColumn
from bokeh.plotting import figure

from examples.live.feed import Market, Tick, market
from heimdall_reactive.bindings import Changes, Series, badge, bind
from heimdall_reactive.bindings.param import scope, to_rx

# The page and its table are light or dark as the system is; the plot is drawn, and has a theme.
pn.extension(raw_css=[":root { color-scheme: light dark; font-family: sans-serif }"])
TEXT = ":host { color: CanvasText }"
TABLE = """
:host { color-scheme: light dark }
.slick-header-column.slick-header-column, .slick-row.slick-row, .slick-cell.slick-cell {
    color: CanvasText; background: Canvas;
}
"""
GOOD = (
    '<span style="padding:2px 12px; border-radius:4px; color:white; background:#1A7F5A">{}</span>'
)


def widgets() -> tuple[ColumnDataSource, ColumnDataSource, pn.Row]:
    """Make the rows and the points, and the table beside the plot."""
    rows = ColumnDataSource({"symbol": [], "price": []})
    columns = [
        TableColumn(field="symbol", title="Symbol"),
        TableColumn(field="price", title="Price", formatter=NumberFormatter(format="0.00")),
    ]
    table = DataTable(source=rows, columns=columns, index_position=None, width=180, height=400)
    table.stylesheets = [TABLE]
    # Of what is patched Bokeh's table shows nothing until its view changes.
    shows = CustomJS(args={"view": table.view}, code="view.change.emit()")
    rows.js_on_change("patching", shows)
    points = ColumnDataSource({"x": [], "y": []})
    plot = figure(x_axis_type="datetime", height=400, sizing_mode="stretch_width", tools="")
    plot.toolbar.logo = None
    plot.x_range.syncable = plot.y_range.syncable = False  # the server need not know them
    plot.line("x", "y", source=points, line_width=2)
    body = pn.Row(pn.pane.Bokeh(table), pn.pane.Bokeh(plot, sizing_mode="stretch_width"))
    return rows, points, body


def page(live: Market) -> pn.Column:
    """Show the market in one tab: a new one begins with every row and the last minute."""
    rows, points, body = widgets()
    places: dict[str, int] = {}  # of the rows, by key

    def show_rows(changes: Changes[str, Tick]) -> None:
        patches = [(places[symbol], tick.price) for symbol, tick in changes.changed.items()]
        if patches:
            rows.patch({"price": patches})
        if changes.added:
            ticks = sorted(changes.added.values(), key=lambda tick: tick.symbol)
            places.update({tick.symbol: len(places) + n for n, tick in enumerate(ticks)})
            rows.stream(
                {
                    "symbol": [tick.symbol for tick in ticks],
                    "price": [tick.price for tick in ticks],
                }
            )

    def show_minute(series: Series) -> None:
        points.data = {"x": [x * 1000 for x in series.x], "y": series.y}

    browser: Any = pn.state.browser_info
    browser.param.watch(colour_plot, "dark_mode")
    bind(live.rows, show_rows, scope())
    bind(live.minute, show_minute, scope())
    status = to_rx(badge(live.store), select=lambda shown: GOOD.format(escape(shown.text)))
    head = pn.Row(
        pn.pane.HTML("<h2>Market</h2>", stylesheets=[TEXT]),
        pn.HSpacer(),
        pn.pane.HTML(status, margin=(16, 0)),
    )
    return pn.Column(head, body, margin=20, sizing_mode="stretch_width")


def colour_plot(scheme: Any) -> None:
    """Draw the plot of this session light or dark, as its browser says."""
    document: Any = pn.state.curdoc
    document.theme = "dark_minimal" if scheme.new else None


def main(port: int = 5006, show: bool = True) -> None:
    """Start the feed and Panel on this machine only, until Ctrl-C."""
    with market() as live:
        pn.serve(lambda: page(live), port, address="127.0.0.1", show=show)


if __name__ == "__main__":
    main()
