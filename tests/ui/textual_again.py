"""The live example of Textual, run again and again in one process; writes down what is left.

`python -m tests.ui.textual_again TIMES PATH`, in a terminal.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import Any

from examples.live.feed import ROWS, Market, market
from examples.live.textual_app import Live

from .held import left_of


def shown(live: Market) -> None:
    """Run the app until it shows its rows."""
    app = Live(live)

    async def look(pilot: Any) -> None:
        while app.table.row_count < ROWS:
            await pilot.pause(0.01)
        app.exit()

    app.run(auto_pilot=look)
    for name in (signal.SIGTSTP, signal.SIGCONT):  # Textual's handlers keep the app that ended
        signal.signal(name, signal.SIG_DFL)


def again() -> None:
    """Run all of it, as an edited file is run again in a notebook or by a reloader."""
    with market() as live:
        shown(live)
    for thing in gc.get_objects():  # Textual's caches of lines that were drawn, 16,384 in one
        if isinstance(thing, _lru_cache_wrapper) and thing.__module__.startswith("textual."):
            thing.cache_clear()


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(left_of(again, int(sys.argv[1]))))
