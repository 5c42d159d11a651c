"""Endpoints, secrets in them, and what options are refused."""

from __future__ import annotations

import pickle
import socket
from dataclasses import FrozenInstanceError, asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from heimdall_reactive.base.endpoints import (
    MAX_URL,
    WsConfig,
    check_endpoint,
    is_loopback,
    redact,
    resolve_endpoint,
)
from heimdall_reactive.base.exceptions import ConfigurationError, InvalidEndpoint
from heimdall_reactive.base.options import (
    CloseInfo,
    Heartbeat,
    OptionsDict,
    RetryContext,
    StoreOptions,
    options_of,
)
from heimdall_reactive.base.retry import Backoff
from heimdall_reactive.base.session_protocol import HEIMDALL_CHANNELS, SessionProtocol

CANARY = "s3cret-canary"


async def asynchronous(_: object) -> bool:
    return True


class Asynchronous:
    async def __call__(self, _: object) -> bool:
        return True


BASE = "ws://localhost:3000"


@pytest.mark.parametrize(
    ("endpoint", "base", "url"),
    [
        ("/v1/ws", BASE, "ws://localhost:3000/v1/ws"),
        ("v1/ws", BASE + "/", "ws://localhost:3000/v1/ws"),
        ("/v1!~", BASE, "ws://localhost:3000/v1!~"),
        ("", BASE, "ws://localhost:3000/"),
        ("//evil.example/x", BASE, "ws://localhost:3000/evil.example/x"),
        ("/v1", "wss://h.example/api/", "wss://h.example/api/v1"),
        ("/v1?next=https://h.example/", BASE, "ws://localhost:3000/v1?next=https://h.example/"),
        ("ws://other.example", BASE, "ws://other.example"),
        ("WSS://Other.example/Path?Q=1", BASE, "wss://Other.example/Path?Q=1"),
        ("wss://[::1]:8443/x", BASE, "wss://[::1]:8443/x"),
        ("ws://user:pw@h.example/", BASE, "ws://user:pw@h.example/"),
        ("/k\u00e4se%20a?q=\u00fc%26", BASE, "ws://localhost:3000/k%C3%A4se%20a?q=%C3%BC%26"),
        ("ws://B\u00fccher.example:81/a%20b", BASE, "ws://xn--bcher-kva.example:81/a%20b"),
        ("ws://\u00fc:\u00fc@\u00fc.example", BASE, "ws://%C3%BC:%C3%BC@xn--tda.example"),
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


def test_an_endpoint_may_be_as_long_as_servers_take_and_a_refusal_says_what_to_give() -> None:
    longest = f"{BASE}/".ljust(MAX_URL, "x")
    assert resolve_endpoint(longest, BASE) == longest
    advice = "; give a path such as '/v1/ws', or a full ws:// or wss:// URL"
    for wrong in (longest + "x", "ws://[::1", "ftp://h.example/"):
        with pytest.raises(InvalidEndpoint) as caught:
            resolve_endpoint(wrong, BASE)
        assert str(caught.value).endswith(advice)


@pytest.mark.parametrize(
    ("endpoint", "advice"),
    [
        ("127.0.0.1:8803", "is a host without a scheme; say 'ws://127.0.0.1:8803'"),
        (
            "localhost:8803/ws",
            "say 'ws://localhost:8803/ws', or '/localhost:8803/ws' if it is a path",
        ),
        ("localhost", "say 'ws://localhost'"),
        ("[::1]:80/", "say 'ws://[::1]:80/'"),
        ("10.0.0.1/ws", "say 'ws://10.0.0.1/ws'"),
        (f"api:8000/ws?t={CANARY}", "say 'ws://api:8000/ws'"),
        ("api.example.:443", "say 'ws://api.example.:443'"),
        (
            "http://h.example/ws",
            "'http://h.example/ws' is not a WebSocket URL; say 'ws://h.example/ws'",
        ),
        (f"HTTPS://u:{CANARY}@h.example/?t={CANARY}", "say 'wss://h.example/'"),
        (
            f"ftp://h.example/?t={CANARY}",
            "'ftp://h.example/' is not a WebSocket URL; say ws:// or wss://",
        ),
    ],
)
def test_a_host_or_another_scheme_is_refused_with_what_to_say(endpoint: str, advice: str) -> None:
    with pytest.raises(InvalidEndpoint) as caught:
        check_endpoint(endpoint)
    assert advice in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "", "/v1/ws", "v1/ws", "v1.0/ws", "ws://h.example", "WSS://h.example", "/localhost:8803",
        "chat/room:42", "ticker:9", "feed.json", "//evil.example/x", "?t=1", "localhosts/ws",
    ],
)  # fmt: skip
def test_what_may_be_a_path_is_not_refused_at_once(endpoint: str) -> None:
    check_endpoint(endpoint)


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
        ("max_retry_after", (-1, None)),
        ("share_linger", (-0.1, None)),
        ("token_refresh_before", (-0.1, None)),
        ("send_ttl", (0, -1, "5")),
        ("send_rate", (5, (5,), (5, 1.0, 1.0), [5, 1.0], (0, 2.0), (5, 0), (5.0, 1.0), (5, None))),
        ("heartbeat", (30, {})),
        ("outbox_overflow", ("drop", None)),
        ("channel_protocol", ("heimdall", None)),
        ("protocol", ("heimdall", SessionProtocol)),
        ("subprotocols", ("chat",)),
        ("transport", ("http", None, 5)),
        ("subprotocols", (5, b"chat", [5], ["a b"], [""], {"chat": 1})),
        ("compression", ("zstd", True, 5)),
        ("ssl", (True, "ca.pem")),
        ("proxy_ssl", (True,)),
        ("origin", (5, b"https://o.example", "https://o\r\nX: 1")),
        ("server_hostname", (5, "h\n")),
        ("family", ("", 5, None, socket.AF_UNIX)),
        ("happy_eyeballs_delay", (-0.1, "0.25", float("nan"))),
        ("local_addr", ("192.0.2.1", ("192.0.2.1",), ("192.0.2.1", "0"), (1, 0), ["192.0.2.1", 0])),
        ("unix", (5, True)),
        ("sock", (5, "fd")),
        ("auto_reconnect", (None, "yes", 1)),
        ("immediate", (None, 0)),
        ("share", ("yes",)),
        ("resend", (None,)),
        ("allow_insecure_token", ("yes",)),
        ("should_reconnect", (True, {}, asynchronous, Asynchronous(), partial(asynchronous))),
        ("reconnect_delay", (asynchronous, Asynchronous())),
        ("reconnect_rules", (5, ["close 1000"])),
    ],
)
def test_an_option_that_cannot_work_is_refused_by_name(name: str, values: tuple[Any, ...]) -> None:
    for value in values:
        with pytest.raises(ConfigurationError, match=f"^{name} must be .*, not ") as caught:
            StoreOptions(**{name: value})
        assert str(caught.value).endswith(f", not {value!r}")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("token_timeout", "more than 0 seconds"),
        ("outbox_limit", "at least 1"),
        ("heartbeat", "a Heartbeat, or None"),
        ("outbox_overflow", "reject, drop_oldest, drop_newest, block"),
        ("channel_protocol", "a ChannelProtocol"),
        ("protocol", "an instance of a SessionProtocol, or None"),
        ("send_rate", "(sends, seconds), such as (5, 1.0), or None"),
        ("send_ttl", "more than 0 seconds, or None forever"),
        ("ping_interval", "more than 0 seconds, or None for no pings"),
        ("stable_after", "0 seconds or more"),
        ("max_reconnect_attempts", "0 or more, or None forever"),
        ("reconnect_delay", "seconds of 0 or more, a Backoff, or a sync callable"),
        ("subprotocols", "a sequence of names, such as ['chat']"),
        ("transport", "'websockets', 'browser' or a callable that dials"),
        ("token_placement", "header, subprotocol, first_message, unsafe_query"),
    ],
)
def test_a_refusal_says_what_the_option_takes(name: str, advice: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StoreOptions(**{name: ""})  # type: ignore[arg-type]
    assert str(caught.value) == f"{name} must be {advice}, not ''"


def test_an_async_reply_of_a_heartbeat_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"reply of a Heartbeat .* not async"):
        Heartbeat(reply=asynchronous)


