"""Headers of the upgrade: what a user may add, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.headers import header_pairs

CANARY = "s3cret-canary"


def refusal(headers: Any, origin: str | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        header_pairs(headers, origin)
    assert caught.value.cause == "options"
    assert CANARY not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "Connection", "UPGRADE", "content-length", "Transfer-Encoding", "Sec-WebSocket-Key",
        "Sec-WebSocket-Version", "sec-websocket-whatever",
    ],
)  # fmt: skip
def test_what_the_upgrade_has_already_is_refused_by_name(name: str) -> None:
    said = f"additional_headers must not have {name!r}, which the upgrade has already"
    assert refusal([(name, CANARY)]) == said


@pytest.mark.parametrize(
    ("name", "option"),
    [("Sec-WebSocket-Protocol", "subprotocols="), ("Sec-WebSocket-Extensions", "compression=")],
)
def test_what_an_option_is_for_is_refused_with_its_name(name: str, option: str) -> None:
    assert refusal({name: CANARY}).endswith(f"; use {option}")


def test_an_origin_is_given_once() -> None:
    pairs = [("Origin", "https://o.example")]
    assert header_pairs(pairs) == pairs
    said = "additional_headers has 'Origin' beside origin=; give it once"
    assert refusal(pairs, "https://o.example") == said


def test_a_host_is_given_once() -> None:
    assert header_pairs({"Host": "h.example"}) == [("Host", "h.example")]
    assert (
        refusal([("Host", "a"), ("host", "b")])
        == "additional_headers has more than one 'Host'; give one"
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (42, "must be a str, not of type int"),
        (None, "must be a str, not of type NoneType"),
        (CANARY.encode(), "must be a str, not of type bytes"),
        (f"1\r\nX: {CANARY}", "has control characters, or others that a header cannot have"),
        ("\u20ac", "has control characters, or others that a header cannot have"),
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_by_its_name(value: Any, said: str) -> None:
    assert refusal({"X-Tenant": value}) == f"additional_headers: the value of 'X-Tenant' {said}"


@pytest.mark.parametrize("name", [5, "", "A B", "A\n", "\u00e9", b"A"])
def test_what_cannot_be_a_name_is_refused(name: Any) -> None:
    assert (
        refusal([(name, CANARY)]) == f"additional_headers: {name!r} cannot be the name of a header"
    )


@pytest.mark.parametrize("headers", [5, ["ABC"], [("A",)], "text"])
def test_what_is_neither_a_mapping_nor_pairs_is_refused(headers: Any) -> None:
    assert refusal(headers).startswith("additional_headers must be a mapping or pairs of texts")


def test_headers_keep_their_order_and_may_repeat() -> None:
    pairs = [("Cookie", "a=1"), ("X", "\u00fc"), ("Cookie", "b=2")]
    assert header_pairs(pairs) == pairs
    assert header_pairs(None) == header_pairs({}) == []
