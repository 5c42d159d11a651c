"""The live examples under load, in a real browser and a real pty: `python -m benchmarks.live`.

A thousand messages a second, 200 rows by key and a minute of a plot. The feed, the application and
the browser are processes of their own, on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import live_desk, live_left, machine, report
from .live_desk import SECONDS, WARM
from .measuring import Case, Skipped, Step, run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = Path(__file__).parent / "live.json"
PAGE: Final = ROOT / "docs" / "bindings.md"
FRAMEWORKS: Final = ("nicegui", "panel", "solara-ui", "textual", "PySide6-Essentials")
CASES: Final = ("live", "live left")

# How old the newest row is by its price, in milliseconds.
AGE: Final = """prices => 1000 * Math.min(...Object.values(prices).map(
    price => ((Date.now() / 1000 - price) % 1000 + 1000) % 1000))"""
# What a page shows: how old its newest row is, and how long its frames are, in milliseconds.
WATCH: Final = """read => {
    window.ages = []; window.gaps = []; let last = performance.now();
    const frame = () => {
        const now = performance.now(); gaps.push(now - last); last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    setInterval(() => ages.push((AGE)(read())), 50);
}""".replace("AGE", AGE)
GRID: Final = """() => {
    const grid = document.querySelector('.ag-root-wrapper').closest('[id^=c]'), rows = {};
    getElement(+grid.id.slice(1)).api.forEachNode(row => rows[row.data.symbol] = row.data.price);
    return rows;
}"""
# A table of Bokeh has all rows in its model, and on the screen those in view: by as much as these
# are behind their model, the whole page is taken to be behind.
BOKEH: Final = """() => {
    const rows = {}, within = root => [root, ...[...root.querySelectorAll('*')].flatMap(
        each => each.shadowRoot ? within(each.shadowRoot) : [])];
    for (const document of Bokeh.documents) for (const model of document._all_models.values()) {
        const {symbol, price} = model.data || {};
        for (let n = 0; symbol && n < symbol.length; n++) rows[symbol[n]] = price[n];
    }
    const canvases = () => within(document).map(root => root.querySelector('.grid-canvas'));
    if (!window.table?.isConnected) window.table = canvases().find(Boolean);
    const seen = [...(window.table?.children ?? [])].map(
        row => [row.children[0].textContent, +row.children[1].textContent]);
    const newest = prices => seen.length ? Math.max(...prices) : 0;
    const behind = newest(seen.map(([symbol]) => rows[symbol])) - newest(seen.map(row => row[1]));
    for (const symbol in rows) rows[symbol] = +(rows[symbol] - behind).toFixed(2);
    return rows;
}"""
ROWS: Final = """() => Object.fromEntries(
    [...document.querySelectorAll('.market tbody tr')].map(
        row => [row.cells[0].textContent, +row.cells[1].textContent])
)"""
# By way: what waits for the first row, and what returns the prices by symbol.
PAGES: Final[dict[str, tuple[str, str]]] = {
    "NiceGUI": (".ag-row", GRID),
    "NiceGUI, by hand": (".ag-row", GRID),
    "Panel": (".slick-row", BOKEH),
    "Panel, by hand": (".slick-row", BOKEH),
    "Solara": (".market tbody tr", ROWS),
}
WAYS: Final = (*PAGES, *live_desk.WAYS)


class Feed:
    """The feed, in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.live_feed"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self.url = self._out.readline().strip()

    def stop(self) -> dict[str, float]:
        """Send nothing more; return the last price of each symbol."""
        print(file=self._in, flush=True)
        prices: dict[str, float] = json.loads(self._out.readline())
        return prices

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._in.close()
        self._out.close()


class Application:
    """One application, in a process of its own that is asked what it costs."""

    def __init__(self, way: str, feed: str) -> None:
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.live_server", way, feed, str(its.fileno())],
                cwd=ROOT, pass_fds=[its.fileno()],
            )  # fmt: skip
        self._pipe = ours
        self._control = ours.makefile("rw")
        self.url: str = json.loads(self._control.readline())

    def ask(self, what: str) -> Any:
        """Return what it answers."""
        print(what, file=self._control, flush=True)
        return json.loads(self._control.readline())

    def close(self) -> None:
        """End the process."""
        self._control.close()
        self._pipe.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(way: str) -> Iterator[tuple[Feed, Application]]:
    """Run the feed and one application."""
    feed = Feed()
    try:
        application = Application(way, feed.url)
        try:
            yield feed, application
        finally:
            application.close()
    finally:
        feed.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser without a window."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        raise Skipped("needs chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


