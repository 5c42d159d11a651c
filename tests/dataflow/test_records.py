"""Records: their subjects and ids, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heimdall_reactive.dataflow as dataflow
from heimdall_reactive import ConfigurationError
from heimdall_reactive.dataflow import Record, channel_of, read_record, subject
from heimdall_reactive.dataflow.gaps import Missed, holes
from heimdall_reactive.dataflow.records import checked_stream, id_of, message_id

names = st.text(min_size=1)


@settings(deadline=None)
@given(names)
def test_every_channel_has_a_subject_of_one_token(channel: str) -> None:
    name = subject("TICKS", "in", channel)
    stream, kind, token = name.split(".")
    assert (stream, kind) == ("TICKS", "in")
    assert token.isascii()
    assert not set(token) & set(" *>\t\r\n")
    assert channel_of(name) == channel


def test_a_channel_called_star_is_no_wildcard() -> None:
    assert subject("T", "in", "*") == "T.in.%2A"
    assert subject("T", "in") == "T.in.*"
    assert channel_of("T.in.%2A") == "*"


@settings(deadline=None)
@given(names, st.text())
def test_ids_carry_kind_and_channel_and_come_back(channel: str, own: str) -> None:
    assert id_of(message_id("in", channel, own)) == own
    assert message_id("in", channel, own) != message_id("out", channel, own)


def test_ids_of_different_channels_differ() -> None:
    # By a plain join with a dot, both would be "in.a.b.c".
    assert message_id("in", "a.b", "c") != message_id("in", "a", "b.c")


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a*", "a>", "ä", "x" * 65])
def test_names_that_no_stream_can_have_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="letters, digits"):
        checked_stream(name)


def test_a_channel_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a channel needs a name"):
        subject("T", "in", "")


def test_a_record_survives_its_headers() -> None:
    record = Record("public:*", b"\x00", "7", "in", 3, 12.5, False, {"Heimdall-Copy": "a"})
    assert read_record(record.subject("T"), record.data, record.all_headers(), 3) == record


def test_a_record_of_another_program_can_be_read() -> None:
    record = read_record("T.out.a", b"{}", {"Nats-Msg-Id": "my.own.id", "Heimdall-Received": "?"})
    assert (record.id, record.received, record.kind) == ("my.own.id", 0.0, "out")


@pytest.mark.parametrize("name", ["T", "T.in", "T.what.a"])
def test_other_subjects_are_none_of_a_record(name: str) -> None:
    with pytest.raises(ValueError, match="not a subject of a record"):
        read_record(name, b"")


@settings(deadline=None)
@given(st.integers(-50, 50), st.integers(0, 60), st.lists(st.integers(-60, 120)))
def test_holes_are_exactly_what_is_not_there(first: int, size: int, present: list[int]) -> None:
    last = first + size
    found = [n for begin, end in holes(first, last, present) for n in range(begin, end + 1)]
    assert found == [n for n in range(first, last + 1) if n not in present]


def test_a_gap_is_a_record_and_comes_back() -> None:
    missed = Missed(channel="a.b", reason="reconnect", since=1.5, until=2.5, after="3", before="9",
                    count=5, copy="x")  # fmt: skip
    record = missed.record()
    assert (record.kind, record.channel) == ("gap", "a.b")
    assert Missed.of(record) == missed


def test_copies_that_notice_the_same_gap_write_it_once() -> None:
    one, other = (
        Missed(channel="a", reason="reconnect", since=since, until=9.0, after="3", before="9",
               count=5, copy=copy)
        for since, copy in ((1.0, "x"), (2.0, "y"))
    )  # fmt: skip
    assert one.record().id == other.record().id


def test_what_one_copy_missed_is_told_for_each_copy() -> None:
    one, other = (
        Missed(channel="a", reason="reconnect", since=1.0, until=9.0, copy=copy)
        for copy in ("x", "y")
    )
    assert one.record().id != other.record().id


def test_what_is_no_gap_is_refused() -> None:
    with pytest.raises(ValueError, match="no record of a gap"):
        Missed.of(Record("a", b"{}", kind="gap"))


def test_every_public_name_can_be_imported() -> None:
    for name in dataflow.__all__:
        assert getattr(dataflow, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        dataflow.nothing  # noqa: B018
