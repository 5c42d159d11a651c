"""Rich: `python -m examples.recipes.rich_live`, a table of the newest price of each symbol."""

import sys
import threading
import time

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from examples.live.feed import Market, market
from heimdall_reactive.bindings import badge_of


def table(live: Market, height: int) -> Table:
    """Return what is shown now: as many rows as there is room for."""
    shown = badge_of(live.store.state.value, time.time())
    made = Table("Symbol", "Price", title="Market", caption=escape(shown.text))
    made.columns[1].justify = "right"
    for symbol, tick in list(live.rows.value.items())[: height - 6]:
        made.add_row(escape(symbol), f"{tick.price:.2f}")
    return made


def main(url: str | None = None) -> None:
    """Show the table until Ctrl-C."""
    with market(url=url) as live:
        screen = Live(screen=True, refresh_per_second=20)
        screen.get_renderable = lambda: table(live, screen.console.height)  # type: ignore[method-assign]
        with screen:
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                print("bye")


if __name__ == "__main__":
    main(*sys.argv[1:])
