"""docs/browser.md names tests that exist, and has figures that were measured."""

from __future__ import annotations

import re

from heimdall_reactive.consuming.scheduler import NO_TIMER

from .measure import DOC
from .pages import ROOT

FRAME = 50  # milliseconds


def test_each_promise_of_the_page_has_its_test() -> None:
    named = set(re.findall(r"`(test_\w+)`", DOC.read_text(encoding="utf-8")))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(named) > 30
    assert named - defined == set()


def test_the_page_has_the_hint_for_timed_operators() -> None:
    assert f"\n{NO_TIMER}\n" in DOC.read_text(encoding="utf-8")


def test_the_page_says_what_was_measured() -> None:
    text = DOC.read_text(encoding="utf-8")
    found = re.search(r"longest time between two frames \| (\d+) ms", text)
    assert found is not None, "python -m tests.browser.measure"
    assert int(found[1]) < FRAME
