"""The predicates that options are checked by."""

from __future__ import annotations

import re
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


class Options:
    """Some durations, one of them in a part of its own."""

    def __init__(self, **options: Any) -> None:
        self.__dict__.update(options)


@pytest.mark.parametrize(
    ("options", "hints"),
    [
        ({"open_timeout": 5000, "ping_interval": 20.0}, ["open_timeout=5000: 83 minutes, 5"]),
        ({"ping_interval": 20_000.0}, ["ping_interval=20000.0: 6 hours, 20"]),
        ({"happy_eyeballs_delay": 100}, ["happy_eyeballs_delay=100: 100 seconds, 0.1"]),
        ({"reconnect_delay": Options(initial=500, cap=300_000)},
         ["reconnect_delay.cap=300000: 3 days, 300"]),
        ({"reconnect_delay": lambda _: 3000, "heartbeat": None, "ping_interval": None}, []),
        ({"open_timeout": 900, "ping_interval": 3600, "ping_timeout": float("inf")}, []),
    ],
)  # fmt: skip
def test_a_duration_that_is_probably_in_milliseconds_has_a_hint(
    options: dict[str, Any], hints: list[str]
) -> None:
    found = list(checks.too_long(Options(**options)))
    said = re.compile(
        r"(.*) means (.*), as durations are in seconds; (.*) ms would be (.*)=([0-9.]+)"
    )
    shown = []
    for name, seconds, hint in found:
        match = said.fullmatch(hint)
        assert match is not None
        assert (match[3], match[4]) == (str(seconds), name)
        shown.append(f"{match[1]}: {match[2]}, {match[5]}")
    assert shown == hints


def test_a_choice_is_made_by_value_and_type() -> None:
    holds = checks.one_of("deflate", None, 1)
    assert [holds(value) for value in ("deflate", None, 1, True, "zstd", 1.0)] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


def test_none_passes_where_a_value_is_optional() -> None:
    holds = checks.optional(checks.instance(str, bytes))
    assert [holds(value) for value in (None, "a", b"a", 5)] == [True, True, True, False]
