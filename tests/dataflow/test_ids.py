"""What tells messages apart: rules, and the window of recent ids."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heimdall_reactive import ConfigurationError
from heimdall_reactive.dataflow import NoMessageId, RecentIds
from heimdall_reactive.dataflow.ids import MAX_ID, id_rule, number_rule, plain_id


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), max_size=300), st.integers(1, 20))
def test_a_repeat_within_the_window_is_known(sequence: list[int], limit: int) -> None:
    ids = RecentIds(limit)
    kept: list[int] = []  # what a list of the newest different ids would hold
    for own in sequence:
        assert ids.add(own) == (own not in kept)
        if own not in kept:
            kept = [*kept, own][-limit:]
        assert len(ids) == len(kept) <= limit
        assert all(one in ids for one in kept)


@settings(deadline=None)
@given(st.data(), st.integers(1, 30), st.integers(0, 200))
def test_interleaved_copies_lose_and_repeat_nothing(
    data: st.DataObject, lag: int, count: int
) -> None:
    """Two copies send the same in order; one is up to `lag` behind, and begins anywhere."""
    ids = RecentIds(2 * lag + 1)
    sent: list[int] = []
    fast = slow = 0
    begin = data.draw(st.integers(0, count))  # what came before, the slow copy never had
    while fast < count:
        if slow < fast and (fast - slow >= lag or data.draw(st.booleans())):
            slow += 1
            sent += [slow] if slow > begin else []
        else:
            fast += 1
            sent.append(fast)
    assert sorted(own for own in sent if ids.add(own)) == list(range(1, count + 1))


def test_an_id_below_the_newest_is_new_where_it_never_came() -> None:
    ids = RecentIds(10)
    assert [ids.add(own) for own in (5, 3, 4, 5, 3)] == [True, True, True, False, False]
    assert ids.repeats == 2


def test_a_window_holds_something() -> None:
    with pytest.raises(ConfigurationError, match="1 or more"):
        RecentIds(0)


@pytest.mark.parametrize(
    ("rule", "message", "found"),
    [
        (None, {"id": "a", "seq": 7}, "a"),
        (None, {"seq": 7}, "7"),
        (None, {"seq": 0}, "0"),
        (None, {"number": 7}, None),
        (None, [1], None),
        (None, "text", None),
        ("at", {"at": 5, "id": 1}, "5"),
        ("at", {"id": 1}, None),
        (lambda m: m["a"] + m["b"], {"a": "x", "b": "y"}, "xy"),
        (lambda _: None, {"id": 1}, None),
    ],
)  # fmt: skip
def test_rules_find_ids(rule: object, message: object, found: str | None) -> None:
    assert id_rule(rule)(message) == found  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [None, True, 1.5, "", [], {}])
def test_what_is_no_id(value: object) -> None:
    assert plain_id(value) is None


@settings(deadline=None)
@given(st.one_of(st.text(min_size=1), st.integers()))
def test_an_id_may_stand_in_a_header(value: str | int) -> None:
    text = plain_id(value)
    assert text is not None
    assert len(text) <= MAX_ID
    assert all("!" <= character <= "~" for character in text)


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_different_ids_stay_different(one: str, other: str) -> None:
    assert (plain_id(one) == plain_id(other)) == (one == other)


@pytest.mark.parametrize(
    ("value", "found"), [(7, 7), ("7", 7), (-3, -3), ("7a", None), ("٣", None), ("9" * 30, None)]
)
def test_an_offset_is_a_whole_number(value: object, found: int | None) -> None:
    assert number_rule("at")({"at": value}) == found


def test_a_missing_id_says_what_to_do() -> None:
    text = str(NoMessageId("ticks", "field id or seq"))
    assert "'ticks' has no field id or seq" in text
    assert "id=" in text
    assert "single=True" in text
