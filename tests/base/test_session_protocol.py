"""What a protocol says where it says nothing of its own, and how its errors are named."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from heimdall_reactive.base.exceptions import ConnectTimeout, StoreError
from heimdall_reactive.base.messages import ChannelMessage, Ping, Subscribe, Unsubscribe
from heimdall_reactive.base.session_protocol import (
    HEIMDALL_CHANNELS,
    NO_CHANNELS,
    Again,
    Ended,
    Failed,
    Refused,
    SessionProtocol,
    blamed,
    overrides,
)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (ChannelMessage(channel="gps", data="1"), ("gps", "1")),
        ({"type": "Message", "channel": "gps", "data": "1"}, ("gps", "1")),
        ({"type": "Message"}, ("", "")),
        ({"type": "message", "channel": "gps", "data": "1"}, None),
        ({"channel": "gps", "data": "1"}, None),
        (Ping(), None),
        ([], None),
    ],
)
def test_heimdalls_channel_messages_are_found_as_models_and_as_json(
    message: Any, found: tuple[str, str] | None
) -> None:
    assert HEIMDALL_CHANNELS.match(message) == found


def test_heimdalls_words_are_the_default() -> None:
    assert HEIMDALL_CHANNELS.subscribe("gps") == Subscribe(channel="gps")
    assert HEIMDALL_CHANNELS.unsubscribe("gps") == Unsubscribe(channel="gps")
    assert (HEIMDALL_CHANNELS.json_text, HEIMDALL_CHANNELS.subscribe_many) == (True, None)


def test_a_protocol_without_channels_has_no_words_for_them() -> None:
    assert NO_CHANNELS.match({"type": "Message"}) is None
    for words in (NO_CHANNELS.subscribe, NO_CHANNELS.unsubscribe):
        with pytest.raises(LookupError, match="gps"):
            words("gps")


async def nothing() -> tuple[Any, Any]:
    neutral: Any = SessionProtocol()
    return await neutral.endpoint(1), await neutral.handshake(None)


def test_a_protocol_that_overrides_nothing_is_neutral() -> None:
    neutral: Any = SessionProtocol()
    with pytest.raises(StopIteration) as ended:
        nothing().send(None)
    assert ended.value.value == (None, None)
    assert neutral.decode('{"n": 1}', None) == ({"n": 1},)
    assert neutral.decode(b"{", None) == (b"{",)
    with pytest.raises(ValueError):
        neutral.decode("NaN", None)
    assert neutral.receive(1, None) == neutral.prepare(1, None) == 1
    assert neutral.correlate(1) is None
    assert (neutral.subprotocols, neutral.channels) == ((), None)


def test_what_a_protocol_overrides_is_known() -> None:
    class Own(SessionProtocol):
        def correlate(self, value: Any) -> Any:
            return value

    assert overrides(Own(), "correlate")
    assert not overrides(Own(), "prepare")


@pytest.mark.parametrize(
    ("raised", "kind", "text"),
    [
        (StoreError("as it is"), StoreError, "as it is"),
        (Refused("no", "stop"), Refused, "no"),
        (
            TimeoutError("secret"),
            ConnectTimeout,
            "the protocol's endpoint() took too long; see open_timeout and token_timeout",
        ),
        (
            KeyError("secret"),
            Refused,
            "the protocol's endpoint() raised KeyError; fix that method",
        ),
    ],
)
def test_a_method_is_named_in_what_it_raises(
    raised: Exception, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as caught, blamed("endpoint"):
        raise raised
    assert type(caught.value) is kind
    assert str(caught.value) == text


def test_a_method_that_ends_well_raises_nothing() -> None:
    with blamed("endpoint"):
        pass


def test_what_a_match_may_return_is_a_value() -> None:
    assert (Ended(), Again()) == (Ended(), Again())
    for value, name in ((Failed(StoreError("no")), "error"), (HEIMDALL_CHANNELS, "match")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)