def opened(browser: Browser, url: str, row: str) -> Page:
    """Open a tab, and wait for its first row."""
    tab = browser.new_page(viewport={"width": 1000, "height": 700})
    tab.goto(url)
    tab.locator(row).first.wait_for(timeout=30_000)
    return tab


def cost(application: Application, tab: Page) -> float:
    """Return the CPU of the server in percent of a core."""
    began, cpu = time.perf_counter(), application.ask("cpu")
    tab.wait_for_timeout(SECONDS * 1000)
    spent: float = application.ask("cpu") - cpu
    return 100 * spent / (time.perf_counter() - began)


def live(way: str) -> dict[str, float]:
    """Measure one tab, then five, then what is shown once the feed has stopped."""
    row, read = PAGES[way]
    with running(way) as (feed, application), chromium() as browser:
        tab = opened(browser, application.url, row)
        tab.wait_for_timeout(WARM * 1000)
        tab.evaluate(f"({WATCH})({read})")
        one = cost(application, tab)
        ages, gaps = tab.evaluate("ages"), tab.evaluate("gaps")
        others = [opened(browser, application.url, row) for _ in range(4)]
        tab.wait_for_timeout(WARM * 1000)
        tab.evaluate("ages = []")
        five = cost(application, tab)
        ages_of_five = tab.evaluate("ages")
        for other in others:
            other.close()
        prices, until = feed.stop(), time.monotonic() + 2
        while (shown := tab.evaluate(read)) != prices and time.monotonic() < until:
            tab.wait_for_timeout(50)
    return {
        "age, median": statistics.median(ages),
        "age, oldest": max(ages),
        "longest frame": max(gaps),
        live_desk.CPU: one,
        "five tabs: CPU": five,
        "five tabs: age, median": statistics.median(ages_of_five),
        "rows stale": _stale(shown, prices),
    }


def window(way: str) -> dict[str, float]:
    """Measure an application that is not a page, in a terminal and on a display."""
    if way == "Tk" and not os.environ.get("DISPLAY"):
        raise Skipped("needs a display")
    feed = Feed()
    try:
        return live_desk.desk(way, feed.url, feed.stop)
    finally:
        feed.close()


def _stale(shown: Mapping[str, float], prices: Mapping[str, float]) -> int:
    return sum(shown.get(symbol) != price for symbol, price in prices.items())


def versions() -> str:
    """Return which frameworks are installed, and the browser."""
    found = [f"{name} {metadata.version(name)}" for name in FRAMEWORKS if _has(name)]
    if path := shutil.which("chromium"):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
        found.append(" ".join(said.stdout.split()[:2]))
    return ", ".join(found)


def _has(distribution: str) -> bool:
    return any(metadata.distributions(name=distribution))


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--case", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--write-docs", action="store_true")
    given = parser.parse_args()

    def steps(measure: Callable[[str], Mapping[str, float]], ways: Iterable[str]) -> list[Step]:
        return [Step(way, partial(measure, way)) for way in ways if way in given.way]

    print(machine.describe())
    shown = steps(live, PAGES) + steps(window, live_desk.WAYS)
    closed = [
        Step(name, measure)
        for name, (way, measure) in live_left.steps().items()
        if way in (*given.way, live_left.CELL)
    ]
    cases = {
        "live": Case("live", "A live table and plot", "ms", "", shown),
        "live left": Case("live left", "What is left", "left", "", closed, rounds=1),
    }
    results = []
    for name in given.case:
        result = run(cases[name], given.rounds)
        result.notes.append(versions())
        print(f"\n## {result.case.title}\n\n{report.table(result.to_json())}", flush=True)
        print("".join(f"\n{note}" for note in result.notes), end="", flush=True)
        results.append(result)
    if given.write_docs:
        document = report.save(RESULTS, results, given.rounds, set(given.case) == set(CASES))
        report.write_docs(document, [PAGE])
    return 0


if __name__ == "__main__":
    sys.exit(main())
