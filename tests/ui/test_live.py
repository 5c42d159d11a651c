"""The live examples: every row by key and the last minute, at a thousand messages a second."""

from __future__ import annotations

import asyncio
import base64
import io
import math
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from benchmarks import live as live_pages
from benchmarks.live import Feed
from examples import live as live_examples
from examples.live.feed import ROWS, Market, Tick, for_json, market
from heimdall_reactive.bindings import Series

from .contrast import low_contrasts
from .panel_pages import panel_served

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def live() -> Iterator[Market]:
    with market() as live:
        yield live


def watching(live: Market) -> int:
    """Return how many bindings observe the market."""
    return len(live.rows._bindings) + len(live.minute._bindings)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is looked at is a framework's
            await asyncio.sleep(0.02)


async def test_textual_shows_every_row_and_the_newest_of_each(live: Market) -> None:
    pytest.importorskip("textual")
    from textual.widgets import DataTable, Sparkline

    from examples.live.textual_app import Live

    app = Live(live)
    async with app.run_test(size=(100, 30)):
        table, line = app.query_one(DataTable), app.query_one(Sparkline)
        await until(lambda: table.row_count == ROWS and len(line.data or ()) > 3)
        live.store.disconnect()  # now nothing comes any more
        await until(lambda: live.store.state.value.status == "disconnected")
        wanted = {symbol: f"{tick.price:10.2f}" for symbol, tick in live.rows.value.items()}
        await until(lambda: {key: table.get_cell(key, "price") for key in wanted} == wanted)
        assert table.row_count == ROWS
    assert watching(live) == 0


async def test_an_outage_breaks_the_line(live: Market) -> None:
    await until(lambda: len(live.minute.value.x) > 3)
    assert live.server is not None
    live.server.drop()
    await until(lambda: None in for_json(live.minute.value)[1])
    series = live.minute.value
    (gap,) = [n for n, y in enumerate(series.y) if math.isnan(y)]
    assert series.x[gap + 1] - series.x[gap - 1] > 2
    assert for_json(series) == (series.x, [*series.y[:gap], None, *series.y[gap + 1 :]])


BROKEN = Series([0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 2.0, math.nan, 3.0, 4.0])


def test_textual_draws_no_gap_and_names_the_extremes() -> None:
    pytest.importorskip("textual")
    from textual.widgets import Sparkline

    from examples.live.textual_app import Live

    async def main(live: Market) -> None:
        app = Live(live)
        async with app.run_test():
            app.show_minute(BROKEN)
            line = app.query_one(Sparkline)
            assert line.data == [1.0, 2.0, 3.0, 4.0]
            assert line.border_title == "S000 from 1.00 to 4.00"

    with market(rate=0) as live:
        asyncio.run(main(live))


