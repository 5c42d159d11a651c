"""What each error says, what it carries, and which row of the rules it looks up."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from heimdall_reactive.base import exceptions as e

NO_CREDENTIAL = "no credential was sent: pass access_token= if it needs one"

# (kind, what it is made of, its text, what else it carries)
ERRORS: list[tuple[type[e.HeimdallError], tuple[Any, ...], str, dict[str, Any]]] = [
    (
        e.ObserverError,
        (KeyError("secret"), "messages"),
        "an observer of 'messages' raised KeyError; handle it inside the observer",
        {"subject": "messages", "ended": False},
    ),
    (
        e.ObserverError,
        (KeyError("secret"), "messages", True),
        (
            "a pipeline of 'messages' raised KeyError and has ended; catch the error in the "
            "function that raised it"
        ),
        {"ended": True},
    ),
    (
        e.SourceError,
        (KeyError("secret"), "send"),
        (
            "a source piped into 'send' failed with KeyError; "
            "catch the error in the pipeline before it reaches the command"
        ),
        {"subject": "send"},
    ),
    (
        e.InvalidMessage,
        ("not JSON", 7),
        "invalid message of 7 bytes: not JSON; message_type=str takes any text",
        {"reason": "not JSON", "size": 7, "kind": None},
    ),
    (e.InvalidMessage, ("no", 7, "a"), "invalid 'a' message of 7 bytes: no", {"kind": "a"}),
    (e.RecordingError, ("no header",), "no header", {"line": None}),
    (e.RecordingError, ("no time", 3), "line 3 of the recording: no time", {"line": 3}),
    (e.TokenError, ("no token",), "no token", {"cause": "token"}),
    (e.SendError, ("not sent",), "not sent", {"state": "rejected"}),
    (e.SendError, ("not sent", "expired"), "not sent", {"state": "expired"}),
    (
        e.HandlerCancelled,
        ("db", 2.0, 1, 5),
        (
            "'db' was not done 2 s after the store closed: calls cancelled: 1, "
            "values dropped: 5; give it more time by grace="
        ),
        {"cancelled": 1, "dropped": 5},
    ),
    (
        e.StreamOverflow,
        ("stream()", 2),
        (
            "'stream()' was too slow: 2 had no room, and it gets nothing more; "
            "raise its maxsize, or let it drop by another overflow policy"
        ),
        {"dropped": 2},
    ),
    (e.ServerError, ("a\nb",), "the server complains: a?b", {"complaint": "a?b"}),
    (
        e.RequestLost,
        ("cut",),
        "the answer can no longer come: cut; ask again when connected",
        {"reason": "cut"},
    ),
    (e.ConfigurationError, ("bad",), "bad", {"cause": "options"}),
    (e.InvalidEndpoint, ("bad",), "bad", {"cause": "endpoint"}),
    (e.InsecureToken, ("bad",), "bad", {"cause": "insecure"}),
    (e.RedirectRefused, ("bad",), "bad", {"cause": "redirect"}),
    (e.ConnectError, ("no",), "no", {"cause": "unreachable"}),
    (e.ConnectError, ("no", "reset"), "no", {"cause": "reset"}),
    (e.ConnectTimeout, ("slow",), "slow", {"cause": "timeout"}),
    (e.TlsError, ("no",), "no", {"cause": "tls"}),
    (e.CertificateError, ("no",), "no", {"cause": "certificate"}),
    (e.InvalidHandshake, ("no",), "no", {"cause": "handshake"}),
    (
        e.HandshakeRefused,
        (401,),
        "the server refused the WebSocket with HTTP 401; check the access token",
        {"cause": "http 401", "http_status": 401, "retry_after": None},
    ),
    (
        e.HandshakeRefused,
        (403,),
        "the server refused the WebSocket with HTTP 403; check the access token's permissions",
        {"cause": "http 403"},
    ),
    (
        e.HandshakeRefused,
        (401, None, False),
        f"the server refused the WebSocket with HTTP 401; {NO_CREDENTIAL}",
        {"cause": "http 401", "http_status": 401, "retry_after": None},
    ),
    (
        e.HandshakeRefused,
        (403, 2.0, False),
        f"the server refused the WebSocket with HTTP 403; {NO_CREDENTIAL}",
        {"cause": "http 403", "retry_after": 2.0},
    ),
    (
        e.HandshakeRefused,
        (404, None, False),
        "the server refused the WebSocket with HTTP 404; check the endpoint's path",
        {"cause": "http 404"},
    ),
    (
        e.HandshakeRefused,
        (404,),
        "the server refused the WebSocket with HTTP 404; check the endpoint's path",
        {"cause": "http 404"},
    ),
    (
        e.HandshakeRefused,
        (503, 2.5),
        "the server refused the WebSocket with HTTP 503",
        {"cause": "http 503", "http_status": 503, "retry_after": 2.5},
    ),
    (
        e.HandshakeRefused,
        (200,),
        (
            "the server refused the WebSocket with HTTP 200; "
            "the URL is that of a page, check the endpoint's path"
        ),
        {"cause": "http 200"},
    ),
    (
        e.HandshakeRefused,
        (426,),
        (
            "the server refused the WebSocket with HTTP 426; "
            "it asks for another protocol, check the endpoint's path"
        ),
        {"cause": "http 426"},
    ),
    (
        e.ConnectionLost,
        (1009, "", True),
        "the connection ended with code 1009; raise max_size",
        {"code": 1009},
    ),
    (
        e.ConnectionLost,
        (1009, ""),
        "the connection ended with code 1009; the message is too long for the server",
        {"code": 1009},
    ),
    (
        e.ConnectionLost,
        (1006, ""),
        "the connection ended with code 1006",
        {"code": 1006, "reason": "", "cause": "close 1006"},
    ),
    (
        e.ConnectionLost,
        (4000, "bye"),
        "the connection ended with code 4000 (bye)",
        {"code": 4000, "reason": "bye", "cause": "close 4000"},
    ),
    (
        e.SessionEnded,
        ("accountBanned",),
        "the server ended the session (accountBanned); connect() connects again",
        {"kind": "accountBanned", "cause": "session"},
    ),
]


@pytest.mark.parametrize(("kind", "made_of", "text", "fields"), ERRORS, ids=lambda value: None)
def test_an_error_says_what_happened_and_keeps_it_through_a_copy(
    kind: type[e.HeimdallError], made_of: tuple[Any, ...], text: str, fields: dict[str, Any]
) -> None:
    error = kind(*made_of)
    for seen in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(seen) is kind
        assert str(seen) == text
        assert {name: getattr(seen, name) for name in fields} == fields


@pytest.mark.parametrize("kind", [e.ObserverError, e.SourceError])
def test_what_user_code_raised_is_kept(kind: type[e.ObserverError] | type[e.SourceError]) -> None:
    raised = KeyError("secret")
    assert kind(raised, "messages").error is raised


def test_a_text_is_one_line_of_a_thousand_characters_at_most() -> None:
    error = e.StoreError("\n" + "x" * 2000, 5)
    assert error.args == ("?" + "x" * 999, 5)
    assert e.ServerError("x" * 2000).complaint == "x" * 1000


def test_a_refusal_without_a_credential_says_so_and_keeps_its_url() -> None:
    refused = e.HandshakeRefused(401, 2.0)
    refused.args = (f"{refused} (ws://h.example/)",)
    told = refused.without_credential()
    assert str(told) == (
        f"the server refused the WebSocket with HTTP 401; {NO_CREDENTIAL} (ws://h.example/)"
    )
    assert (told.http_status, told.retry_after, told.cause) == (401, 2.0, "http 401")
