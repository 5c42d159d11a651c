"""What the ends of a dial are called."""

from __future__ import annotations

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
    TlsError,
)
from heimdall_reactive.transports.addresses import NoAddressError
from heimdall_reactive.transports.failures import translate

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
    (NoAddressError("the name has no address"), ConnectError, "unreachable",
     "no connection: the name has no address"),
    (os_error(OSError, -1), ConnectError, "unreachable", "no connection: OSError"),
    (tls_error(ssl.SSLCertVerificationError, verify_message="expired"), CertificateError,
     "certificate",
     ("the server's certificate was not accepted (expired); "
      "pass ssl= with a context that trusts it")),
    (tls_error(ssl.SSLCertVerificationError, verify_message="mismatch.", verify_code=62),
     CertificateError, "certificate",
     ("the server's certificate was not accepted (mismatch); "
      "use a host that it names, or pass server_hostname=")),
    (tls_error(ssl.SSLEOFError), ConnectError, "reset",
     "the socket ended during the TLS handshake; if the port has no TLS, say ws://"),
    (tls_error(ssl.SSLZeroReturnError), ConnectError, "reset",
     "the socket ended during the TLS handshake; if the port has no TLS, say ws://"),
    (tls_error(ssl.SSLError, reason="WRONG_VERSION_NUMBER"), TlsError, "tls",
     "TLS failed (WRONG_VERSION_NUMBER); if the port has no TLS, say ws://"),
    (ws.InvalidStatus(answer(503)), HandshakeRefused, "http 503",
     "the server refused the WebSocket with HTTP 503"),
    (ws.InvalidURI(SECRET, "of a redirect"), InvalidEndpoint, "endpoint",
     "the endpoint, or a redirect, is not a WebSocket URL"),
    (ws.InvalidMessage(SECRET), ConnectError, "reset",
     "the server closed or answered the upgrade with no HTTP response; is it a WebSocket server?"),
    (ws.InvalidUpgrade("Upgrade", SECRET), InvalidHandshake, "handshake",
     "the opening handshake failed (InvalidUpgrade); is it a WebSocket server?"),
    (LookupError(SECRET), ConfigurationError, "options",
     "connecting raised LookupError; check the options"),
]  # fmt: skip


def translated(error: BaseException) -> Exception:
    assert isinstance(error, Exception)
    url = f"wss://ada:{SECRET}@h.example/v1?t={SECRET}"
    return translate(error, url, "no answer to the opening handshake within 7.0 s")


@pytest.mark.parametrize(("error", "kind", "cause", "text"), ERRORS, ids=lambda value: None)
def test_the_end_of_a_dial_has_a_cause_and_words_without_a_secret(
    error: Exception, kind: type[Exception], cause: str, text: str
) -> None:
    ours = translated(error)
    assert type(ours) is kind
    assert (getattr(ours, "cause", None), str(ours)) == (
        cause, f"{text} (wss://h.example/v1)",
    )  # fmt: skip


@pytest.mark.parametrize(
    "error", [ConfigurationError("ours"), ConnectError("ours"), NotImplementedError()]
)
def test_what_says_enough_already_stays_as_it_is(error: Exception) -> None:
    assert translated(error) is error


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
    refused: Any = translated(ws.InvalidStatus(Response(503, "", Headers(headers))))
    assert (refused.http_status, refused.retry_after) == (503, seconds)


def test_without_a_servers_clock_ours_counts() -> None:
    headers = Headers({"Retry-After": formatdate(time.time() + 1000, usegmt=True)})
    refused: Any = translated(ws.InvalidStatus(Response(503, "", headers)))
    assert 900 < refused.retry_after <= 1000