@pytest.mark.parametrize(
    "proxy",
    [
        5, False, "", "proxy.example:3128", f"http://[{CANARY}", f"ftp://{CANARY}@h", "http://",
        f"http://{CANARY}@h", f"http://h/{CANARY}", f"http://h?{CANARY}", f"http://h:{CANARY}",
    ],
)  # fmt: skip
def test_a_proxy_that_cannot_be_one_is_refused_without_being_shown(proxy: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StoreOptions(proxy=proxy)
    assert str(caught.value) == (
        "proxy must be a URL such as 'http://proxy.example:3128' or 'socks5h://...', True or None"
    )


@pytest.mark.parametrize("headers", [{"X-Tenant": 42}, {"X-Tenant": None}, [("X-Tenant", b"1")]])
def test_headers_that_cannot_be_sent_are_refused_at_the_call(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="additional_headers: the value of 'X-Tenant'"):
        StoreOptions(additional_headers=headers)


def test_two_ways_to_a_socket_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="unix and sock exclude each other"):
        StoreOptions(unix="/run/s", sock=socket.socket)


@pytest.mark.parametrize("token", [0, b"token", []])
def test_a_token_that_is_none_is_refused_without_being_shown(token: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StoreOptions(access_token=token)
    wanted = "access_token must be a str, a SecretStr, a provider or None"
    assert str(caught.value) == wanted


@pytest.mark.parametrize("given", [{"interval": 0}, {"timeout": 0}, {"interval": None}])
def test_a_heartbeat_needs_times_above_0(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="interval and timeout above 0 seconds"):
        Heartbeat(**given)


def test_unknown_options_are_named_in_their_order() -> None:
    with pytest.raises(ConfigurationError) as caught:
        options_of({"b": 1, "share": True, "a": 2})  # type: ignore[typeddict-unknown-key]
    assert str(caught.value) == "unknown options: a, b; see StoreOptions"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("headers", "additional_headers"),
        ("maxSize", "max_size"),
        ("autoReconnect", "auto_reconnect"),
        ("ping_intervall", "ping_interval"),
        ("on_message", "store.messages.subscribe"),
    ],
)
def test_an_unknown_option_is_told_what_was_probably_meant(given: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        options_of({given: 1})  # type: ignore[misc]
    words = f"unknown options: {given} (did you mean {meant}?); see StoreOptions"
    assert str(caught.value) == words


@pytest.mark.parametrize(
    "options",
    [
        {}, {"reconnect_delay": 0}, {"reconnect_delay": Backoff()}, {"ping_interval": None},
        {"reconnect_delay": lambda context: None}, {"max_reconnect_attempts": None},
        {"max_reconnect_attempts": 0}, {"stable_after": 0}, {"token_placement": "subprotocol"},
        {"send_rate": (1, 0.5)}, {"send_ttl": 0.1}, {"ping_interval": 0.1}, {"max_size": 0.5},
        {"share_linger": 0}, {"max_retry_after": float("inf")}, {"subprotocols": ["chat"]},
        {"transport": dict}, {"heartbeat": Heartbeat()},
        {"outbox_overflow": "block"}, {"proxy": "socks5h://ada:pw@h:1080"}, {"proxy": None},
        {"proxy": "http://[::1]:3128/"}, {"family": socket.AF_INET6}, {"family": 2},
        {"happy_eyeballs_delay": None}, {"happy_eyeballs_delay": 0}, {"local_addr": ("::1", 0)},
        {"unix": "/run/s"}, {"unix": Path("/run/s")}, {"sock": socket.socket},
        {"compression": None},
        {"server_hostname": "h.example"}, {"subprotocols": ()}, {"origin": "null"},
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
    set_ones = {
        field.name: value
        for field in fields(StoreOptions)
        if (value := getattr(StoreOptions(), field.name)) is not None
    }
    assert set_ones == {
        "token_placement": "header", "token_timeout": 10.0, "allow_insecure_token": False,
        "auto_reconnect": True, "reconnect_delay": 3.0, "max_reconnect_attempts": 5,
        "stable_after": 5.0, "max_retry_after": 300.0, "immediate": True,
        "outbox_limit": 1024, "outbox_bytes": 16 * 1024 * 1024, "outbox_overflow": "reject",
        "proxy": True, "compression": "deflate", "open_timeout": 10.0, "ping_interval": 20.0,
        "ping_timeout": 20.0, "close_timeout": 10.0, "max_size": 1024 * 1024,
        "channel_protocol": HEIMDALL_CHANNELS, "share": False, "share_linger": 1.0,
        "token_refresh_before": 60.0, "transport": "websockets", "resend": False,
        "family": 0, "happy_eyeballs_delay": 0.25,
    }  # fmt: skip
    assert asdict(Heartbeat()) == {
        "message": {"type": "Ping"}, "interval": 30.0, "timeout": 10.0, "reply": {"type": "Pong"},
    }  # fmt: skip


def test_options_and_what_callables_are_given_are_frozen() -> None:
    for value in (StoreOptions(), Heartbeat(), CloseInfo(1000), RetryContext(1, 0.0, None)):
        with pytest.raises(FrozenInstanceError):
            setattr(value, fields(value)[0].name, None)


def test_options_are_not_pickled() -> None:
    with pytest.raises(TypeError, match="StoreOptions hold secrets and are not pickled"):
        pickle.dumps(StoreOptions())


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
