"""What the rules of a feed get of a message."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heimdall_reactive.dataflow.feeds import parsed

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def plain(message: str) -> Any:
    """Return what the standard library makes of a message."""
    try:
        return json.loads(message)
    except (ValueError, RecursionError):
        return message


@given(values.map(json.dumps) | values.map(lambda one: json.dumps(one, ensure_ascii=False)))
@example('{"id": "\\ud800"}')
@example('{"id": 1, "id": 2}')
@example('{"id": -0}')
@example("[" * 300 + "]" * 300)
@example("[" * 90_000)
@example('{"id": ' + "9" * 4_000 + "}")
@example("9" * 5_000)
@example("1e400")
@example("\ufeff1")
@example('"\t"')
@example("nan")
@example(" 1 ")
@example("")
def test_a_message_is_what_the_standard_library_makes_of_it(message: str) -> None:
    assert repr(parsed(message)) == repr(plain(message))


@pytest.mark.parametrize("message", [b"1", b"{}", b"\xff"])
def test_a_binary_message_is_bytes(message: bytes) -> None:
    assert parsed(message) is message
