"""What the log's messages say of where a record is, and of a request."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")

from nats.aio.msg import Msg

from heimdall_reactive.dataflow.pulling import RecordPlace, place_of, status_of

PLAIN = "$JS.ACK.stream.consumer.1.70.7.1700000000500000000.3"
OF_A_DOMAIN = "$JS.ACK.hub.account.stream.consumer.1.70.7.1700000000500000000.3.token"
CLIENT: Any = None  # is not asked


def message(reply: str = "", status: str | None = None) -> Msg:
    headers = None if status is None else {"Status": status}
    return Msg(CLIENT, subject="s", reply=reply, data=b"", headers=headers)


@pytest.mark.parametrize("reply", [PLAIN, OF_A_DOMAIN])
def test_a_record_says_where_it_is(reply: str) -> None:
    record = message(reply)
    assert place_of(record) == RecordPlace(70, 7, 1700000000.5)
    assert status_of(record) is None
    theirs = record.metadata.sequence
    assert place_of(record)[:2] == (theirs.stream, theirs.consumer)


@pytest.mark.parametrize("status", ["100", "404", "408", "409"])
def test_a_message_without_a_place_is_about_the_request(status: str) -> None:
    assert status_of(message(status=status)) == status
    assert status_of(message()) == ""
