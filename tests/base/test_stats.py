"""Counters begin at zero, and count."""

from __future__ import annotations

from dataclasses import asdict, fields

from heimdall_reactive.base.stats import Counters, SendCounters


def test_counters_begin_at_zero() -> None:
    assert set(asdict(Counters()).values()) == {0}
    assert set(asdict(SendCounters()).values()) == {0}


def test_a_final_state_is_counted_by_its_name() -> None:
    for field in fields(SendCounters):
        counters = SendCounters()
        counters.add(field.name, 2)
        counters.add(field.name, 1)
        assert asdict(counters) == {**asdict(SendCounters()), field.name: 3}
