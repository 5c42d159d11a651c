"""Endpoints, secrets in them, and what options are refused."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from heimdall_reactive.base.endpoints import (
    MAX_URL,
    WsConfig,
    is_loopback,
    redact,
    resolve_endpoint,
)
from heimdall_reactive.base.exceptions import ConfigurationError, InvalidEndpoint
from heimdall_reactive.base.options import OptionsDict, StoreOptions
from heimdall_reactive.base.retry import Backoff

CANARY = "s3cret-canary"
BASE = "ws://localhost:3000"


@pytest.mark.parametrize(
    ("endpoint", "base", "url"),
    [
        ("/v1/ws", BASE, "ws://localhost:3000/v1/ws"),
        ("v1/ws", BASE + "/", "ws://localhost:3000/v1/ws"),
        ("", BASE, "ws://localhost:3000/"),
        ("//evil.example/x", BASE, "ws://localhost:3000/evil.example/x"),
        ("/v1", "wss://h.example/api/", "wss://h.example/api/v1"),
        ("/v1?next=https://h.example/", BASE, "ws://localhost:3000/v1?next=https://h.example/"),
        ("ws://other.example", BASE, "ws://other.example"),
        ("WSS://Other.example/Path?Q=1", BASE, "wss://Other.example/Path?Q=1"),
        ("wss://[::1]:8443/x", BASE, "wss://[::1]:8443/x"),
        ("ws://user:pw@h.example/", BASE, "ws://user:pw@h.example/"),
    ],
)
def test_an_endpoint_becomes_a_whole_url(endpoint: str, base: str, url: str) -> None:
    assert resolve_endpoint(endpoint, base) == url


@pytest.mark.parametrize(
    "endpoint",
    [
        f"http://user:{CANARY}@h.example/?t={CANARY}",
        f"ftp://h.example/?t={CANARY}",
        f"ws:///path?t={CANARY}",
        f"ws://h.example/#{CANARY}",
        "ws://h.example/#",
        f"ws://h.example:0/?t={CANARY}",
        f"ws://h.example:99999/?t={CANARY}",
        f"ws://h.example:{CANARY}/",
        f"ws://[::1/?t={CANARY}",
        f"/a path?t={CANARY}",
        f"/path\r\nX: {CANARY}",
        f"/path\x7f{CANARY}",
        "/" + "x" * MAX_URL,
        "/x#fragment",
    ],
)
def test_what_makes_no_websocket_url_is_refused_without_its_secrets(endpoint: str) -> None:
    with pytest.raises(InvalidEndpoint) as caught:
        resolve_endpoint(endpoint, BASE)
    assert CANARY not in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_base_that_is_no_websocket_url_is_refused() -> None:
    with pytest.raises(InvalidEndpoint):
        resolve_endpoint("/v1", "localhost:3000")


@given(st.text(max_size=40))
def test_an_endpoint_resolves_or_is_refused(endpoint: str) -> None:
    try:
        url = resolve_endpoint(endpoint, BASE)
    except InvalidEndpoint:
        return
    assert url.startswith(("ws://", "wss://"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"wss://user:{CANARY}@H.example:8443/p?t={CANARY}#{CANARY}", "wss://h.example:8443/p"),
        (f"/v1/ws?t={CANARY}", "/v1/ws"),
        ("ws://[::1]:3000/x", "ws://[::1]:3000/x"),
        (f"ws://h:{CANARY}/", "<invalid URL>"),
        (f"ws://[{CANARY}", "<invalid URL>"),
        ("ws://h/" + "x" * 1000, "ws://h/" + "x" * 193),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert redact(url) == shown


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.255.254", "::1"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "", "localhost.evil", "localhost.", "evil-localhost", "127.0.0.1.nip.io", "2130706433",
        "0x7f000001", "0177.0.0.1", "127.1", "::ffff:127.0.0.1", "[::1]", "0.0.0.0", "::",
        "10.0.0.1", "h.example", "127.0.0.1 ", "１２７.0.0.1",  # noqa: RUF001
    ],
)  # fmt: skip
def test_what_only_looks_like_this_machine_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


# Options


def test_the_keywords_are_the_fields() -> None:
    assert set(OptionsDict.__annotations__) == {field.name for field in fields(StoreOptions)}
    assert get_type_hints(OptionsDict) == get_type_hints(StoreOptions)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("token_timeout", (0, -1, float("nan"), None, "5")),
        ("open_timeout", (0, -0.1, None)),
        ("ping_timeout", (0, None)),
        ("close_timeout", (0, "1")),
        ("ping_interval", (0, -1, "20")),
        ("outbox_limit", (0, -1, None)),
        ("outbox_bytes", (0, None)),
        ("max_size", (0, None)),
        ("stable_after", (-1, None)),
        ("max_reconnect_attempts", (-1, "5")),
        ("reconnect_delay", (-1, float("inf"), float("nan"), None, "3")),
        ("token_placement", ("query", None)),
    ],
)
def test_an_option_that_cannot_work_is_refused_by_name(name: str, values: tuple[Any, ...]) -> None:
    for value in values:
        with pytest.raises(ConfigurationError, match=f"^{name} must be .*, not "):
            StoreOptions(**{name: value})


@pytest.mark.parametrize(
    "options",
    [
        {}, {"reconnect_delay": 0}, {"reconnect_delay": Backoff()}, {"ping_interval": None},
        {"reconnect_delay": lambda context: None}, {"max_reconnect_attempts": None},
        {"max_reconnect_attempts": 0}, {"stable_after": 0}, {"token_placement": "subprotocol"},
    ],
)  # fmt: skip
def test_options_that_work_are_taken(options: dict[str, Any]) -> None:
    taken = StoreOptions(**options)
    assert {name: getattr(taken, name) for name in options} == options


@pytest.mark.parametrize("token", [CANARY, SecretStr(CANARY), lambda: CANARY])
def test_the_repr_holds_no_secret(token: Any) -> None:
    options = StoreOptions(
        access_token=token,
        additional_headers={"X-Key": CANARY},
        proxy=f"http://user:{CANARY}@proxy.example",
        origin="https://o.example",
    )
    assert CANARY not in repr(options)
    assert "access_token" not in repr(options)
    assert "origin='https://o.example'" in repr(options)


def test_the_defaults_are_the_documented_ones() -> None:
    options = StoreOptions()
    assert (options.auto_reconnect, options.immediate, options.access_token) == (True, True, None)
    assert (options.reconnect_delay, options.max_reconnect_attempts, options.stable_after) == (
        3.0, 5, 5.0,
    )  # fmt: skip


# Configuration


def test_the_base_url_is_what_is_set_else_the_environment_else_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = WsConfig()
    monkeypatch.delenv("HEIMDALL_WS_URL", raising=False)
    assert config.ws_url == "ws://localhost:3000"
    monkeypatch.setenv("HEIMDALL_WS_URL", "wss://env.example")
    assert config.ws_url == "wss://env.example"
    config.ws_url = "wss://set.example"
    assert config.ws_url == "wss://set.example"
    config.ws_url = None
    assert config.ws_url == "wss://env.example"
    monkeypatch.setenv("HEIMDALL_WS_URL", "")
    assert config.ws_url == "ws://localhost:3000"
