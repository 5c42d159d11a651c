"""Show the newest trade of each symbol in a table that stays in place: `pip install rich`."""

import time

from pydantic import BaseModel
from rich.live import Live
from rich.table import Table

from heimdall_reactive import use_websocket
from heimdall_reactive.bindings import badge_of, latest_by


class Trade(BaseModel):
    id: int
    symbol: str
    price: float


with use_websocket(
    "ws://localhost:8765/trades", message_type=Trade, max_reconnect_attempts=None
) as store:
    newest = latest_by(store.messages, lambda trade: trade.symbol)

    def table() -> Table:
        """Return what is shown now; Rich asks for it four times a second."""
        shown = Table("Symbol", "Price", title=badge_of(store.state.value, time.time()).text)
        for symbol, trade in sorted(newest.value.items()):
            shown.add_row(symbol, f"{trade.price:.2f}")
        return shown

    try:
        with Live(get_renderable=table):
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        print("bye")
