"""A live table and a live plot in Textual: `python -m examples.live.textual_app`."""

import sys
from math import isnan

from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, DataTable, Input, Label, Sparkline

from examples.live.feed import Market, Tick, market
from heimdall_reactive.bindings import Changes, Fate, Series, badge
from heimdall_reactive.bindings.textual import Bound


class Live(Bound, App[None]):
    """Shows the market: every row by key, the last minute of the first one, and the connection."""

    AUTO_FOCUS = "Input"
    CSS = """
    Screen { padding: 0 2; }  Horizontal { height: auto; }
    #title { width: 1fr; text-style: bold; }  #status { padding: 0 2; color: black; }
    .good { background: limegreen; }  .busy { background: orange; }
    .idle { background: gray; }  .bad { background: red; color: white; }
    #body { height: 1fr; margin: 1 0; }  DataTable { width: 27; height: 1fr; margin-right: 2; }
    Sparkline { height: 1fr; width: 1fr; border: round $surface; border-title-color: $text-muted; }
    Input { width: 28; }  #fate { width: 1fr; padding: 1 2; color: $text-muted; }
    """

    def __init__(self, live: Market) -> None:
        super().__init__()
        self.live, self.fate = live, Fate()

    def compose(self) -> ComposeResult:
        """Lay out."""
        yield Horizontal(Label("Market", id="title"), Label(id="status", markup=False))
        with Horizontal(id="body"):
            yield DataTable[str](cursor_type="row", zebra_stripes=True)
            yield Sparkline()
        with Horizontal():
            yield Input(placeholder="a symbol of your own")
            yield Label(id="fate", markup=False)
            yield Button("Drop", variant="error")

    def on_mount(self) -> None:
        """Bind; the widgets are there by now."""
        store, status = self.live.store, self.query_one("#status", Label)
        self.table = self.query_one(DataTable)
        self.table.add_column("Symbol", key="symbol", width=10)
        self.table.add_column("Price", key="price", width=10)
        self.bind_subject(badge(store), lambda b: status.set_classes(b.tone).update(b.text))
        self.bind_subject(store.is_connected, lambda up: self.query(Input).set(disabled=not up))
        self.bind_subject(self.live.rows, self.show_rows, every=0.1)
        self.bind_subject(self.live.minute, self.show_minute)
        self.bind_subject(self.fate, self.query_one("#fate", Label).update)

    def show_rows(self, changes: Changes[str, Tick]) -> None:
        """Apply what has changed since the last paint."""
        for symbol in changes.removed:
            self.table.remove_row(symbol)
        for symbol, tick in changes.changed.items():
            self.table.update_cell(symbol, "price", f"{tick.price:10.2f}")
        for symbol, tick in changes.added.items():
            self.table.add_row(symbol, f"{tick.price:10.2f}", key=symbol)

    def show_minute(self, series: Series) -> None:
        """Draw the last minute."""
        line = self.query_one(Sparkline)
        line.data = prices = [y for y in series.y if not isnan(y)]  # it has no axis of time
        if prices:
            line.border_title = f"S000 from {min(prices):.2f} to {max(prices):.2f}"

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Send the symbol; it comes back as a row."""
        self.fate.follow(self.live.add(event.value))
        event.input.clear()

    def on_button_pressed(self) -> None:
        """Cut the line."""
        self.live.drop()


if __name__ == "__main__":
    with market(url=next(iter(sys.argv[1:]), None)) as live:
        Live(live).run()
