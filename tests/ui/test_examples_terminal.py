"""The recipes for terminals, each run as a user would, in a terminal of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from examples.live.feed import ROWS, Market, market

pytest.importorskip("pyte", reason="pip install pyte")

from examples.screenshots.terminal import Terminal

ROOT = Path(__file__).parent.parent.parent
CTRL_C, CTRL_D = "\x03", "\x04"


@pytest.fixture
def live() -> Iterator[Market]:
    with market() as live:
        yield live


def prices(lines: list[str]) -> dict[str, str]:
    """Return the prices that a screen shows."""
    words = [line.replace("│", " ").split() for line in lines]
    return {row[0]: row[1] for row in words if len(row) == 2 and row[0][1:].isdigit()}


def shows_the_market(live: Market, recipe: str, leave: str) -> None:
    """Compare what a recipe shows with the feed; leave by a key, and look at the terminal."""
    assert live.server is not None
    url = f"{live.server.url}/v1/ws/updates"
    command = [sys.executable, "-m", f"examples.recipes.{recipe}", url]
    with Terminal(command, 60, ROWS + 10, cwd=ROOT) as terminal:
        terminal.until(lambda lines: len(prices(lines)) == ROWS)
        terminal.until(lambda lines: any("connected" in line for line in lines))
        live.over.set()
        terminal.until(
            lambda lines: prices(lines) == {s: f"{t.price:.2f}" for s, t in live.rows.value.items()}
        )
        terminal.type(leave)
        assert terminal.end() == 0
        assert terminal.left() == set()


@pytest.mark.leaky
def test_rich(live: Market) -> None:
    pytest.importorskip("rich")
    shows_the_market(live, "rich_live", CTRL_C)


@pytest.mark.leaky
def test_urwid(live: Market) -> None:
    if find_spec("urwid") is None:  # not imported here: old ones warn whoever looks at them
        pytest.skip("pip install urwid")
    shows_the_market(live, "urwid_app", "q")


@pytest.mark.leaky
def test_prompt_toolkit() -> None:
    pytest.importorskip("prompt_toolkit")
    command = [sys.executable, "-m", "examples.recipes.prompt_chat"]
    with Terminal(command, 60, 20, cwd=ROOT) as terminal:
        terminal.until(lambda lines: "connected" in lines[-1])
        terminal.type("hello\r")
        terminal.until(lambda lines: "< hello" in lines)
        terminal.type("half a li")  # what comes is above what is being typed
        assert terminal.until(lambda lines: "> half a li" in lines).index("< hello") < 19
        terminal.type("\x15")  # Ctrl-U: the line is empty, so the next ends the program
        terminal.type(CTRL_D)
        assert terminal.end() == 0
        assert terminal.left() == set()
