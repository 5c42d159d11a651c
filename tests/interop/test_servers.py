"""Stores against the servers that people run: what is seen, and that all of it comes back.

What a restart ends, a store with its own rules reconnects to by itself. What is expected is what
`python -m tests.interop.table` has written down, and `docs/servers.md` shows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .catalogue import CATALOGUE
from .observing import observe
from .table import PAGE, observed, page, pinned

# It resets the socket behind its close frame, and we are still sending: what comes first varies.
VARIES = {("granian", "too big"): {"1005", "1006", "1009"}}


@pytest.mark.parametrize("name", CATALOGUE)
async def test_a_server_is_seen_as_the_table_says(name: str, tmp_path: Path) -> None:
    wanted, seen = observed()["servers"][name]["seen"], await observe(name, tmp_path)
    for case in wanted:
        if seen[case] in VARIES.get((name, case), ()):
            seen[case] = wanted[case]
    assert seen == wanted


def test_the_page_has_what_was_seen() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(observed()), "run tests.interop.table"


def test_what_was_seen_was_of_the_versions_that_are_pinned() -> None:
    found, pins = observed()["servers"], pinned()
    assert list(found) == list(CATALOGUE)
    for name, row in found.items():
        for told in row["version"].split(", "):
            package, version = told.split()
            assert pins.get(package, version) == version, name
