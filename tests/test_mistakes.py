"""What typical mistakes say: the table of docs/errors.md, made again."""

from __future__ import annotations

import pytest

from tests.mistakes import MISTAKES, Mistake, row, shown


def test_the_page_has_every_mistake_in_order() -> None:
    listed = [line.split(" | ")[0][2:] for line in shown().splitlines() if " | " in line]
    assert [name for name in listed if name not in {made.group for made in MISTAKES}] == [
        made.what for made in MISTAKES
    ]
    assert len(MISTAKES) >= 40


@pytest.mark.parametrize("made", MISTAKES, ids=lambda made: made.what)
async def test_a_mistake_says_in_one_line_what_to_do(made: Mistake) -> None:
    """`python -m tests.mistakes` writes the table."""
    written = await row(made)
    assert written in shown().splitlines()
    assert "secret" not in written.partition(" | ")[2]