# What a page shows: how old its newest row is, and how long its frames are, in milliseconds.
WATCH = """() => {
    window.ages = []; window.gaps = []; let last = performance.now();
    const frame = () => {
        const now = performance.now(); gaps.push(now - last); last = now;
        const newest = document.querySelector('.newest');
        if (newest) ages.push(Date.now() - 1000 * parseFloat(newest.textContent));
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""


BROKEN_CHART = """() => {
    const chart = getElement(document.querySelector('.nicegui-echart').id.slice(1)).chart;
    return chart.getOption().series[0].data.some(([_, y]) => y === null);
}"""


def test_a_page_of_nicegui_keeps_up_and_a_new_tab_begins_with_everything() -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if shutil.which("chromium") is None:
        pytest.skip("this test looks at a page with chromium: apt-get install chromium")
    pytest.importorskip("nicegui")
    from nicegui.testing.general import nicegui_reset_globals

    from examples.live import nicegui_app
    from examples.screenshots.browser import browser_page, web

    with (
        closing(Feed()) as feed,
        market(url=feed.url) as live,
        nicegui_reset_globals(),
        web(lambda: nicegui_app.page(live)) as url,
    ):
        with browser_page(url) as tab:
            sync_api.expect(tab.locator(".ag-row").first).to_be_visible(timeout=15_000)
            tab.evaluate(f"({live_pages.WATCH})({live_pages.GRID})")
            tab.wait_for_function("ages.length > 50", timeout=30_000)
            ages: list[float] = tab.evaluate("ages")
            # Beside other tests; alone it was 33 ms, and the longest frame 38 ms.
            assert sorted(ages)[len(ages) // 2] < 1000
            live.store.disconnect()
            threading.Event().wait(2.2)  # longer than the `gap` of the plot, which ends its line
            live.store.connect()
            tab.wait_for_function(BROKEN_CHART, timeout=30_000)
            tab.reload()
            sync_api.expect(tab.get_by_text("S007", exact=True)).to_be_visible(timeout=15_000)
        gone = threading.Event()
        for _ in range(1000):
            if watching(live) == 0:
                break
            gone.wait(0.01)
        assert watching(live) == 0


def test_bokeh_ends_the_line_at_a_gap_and_shows_the_newest_in_its_table() -> None:
    pytest.importorskip("panel")
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if shutil.which("chromium") is None:
        pytest.skip("this test looks at a page with chromium: apt-get install chromium")
    from examples.live import panel_app
    from examples.screenshots.browser import browser_page

    def blue() -> list[int]:
        """Return the columns of the picture that have a part of the line."""
        picture = image.open(io.BytesIO(tab.screenshot())).convert("RGB")
        pixels = picture.load()
        rows, columns = range(picture.height), range(picture.width)
        return [x for x in columns if any(pixels[x, y] == BLUE for y in rows)]

    def widest(columns: list[int]) -> float:
        """Return the widest step between two columns, as a part of all."""
        steps = [after - before for before, after in pairwise(columns)]
        return max(steps, default=0) / max(1, columns[-1] - columns[0]) if columns else 0

    with market(rate=0) as live, panel_served(lambda: panel_app.page(live)) as url:
        assert live.server is not None
        with browser_page(url) as tab:
            tab.get_by_text("connected").wait_for(timeout=20_000)
            for price, pause in ((1, 0.5), (2, 2.5), (2, 0.5), (3, 0.0)):
                live.server.send_raw(Tick(symbol="S000", price=price, sent=0).model_dump_json())
                threading.Event().wait(pause)  # the third comes after the `gap` of 2 s
            tab.wait_for_timeout(500)
            assert 0.5 < widest(blue()) < 0.8
            tab.get_by_text("3.00", exact=True).wait_for(timeout=10_000)  # the newest in the table
            assert tab.evaluate(live_pages.BOKEH) == {"S000": 3}
            tab.evaluate("table.children[0].children[1].textContent = '1.00'")
            assert tab.evaluate(live_pages.BOKEH) == {"S000": 1}  # what the benchmark sees is shown


BLUE = (31, 119, 180)  # of a line of Bokeh


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_of_panel_is_light_or_dark_as_the_system_is(
    scheme: Literal["light", "dark"],
) -> None:
    pytest.importorskip("panel")
    pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if shutil.which("chromium") is None:
        pytest.skip("this test looks at a page with chromium: apt-get install chromium")
    from examples.live import panel_app
    from examples.screenshots.browser import browser_page

    with (
        market() as live,
        panel_served(lambda: panel_app.page(live)) as url,
        browser_page(url, width=390, scheme=scheme) as tab,
    ):
        tab.get_by_text("S007", exact=True).wait_for(timeout=20_000)
        for shown in (scheme, "dark" if scheme == "light" else "light"):  # the system changes
            tab.emulate_media(color_scheme=shown)
            tab.wait_for_function(f"{PLOT}() === '{PAPER[shown]}'", timeout=20_000)
            assert low_contrasts(tab) == []
        assert tab.evaluate("document.documentElement.scrollWidth") == 390


# The colour behind a plot of Bokeh, which is on a canvas: of its default, and of its dark theme.
PLOT = """(() => [...Bokeh.documents[0]._all_models.values()].find(
    model => model.type === 'Figure').background_fill_color)"""
PAPER = {"light": "#ffffff", "dark": "#2b3035"}


def keeps_up(tab: Page, within: float = 1000) -> None:
    """Look at a page of `examples/live/market.js`: all rows, the newest, and again when loaded."""
    for _ in range(2):
        tab.locator(".market tbody tr").nth(ROWS - 1).wait_for(state="attached", timeout=30_000)
        before = tab.evaluate(PRICES)
        tab.evaluate(WATCH)
        tab.wait_for_function("gaps.length > 60", timeout=30_000)
        ages: list[float] = tab.evaluate("ages")
        # Beside other tests; alone it was 29 ms in Solara, and the longest frame 25 ms.
        assert sorted(ages)[len(ages) // 2] < within
        stale = f"{PRICES}().filter((price, n) => price === {before}[n]).length"
        tab.wait_for_function(f"() => {stale} < 10", timeout=10_000)  # a price may come back
        tab.reload()


PRICES = "(() => [...document.querySelectorAll('.market td:last-child')].map(e => e.textContent))"


def test_the_plot_of_market_js_ends_its_line_at_a_gap() -> None:
    pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if shutil.which("chromium") is None:
        pytest.skip("this test looks at a page with chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    code = (Path(live_examples.__file__).parent / "market.js").read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page()
        tab.set_content("<div id=view></div>")
        url = f"data:text/javascript;base64,{base64.b64encode(code.encode()).decode()}"
        drawn = tab.evaluate(DRAWN, [url, *for_json(BROKEN)])
        browser.close()
    assert drawn == ["moveTo", "lineTo", "moveTo", "lineTo"]


# Which lines are drawn, and that they are on the canvas: NaN among their ends would draw none.
DRAWN = """async ([url, x, y]) => {
    const { default: component } = await import(url), calls = [];
    for (const name of ["moveTo", "lineTo"]) {
        const own = CanvasRenderingContext2D.prototype[name];
        CanvasRenderingContext2D.prototype[name] = function (...ends) {
            if (ends.every(Number.isFinite)) calls.push(name);
            own.apply(this, ends);
        };
    }
    const rows = JSON.stringify({ newest: 0, prices: {} }), minute = JSON.stringify([x, y]);
    const data = { status: "connected", tone: "good", rows, minute };
    const model = { get: (name) => data[name], on() {} };
    component().render({ el: document.querySelector("#view"), model });
    while (!calls.length) await new Promise(requestAnimationFrame);
    return calls.slice(0, 4);
}"""
