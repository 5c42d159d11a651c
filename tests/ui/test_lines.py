"""One line for a message: its type, what matters, and nothing that steers a terminal."""

from __future__ import annotations

import json
import time
import unicodedata
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from heimdall_reactive import ChannelMessage, ConfigurationError, Pong
from heimdall_reactive.base.printable import cut, printable
from heimdall_reactive.bindings import message_line
from heimdall_reactive.devserver.builders import build


class Login(BaseModel):
    type: str = "login"
    user_id: str = Field(serialization_alias="userId")
    password: SecretStr
    note: str | None = None


class Mute:
    def __repr__(self) -> str:
        raise ValueError("no")


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ({"type": "trade", "price": 3, "of": None}, 'trade  {"price": 3, "of": null}'),
        ('{"type": "trade", "price": 3}', 'trade  {"price": 3}'),
        ({"event": "tick", "type": 5}, 'tick  {"type": 5}'),
        ({"method": "add", "params": [1]}, 'add  {"params": [1]}'),
        ({"type": "same", "event": "same"}, 'same  {"event": "same"}'),
        ({"type": "ping"}, "ping"),
        ({"price": 3}, '{"price": 3}'),
        ('{"price":3}', '{"price":3}'),
        ("hello", "hello"),
        ('"text"', '"text"'),
        ("{not JSON", "{not JSON"),
        ('{"a":' * 1500, '{"a":' * 23 + '{"a"…'),
        ([1, "é"], '[1, "é"]'),
        (7, "7"),
        (None, ""),
        ("", ""),
        (b"\x00\xff", "binary  2 bytes: 00 ff"),
        (bytes(17), "binary  17 bytes: " + " ".join(["00"] * 16) + " ..."),
        (Pong(), "Pong"),
        (ChannelMessage(channel="stats", data='{"n":1}'), '#stats  {"n":1}'),
        ('{"type":"Message","channel":"stats","data":"1"}', "#stats  1"),
        (Login(user_id="u1", password=SecretStr("hunter2")),
         'login  {"userId": "u1", "password": "**********"}'),
        (Point(2), '{"x": 2}'),
        (Mute(), "<Mute>"),
        (object, "<class 'object'>"),
        ({"type": "x\x1b[2J", "to": "\u202egpj"}, r'x\x1b[2J  {"to": "\u202egpj"}'),
        ("two\nlines\tand \ud800", r"two\nlines\tand \ud800"),
    ],
)  # fmt: skip
def test_a_message_is_its_type_and_what_matters(message: object, line: str) -> None:
    assert message_line(message) == line


def test_a_model_ends_with_its_own_time() -> None:
    line = message_line(build("rolesUpdated", "u1"), 200)
    assert line.startswith('rolesUpdated  {"userId": "u1", ')
    assert '"timestamp": "' in line[-44:]


def test_the_time_stands_first_where_it_is_given() -> None:
    at = time.mktime((2026, 1, 2, 12, 34, 56, 0, 0, -1)) + 0.789
    assert message_line({"type": "ping"}, at=at) == "12:34:56.789  ping"


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abc", 1, "…"),
        ("漢字", 4, "漢字"),
        ("漢字", 3, "漢…"),
    ],
)
def test_a_line_that_is_too_wide_is_cut(text: str, width: int, shown: str) -> None:
    assert message_line(text, width) == cut(text, width) == shown


@pytest.mark.parametrize("width", [0, -1])
def test_a_line_has_a_width(width: int) -> None:
    with pytest.raises(ConfigurationError, match="width"):
        message_line("text", width)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.datetimes() | st.builds(SecretStr, st.text()) | st.builds(Point, st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("type"), inner),
)  # fmt: skip


@given(anything, st.integers(1, 200))
def test_whatever_comes_is_one_line_within_its_width(message: Any, width: int) -> None:
    line = message_line(message, width)
    assert line.isprintable()
    columns = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
    assert columns <= width


@given(st.dictionaries(st.text(), st.integers() | st.text(), min_size=1))
def test_a_text_is_shown_as_the_object_that_it_spells(fields: dict[str, Any]) -> None:
    message = fields | {"type": "trade"}
    assert message_line(json.dumps(message), 10_000) == message_line(message, 10_000)


@given(st.text())
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert printable(printable(text)) == printable(text)
    assert (printable(text) == text) == text.isprintable()
