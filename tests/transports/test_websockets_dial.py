"""What is dialled with, and what the ends of a dial are called."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from email.utils import formatdate
from typing import Any

import pytest
from websockets import exceptions as ws
from websockets.datastructures import Headers
from websockets.http11 import Response

from heimdall_reactive import (
    CertificateError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    HandshakeRefused,
    InvalidEndpoint,
    InvalidHandshake,
    RedirectRefused,
    StoreOptions,
    TlsError,
)
from heimdall_reactive.transports.websockets_dial import (
    Dialler,
    _default_context,
    _translate,
    dial,
    open_wire,
)
from heimdall_reactive.transports.websockets_wire import WebSocketsWire
from tests.peers import raw_peer
from tests.support import run

SECRET = "s3cret-canary"


def answer(status: int, **headers: str) -> Response:
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return Response(status, SECRET, fields)


def os_error(kind: type[OSError], number: int) -> OSError:
    return kind(number, f"of asyncio: {SECRET}")


def tls_error(kind: type[ssl.SSLError], **fields: Any) -> ssl.SSLError:
    error = kind(1, SECRET)
    for name, value in fields.items():
        setattr(error, name, value)
    return error


ERRORS: list[tuple[BaseException, type[Exception], str, str]] = [
    (TimeoutError(SECRET), ConnectTimeout, "timeout",
     "no answer to the opening handshake within 7.0 s"),
    (socket.gaierror(-2, SECRET), ConnectError, "unresolved",
     "the host's name is not found; check the endpoint"),
    (os_error(ConnectionRefusedError, errno.ECONNREFUSED), ConnectError, "refused",
     f"no connection: {os.strerror(errno.ECONNREFUSED)}"),
    (os_error(ConnectionResetError, errno.ECONNRESET), ConnectError, "reset",
     f"no connection: {os.strerror(errno.ECONNRESET)}"),
    (os_error(OSError, errno.ENETUNREACH), ConnectError, "unreachable",
     f"no connection: {os.strerror(errno.ENETUNREACH)}"),
    (OSError(SECRET), ConnectError, "unreachable", "no connection: OSError"),
    (os_error(OSError, -1), ConnectError, "unreachable", "no connection: OSError"),
    (tls_error(ssl.SSLCertVerificationError, verify_message="expired"), CertificateError,
     "certificate",
     ("the server's certificate was not accepted (expired); "
      "pass ssl= with a context that trusts it")),
    (tls_error(ssl.SSLEOFError), ConnectError, "reset",
     "the server closed the socket during the TLS handshake"),
    (tls_error(ssl.SSLZeroReturnError), ConnectError, "reset",
     "the server closed the socket during the TLS handshake"),
    (tls_error(ssl.SSLError, reason="WRONG_VERSION_NUMBER"), TlsError, "tls",
     "TLS failed (WRONG_VERSION_NUMBER); is the port a TLS port?"),
    (ws.InvalidStatus(answer(503)), HandshakeRefused, "http 503",
     "the server refused the WebSocket with HTTP 503"),
    (ws.InvalidProxyStatus(answer(407)), ConfigurationError, "options",
     "the proxy asks for a login (HTTP 407); put it into proxy="),
    (ws.InvalidProxyStatus(answer(502)), ConnectError, "proxy",
     "the proxy failed (InvalidProxyStatus)"),
    (ws.ProxyError(SECRET), ConnectError, "proxy", "the proxy failed (ProxyError)"),
    (ws.InvalidURI(SECRET, "of a redirect"), InvalidEndpoint, "endpoint",
     "the endpoint, or a redirect, is no WebSocket URL"),
    (ws.InvalidMessage(SECRET), ConnectError, "reset",
     "the server closed or answered the upgrade with no HTTP response"),
    (ws.InvalidUpgrade("Upgrade", SECRET), InvalidHandshake, "handshake",
     "the opening handshake failed (InvalidUpgrade); is it a WebSocket server?"),
    (LookupError(SECRET), ConfigurationError, "options",
     "dialling raised LookupError; check the options"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "kind", "cause", "text"), ERRORS, ids=lambda value: None)
def test_the_end_of_a_dial_has_a_cause_and_words_without_a_secret(
    error: Exception, kind: type[Exception], cause: str, text: str
) -> None:
    ours = _translate(error, 7.0)
    assert type(ours) is kind
    assert (getattr(ours, "cause", None), str(ours)) == (cause, text)


@pytest.mark.parametrize("error", [ConfigurationError("ours"), NotImplementedError()])
def test_what_says_enough_already_stays_as_it_is(error: Exception) -> None:
    assert _translate(error, 7.0) is error


NOON = 1_700_000_000.0
LATER = formatdate(NOON + 60, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        ([("Retry-After", "5")], 5.0),
        ([("Retry-After", "soon")], None),
        ([("Retry-After", "soon"), ("Retry-After", "5"), ("Retry-After", "7")], 7.0),
        ([("Retry-After", LATER), ("Date", formatdate(NOON, usegmt=True))], 60.0),
        ([("Retry-After", LATER), ("Date", "yesterday"),
          ("Date", formatdate(NOON + 20, usegmt=True))], 40.0),
    ],
)  # fmt: skip
def test_retry_after_is_read_by_the_servers_own_clock(
    headers: list[tuple[str, str]], seconds: float | None
) -> None:
    refused: Any = _translate(ws.InvalidStatus(Response(503, "", Headers(headers))), 7.0)
    assert (refused.http_status, refused.retry_after) == (503, seconds)


def test_without_a_servers_clock_ours_counts() -> None:
    headers = Headers({"Retry-After": formatdate(time.time() + 1000, usegmt=True)})
    refused: Any = _translate(ws.InvalidStatus(Response(503, "", headers)), 7.0)
    assert 900 < refused.retry_after <= 1000


# What is dialled with


def dialled(url: str = "ws://h.example/", **options: Any) -> dict[str, Any]:
    """Return what `websockets` is given."""
    seen: dict[str, Any] = {}

    async def dialler(url: str, **given: Any) -> Any:
        seen.update(given, url=url)
        raise ConfigurationError("seen")

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="seen"):
            await open_wire(
                WebSocketsWire, url, [("A", "1")], options.pop("protocols", None),
                StoreOptions(**options), dialler,
            )  # fmt: skip

    run(main)
    return seen


def test_the_options_of_a_dial_are_those_of_the_store() -> None:
    seen = dialled(
        open_timeout=1.0, close_timeout=2.0, max_size=3, compression=None, origin="https://o",
        protocols=["a", "b"], ping_interval=4.0,
    )  # fmt: skip
    wanted = {
        "url": "ws://h.example/", "additional_headers": [("A", "1")], "subprotocols": ["a", "b"],
        "proxy": True, "compression": None, "open_timeout": 1.0, "ping_interval": None,
        "close_timeout": 2.0, "max_size": 3, "write_limit": (0, 0), "origin": "https://o",
        "create_connection": WebSocketsWire,
    }  # fmt: skip
    logger = seen.pop("logger")
    assert seen == wanted
    assert logger.name == "heimdall_reactive.wire"
    plain = dialled()
    assert (plain["subprotocols"], plain["origin"], plain["compression"]) == (
        None, None, "deflate",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "proxy", "used"),
    [
        ("ws://h.example/", True, True),
        ("ws://localhost/", True, None),
        ("ws://[::1]:1/", True, None),
        ("ws://localhost/", "http://p.example", "http://p.example"),
        ("ws://h.example/", None, None),
    ],
)
def test_the_environments_proxy_is_for_other_hosts_only(url: str, proxy: Any, used: Any) -> None:
    assert dialled(url, proxy=proxy)["proxy"] == used


def test_tls_has_the_stores_context_or_one_that_verifies() -> None:
    own = ssl.create_default_context()
    seen = dialled("wss://h.example/", ssl=own)
    assert (seen["ssl"], seen["write_limit"]) == (own, (1, 0))
    default = dialled("wss://h.example/")["ssl"]
    assert default is _default_context()
    assert default.verify_mode is ssl.CERT_REQUIRED
    assert default.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert "ssl" not in dialled()


async def read(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_wire_forgets_what_is_secret_and_has_the_stores_pings() -> None:
    options = StoreOptions(ping_interval=7.0, ping_timeout=3.0)
    async with raw_peer(read) as url:
        host = url.removeprefix("ws://").rstrip("/")
        wire: Any = await dial(f"ws://ada:{SECRET}@{host}/?t={SECRET}", [], None, options)
        uri = wire.protocol.uri
        assert (uri.username, uri.password, uri.query, wire.request) == (None, None, "", None)
        assert wire.protocol.available_subprotocols is None
        assert (wire.ping_interval, wire.ping_timeout) == (7.0, 3.0)
        wire.kill()


# Redirects


@pytest.mark.parametrize(
    ("url", "location", "kind"),
    [
        ("wss://h.example/a", "/b", str),
        ("wss://h.example/a", "wss://h.example:443/b", str),
        ("ws://h.example/a", "ws://h.example:80/b", str),
        ("ws://h.example:81/a", "ws://h.example/b", RedirectRefused),
        ("wss://h.example/a", "wss://h.example:444/b", RedirectRefused),
        ("wss://h.example/a", "wss://other.example/a", RedirectRefused),
        ("wss://h.example/a", "ws://h.example/a", RedirectRefused),
        ("ws://h.example/a", "wss://h.example/a", RedirectRefused),
        ("wss://h.example/a", "wss://[h/", InvalidEndpoint),
    ],
)
def test_a_redirect_is_followed_on_its_own_origin_only(
    url: str, location: str, kind: type[Any]
) -> None:
    dialler = Dialler(url)
    followed = dialler.process_redirect(ws.InvalidStatus(answer(302, Location=location)))
    assert type(followed) is kind


def test_what_is_no_redirect_stays_what_it_is() -> None:
    error = ws.InvalidStatus(answer(503))
    assert Dialler("wss://h.example/").process_redirect(error) is error


def test_a_redirect_to_two_places_is_refused() -> None:
    headers = Headers([("Location", "/a"), ("Location", "/b")])
    error = ws.InvalidStatus(Response(302, "", headers))
    followed = Dialler("wss://h.example/").process_redirect(error)
    assert isinstance(followed, InvalidEndpoint)
    assert str(followed) == "the server redirects to what is no WebSocket URL"
