"""The predicates that options are checked by."""

from __future__ import annotations

from typing import Any

import pytest

from heimdall_reactive.base import checks


@pytest.mark.parametrize(
    ("value", "number", "duration"),
    [
        (1, True, True), (0.5, True, True), (float("inf"), True, True), (0, True, False),
        (-1, False, False), (float("nan"), False, False), ("1", False, False), (None, False, False),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_above_0(value: Any, number: bool, duration: bool) -> None:
    assert (checks.is_number(value), checks.is_duration(value)) == (number, duration)


def test_a_choice_is_made_by_value_and_type() -> None:
    holds = checks.one_of("deflate", None, 1)
    assert [holds(value) for value in ("deflate", None, 1, True, "zstd", 1.0)] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


def test_none_passes_where_a_value_is_optional() -> None:
    holds = checks.optional(checks.instance(str, bytes))
    assert [holds(value) for value in (None, "a", b"a", 5)] == [True, True, True, False]
