"""What leads to what: the documented table is the table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heimdall_reactive.base import exceptions
from heimdall_reactive.base.exceptions import (
    CertificateError,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    HandshakeRefused,
    InsecureToken,
    InvalidEndpoint,
    InvalidHandshake,
    RedirectRefused,
    SessionEnded,
    TlsError,
    TokenError,
)
from heimdall_reactive.base.options import StoreOptions
from heimdall_reactive.base.rules import DEFAULT_RULES, Action, Rules

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def test_the_documented_table_is_the_table() -> None:
    rows = re.findall(
        r"^\| `([a-z0-9 -]+)` \| `([a-z]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert rows == [(cause, str(action)) for cause, action in DEFAULT_RULES.items()]


@pytest.mark.parametrize(
    ("causes", "action"),
    [
        (("http 401",), Action.REFRESH),
        (("http 403",), Action.REVIEW),
        (("http 408", "http 425", "http 429"), Action.WAIT),
        (tuple(f"http {n}" for n in (500, 501, 502, 503, 504, 520, 599)), Action.WAIT),
        (tuple(f"http {n}" for n in (100, 200, 302, 400, 404, 410, 426, 451)), Action.STOP),
        (("close 1008", "close 4401", "close 4403"), Action.REFRESH),
        (
            tuple(f"close {n}" for n in (1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014)),
            Action.RETRY,
        ),
        (tuple(f"close {n}" for n in (1002, 1003, 1007, 1009, 1010)), Action.RETRY),
        (("close 3000", "close 4000", "close 4999"), Action.RETRY),
        (("", "something else", "http", "http x"), Action.STOP),
    ],
)
def test_every_cause_leads_somewhere(causes: tuple[str, ...], action: Action) -> None:
    assert {Rules().action(cause) for cause in causes} == {action}


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (CertificateError("certificate"), "certificate"),
        (TlsError("tls"), "tls"),
        (InvalidEndpoint("url"), "endpoint"),
        (InsecureToken("token"), "insecure"),
        (RedirectRefused("elsewhere"), "redirect"),
        (ConfigurationError("option"), "options"),
        (ConnectTimeout("slow"), "timeout"),
        (ConnectError("down"), "unreachable"),
        (ConnectError("down", "refused"), "refused"),
        (InvalidHandshake("wrong accept"), "handshake"),
        (TokenError("provider"), "token"),
        (SessionEnded("accountBanned"), "session"),
        (ConnectionLost(1006, ""), "close 1006"),
        (HandshakeRefused(503), "http 503"),
    ],
)
def test_every_error_that_ends_an_attempt_names_its_cause(error: Exception, cause: str) -> None:
    assert getattr(error, "cause", None) == cause
    assert cause in DEFAULT_RULES or " " in cause


def test_no_error_names_a_cause_that_has_no_row() -> None:
    named = {
        kind.__dict__["cause"] for kind in vars(exceptions).values()
        if isinstance(kind, type) and isinstance(kind.__dict__.get("cause"), str)
    }  # fmt: skip
    assert named <= DEFAULT_RULES.keys()


# A user's rules


def test_a_users_rule_counts_before_every_default_and_the_narrowest_before_the_others() -> None:
    rules = Rules({
        "http 400-499": "retry",
        "http 404": "stop",
        "close 4000-4999": Action.END,
        "close 4100-4199": "refresh",
        "tls": "retry",
    })  # fmt: skip
    found = [
        rules.action(cause)
        for cause in ("http 401", "http 404", "http 503", "close 4401", "close 4150", "tls")
    ]
    assert found == ["retry", "stop", "wait", "end", "refresh", "retry"]


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"http 404": "perhaps"}, "must be retry, wait, refresh, review, end, stop, not 'perhaps'"),
        ({"http 404": None}, "not None"),
        ({"close": "stop"}, "'close' is not a cause; say 'close 4000-4099'"),
        ({"close 4500-4400": "stop"}, "is not a cause"),
        ({"http 4xx": "stop"}, "is not a cause"),
        ({"weather": "stop"}, "refused, reset, unreachable"),
    ],
)
def test_what_is_no_rule_is_refused_when_the_store_is_made(own: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        StoreOptions(reconnect_rules=own)


def test_the_narrowest_range_counts_also_across_a_power_of_two() -> None:
    rules = Rules({"close 4090-4100": "end", "close 4095-4096": "stop"})
    actions = [rules.action(f"close {code}") for code in (4094, 4095, 4096, 4097)]
    assert actions == ["end", "stop", "stop", "end"]
