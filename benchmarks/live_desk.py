"""How old is what the live examples of Qt, Tk and Textual show: `desk` returns the figures.

The price of each tick of the feed must be the time when it was sent, in seconds modulo 1000. Each
window is a process of its own, `python -m benchmarks.live_desk WAY URL FILE`, in a terminal.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from examples.live.feed import Market, market

ROOT: Final = Path(__file__).parent.parent
WARM: Final = 3.0  # seconds before what is measured
SECONDS: Final = 10.0  # of the measurement
CPU: Final = "CPU, % of a core"
LOOK: Final = 0.02  # seconds between two looks
QUIET: Final = 1.0  # of the newest row, in seconds: then the feed has stopped

Texts = Callable[[], Mapping[str, str]]  # the prices that a table shows, by symbol


def desk(way: str, url: str, stop: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """Measure one window on a feed; `stop` ends that and returns the last price of each symbol."""
    from examples.screenshots.terminal import Terminal

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "seen")
        command = [sys.executable, "-m", "benchmarks.live_desk", way, url, str(out)]
        with Terminal(command, 100, 40, cwd=ROOT) as terminal:
            terminal.until(lambda _: out.exists(), WARM + SECONDS + 30)
            seen = json.loads(out.read_text())
            out.unlink()
            prices = stop()
            terminal.end()
        rows = json.loads(out.read_text())
    return {
        "age, median": statistics.median(seen["ages"]),
        "age, oldest": max(seen["ages"]),
        CPU: seen["cpu"],
        "rows stale": sum(rows.get(symbol) != f"{price:.2f}" for symbol, price in prices.items()),
    }


class Look:
    """Looks again and again at what a window shows, on the window's own thread."""

    def __init__(self, texts: Texts, out: Path) -> None:
        self._texts = texts
        self._out = out
        self._began = time.monotonic()
        self._cpu = 0.0
        self._ages: list[float] = []
        self._told = False

    def __call__(self) -> bool:
        """Note the age of the newest row; return whether to look again."""
        passed, rows, now = time.monotonic() - self._began, self._texts(), time.time()
        age = min(((now - float(price)) % 1000 for price in rows.values()), default=0.0)
        if passed < WARM:
            self._cpu = time.process_time()
        elif passed < WARM + SECONDS:
            self._ages.append(1000 * age)
        elif not self._told:
            self._told = True
            cpu = 100 * (time.process_time() - self._cpu) / SECONDS
            self._write({"ages": self._ages, "cpu": cpu})
        elif age > QUIET:
            self._write(dict(rows))
            return False
        return True

    def _write(self, found: object) -> None:
        part = self._out.with_suffix(".part")
        part.write_text(json.dumps(found))
        part.rename(self._out)


def qt(live: Market, out: Path) -> None:
    """Show the window of Qt."""
    from examples.live.qt_app import QtCore, QtWidgets, Window

    app = QtWidgets.QApplication(["live"])
    window, timer = Window(live), QtCore.QTimer()
    look = Look(lambda: {tick.symbol: f"{tick.price:.2f}" for tick in window.rows.ticks}, out)
    timer.timeout.connect(lambda: look() or app.quit())
    timer.start(int(1000 * LOOK))
    window.show()
    app.exec()


def tk(live: Market, out: Path) -> None:
    """Show the window of Tk."""
    from examples.live.tk_app import window

    root = window(live)
    table: Any = root.winfo_children()[0].nametowidget("table")
    look = Look(lambda: {s: str(table.set(s, "price")) for s in table.get_children()}, out)

    def again() -> None:
        if look():
            root.after(int(1000 * LOOK), again)
        else:
            root.destroy()

    again()
    root.mainloop()


def textual(live: Market, out: Path) -> None:
    """Show the app of Textual."""
    from examples.live.textual_app import Live

    app = Live(live)
    look = Look(
        lambda: {
            str(key.value): app.table.get_cell(key, "price").strip() for key in app.table.rows
        },
        out,
    )

    def again() -> None:
        if not look():
            app.exit()

    async def pilot(_: Any) -> None:
        app.set_interval(LOOK, again)

    app.run(auto_pilot=pilot)


WAYS: Final = {"Qt": qt, "Tk": tk, "Textual": textual}

if __name__ == "__main__":
    way, url, path = sys.argv[1:]
    with market(url=url) as live:
        WAYS[way](live, Path(path))
