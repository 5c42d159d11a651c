"""What is left of tabs that were closed, pages that were loaded again, cells that ran again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .measuring import Skipped

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from .live import Application

KINDS: Final = ("stores", "bindings", "sockets", "threads")
TABS: Final = 50
TOGETHER: Final = 5  # of them open at once
RELOADS: Final = 30
RUNS: Final = 10  # of a cell
CELL: Final = "Jupyter"
ROOT: Final = Path(__file__).parent.parent
PREPARE: Final = """
import json, sys
import ipywidgets
sys.path.insert(0, {root!r})
from benchmarks.live_server import held
from examples.first.notebook_app import chat
from heimdall_reactive import use_websocket
"""
RUN: Final = """
ipywidgets.Widget.close_all()
display(chat(use_websocket({url!r}, loop='thread', key='chat')))
"""


def steps() -> dict[str, tuple[str, Callable[[], dict[str, float]]]]:
    """Return what is measured, by its name, with the way that it is of."""
    found: dict[str, tuple[str, Callable[[], dict[str, float]]]] = {}
    for way in ("NiceGUI", "Panel", "Solara"):
        found[f"{way}, {TABS} tabs"] = way, partial(tabs, way)
        found[f"{way}, {RELOADS} reloads"] = way, partial(reloads, way)
    found[f"{CELL}, {RUNS} runs of a cell"] = CELL, cells
    return found


def tabs(way: str, count: int = TABS, together: int = TOGETHER) -> dict[str, float]:
    """Open and close tabs; return how many things of each kind are left of them."""
    from .live import PAGES, chromium, opened, running

    row, _ = PAGES[way]
    counts: list[dict[str, int]] = []
    with running(way) as (_, application), chromium() as browser:
        for _ in range(1 + count // together):
            several = [opened(browser, application.url, row) for _ in range(together)]
            counts.append(_closed(several, application))
    return _left(counts)


def reloads(way: str, count: int = RELOADS) -> dict[str, float]:
    """Load a page again and again; return how many things of each kind are left of that."""
    from .live import PAGES, chromium, opened, running

    row, _ = PAGES[way]
    counts: list[dict[str, int]] = []
    with running(way) as (_, application), chromium() as browser:
        for times in (2, count):
            tab = opened(browser, application.url, row)
            for _ in range(times):
                tab.reload()
                tab.locator(row).first.wait_for(timeout=30_000)
            counts.append(_closed([tab], application))
    return _left(counts)


def cells(count: int = RUNS) -> dict[str, float]:
    """Run a cell again and again; return how many things of each kind are left in the kernel."""
    try:
        from jupyter_client.manager import start_new_kernel
    except ImportError:
        raise Skipped("needs ipykernel") from None
    from .live import Feed

    feed, counts = Feed(), list[dict[str, int]]()
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        _cell(client, PREPARE.format(root=str(ROOT)))
        for times in (2, count):
            for _ in range(times):
                _cell(client, RUN.format(url=feed.url))
            counts.append(_still(partial(_cell, client, "print(json.dumps(held()))")))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        feed.close()
    return _left(counts)


def _cell(client: Any, code: str) -> Any:
    """Run a cell; return what it prints, which is JSON."""
    printed = ""

    def hear(message: Any) -> None:
        nonlocal printed
        kind, content = message["msg_type"], message["content"]
        if kind == "error":
            raise RuntimeError("\n".join(content["traceback"]))
        if kind == "stream" and content["name"] == "stdout":
            printed += content["text"]

    client.execute_interactive(code, timeout=60, output_hook=hear)
    return json.loads(printed) if printed else None


def _closed(several: list[Page], application: Application) -> dict[str, int]:
    """Close tabs; return what is held once that does not change any more."""
    browser = several[0].context.browser
    assert browser is not None
    for tab in several:
        tab.close()
    idle = browser.new_page()
    held = _still(lambda: application.ask("held"), lambda: idle.wait_for_timeout(500))
    idle.close()
    return held


def _still(
    ask: Callable[[], dict[str, int]], pause: Callable[[], object] | None = None
) -> dict[str, int]:
    """Return what is held once that has not changed for two seconds, or after half a minute."""
    held, same = ask(), 0
    for _ in range(60):
        if pause is None:
            time.sleep(0.5)
        else:
            pause()
        last, held = held, ask()
        same = same + 1 if all(last[kind] == held[kind] for kind in KINDS) else 0
        if same == 4:
            break
    return held


def _left(counts: list[dict[str, int]]) -> dict[str, float]:
    return {kind: counts[-1][kind] - counts[0][kind] for kind in (*KINDS, "objects")}
