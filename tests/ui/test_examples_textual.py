"""The live example for Textual, driven as its user would; in a real terminal, too."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.live.feed import ROWS, Market, market

from .support import observers

pytest.importorskip("textual", reason="pip install 'heimdall-reactive[textual]'")

from textual.widgets import Input, Label

from examples.live.textual_app import Live

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def live() -> Iterator[Market]:
    with market(reconnect_delay=0.4) as live:
        yield live


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is looked at is Textual's
            await asyncio.sleep(0.005)


async def test_it_sends_shows_the_echo_the_countdown_and_heals(live: Market) -> None:
    before = observers(live.store)
    app = Live(live)
    async with app.run_test(size=(90, 30)) as pilot:
        status, box = app.query_one("#status", Label), app.query_one(Input)
        await until(lambda: str(status.visual) == "connected" and not box.disabled)
        assert status.has_class("good")
        box.value = "MINE"
        box.focus()
        await pilot.press("enter")
        assert box.value == ""
        await until(lambda: "MINE" in app.table.rows)
        await until(lambda: str(app.query_one("#fate", Label).visual) == "delivered")
        await pilot.click("Button")
        await until(lambda: str(status.visual).startswith("reconnecting in 1 s"))
        assert status.has_class("busy")
        await until(lambda: box.disabled)
        # Each binding has its own frames, so one may come a frame behind the other.
        await until(lambda: not box.disabled and str(status.visual) == "connected")
    assert observers(live.store) == before


def prices(lines: list[str]) -> dict[str, str]:
    """Return the prices that a screen shows."""
    words = [line.split() for line in lines]
    return {row[0]: row[1] for row in words if len(row) > 1 and row[0][1:].isdigit()}


@pytest.mark.leaky
def test_a_real_terminal_shows_every_row_and_is_left_as_it_was(live: Market) -> None:
    pytest.importorskip("pyte", reason="pip install pyte")
    from examples.screenshots.terminal import Terminal

    assert live.server is not None
    command = [
        sys.executable,
        "-m",
        "examples.live.textual_app",
        f"{live.server.url}/v1/ws/updates",
    ]
    with Terminal(command, 100, ROWS + 15, cwd=ROOT) as terminal:
        terminal.until(lambda lines: len(prices(lines)) == ROWS)
        live.over.set()
        terminal.until(
            lambda lines: prices(lines) == {s: f"{t.price:.2f}" for s, t in live.rows.value.items()}
        )
        terminal.type("\x11")  # Ctrl-Q
        assert terminal.end() == 0
        assert terminal.left() == set()


@pytest.mark.leaky
def test_what_runs_again_in_a_terminal_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("pyte", reason="pip install pyte")
    from examples.screenshots.terminal import Terminal

    left = tmp_path / "left.json"
    command = [sys.executable, "-m", "tests.ui.textual_again", "10", str(left)]
    with Terminal(command, 100, 30, cwd=ROOT) as terminal:
        assert terminal.end(60) == 0, "\n".join(terminal.lines())
        assert terminal.left() == set()
    assert json.loads(left.read_text()) == {}
