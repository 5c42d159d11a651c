"""What the log's messages say of where a record is, and of a request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")

from nats.aio.msg import Msg

from heimdall_reactive.dataflow.pulling import (
    RecordPlace,
    headers_of,
    place_of,
    raw_headers,
    status_of,
)

PLAIN = "$JS.ACK.stream.consumer.1.70.7.1700000000500000000.3"
OF_A_DOMAIN = "$JS.ACK.hub.account.stream.consumer.1.70.7.1700000000500000000.3.token"
CLIENT: Any = None  # is not asked


@pytest.mark.parametrize("reply", [PLAIN, OF_A_DOMAIN])
def test_a_record_says_where_it_is(reply: str) -> None:
    place = place_of(reply.encode())
    assert place == RecordPlace(70, 7, 1700000000.5, 3)
    assert status_of(reply.encode(), b"") is None
    theirs = Msg(CLIENT, reply=reply).metadata
    assert (place.stream, place.consumer) == (theirs.sequence.stream, theirs.sequence.consumer)
    assert place.left == theirs.num_pending


@pytest.mark.parametrize("status", ["100", "404", "408", "409"])
def test_a_message_without_a_place_is_about_the_request(status: str) -> None:
    assert status_of(b"", f"NATS/1.0 {status} Why\r\nSome: thing\r\n\r\n".encode()) == status
    assert status_of(b"", f"NATS/1.0 {status}\r\n\r\n".encode()) == status
    assert status_of(b"", b"NATS/1.0\r\n\r\n") == status_of(b"", b"") == ""


names = st.text("abcXYZ-_09", min_size=1)
values = st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"]))


@given(st.dictionaries(names, values))
def test_headers_are_read_as_they_were_written(headers: dict[str, str]) -> None:
    assert headers_of(raw_headers(headers)) == headers


def test_headers_are_read_as_others_write_them() -> None:
    raw = b"NATS/1.0 100 Beat\r\na:1\r\nb:  x: \xffy \r\nnothing\r\n\r\n"
    assert headers_of(raw) == {"a": "1", "b": "x: \ufffdy"}
    assert raw_headers({"Status": "503"}) == b"NATS/1.0 503\r\n\r\n"
    assert headers_of(b"") == {}


@pytest.mark.parametrize("value", ["a\rb", "a\nNats-Rollup: all", "\r\n"])
def test_a_line_break_in_a_header_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        raw_headers({"a": value})
