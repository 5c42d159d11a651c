"""A live table and a live plot in Textual: `python -m examples.live.textual_app`."""

from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.widgets import DataTable, Label, Sparkline

from examples.live.feed import Market, Tick, market
from heimdall_reactive.bindings import Changes, Series, badge
from heimdall_reactive.bindings.textual import Bound


class Live(Bound, App[None]):
    """Shows the market: every row by key, and the last minute of the first one."""

    CSS = """
    Horizontal { height: auto; padding: 1 2; }  #title { width: 1fr; text-style: bold; }
    DataTable { width: 24; height: 1fr; margin: 0 2; }  Sparkline { width: 1fr; height: 8; }
    #body { height: 1fr; }
    """

    def __init__(self, live: Market) -> None:
        super().__init__()
        self.live = live

    def compose(self) -> ComposeResult:
        """Lay out."""
        yield Horizontal(Label("Market", id="title"), Label(id="status", markup=False))
        yield Horizontal(DataTable[str](cursor_type="row"), Sparkline(), id="body")

    def on_mount(self) -> None:
        """Bind; the widgets are there by now."""
        table = self.query_one(DataTable)
        table.add_column("Symbol", key="symbol")
        table.add_column("Price", key="price", width=10)
        self.bind_subject(
            badge(self.live.store), self.query_one("#status", Label).update, select=str
        )
        self.bind_subject(self.live.rows, self.show_rows)
        self.bind_subject(self.live.minute, self.show_minute)

    def show_rows(self, changes: Changes[str, Tick]) -> None:
        """Apply what has changed since the last paint."""
        table = self.query_one(DataTable)
        for symbol in changes.removed:
            table.remove_row(symbol)
        for symbol, tick in changes.changed.items():
            table.update_cell(symbol, "price", f"{tick.price:10.2f}")
        for symbol, tick in changes.added.items():
            table.add_row(symbol, f"{tick.price:10.2f}", key=symbol)

    def show_minute(self, series: Series) -> None:
        """Draw the last minute."""
        self.query_one(Sparkline).data = series.y


if __name__ == "__main__":
    with market() as live:
        Live(live).run()
