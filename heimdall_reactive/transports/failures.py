"""Map what a dial raises to our errors, in words that say what to do and hold no secret."""

from __future__ import annotations

import os
import socket
import ssl as ssl_module
import time
from typing import Final, TypeVar

from websockets import exceptions as ws_exceptions
from websockets.http11 import Response

from heimdall_reactive.base.endpoints import redact
from heimdall_reactive.base.exceptions import (
    CertificateError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    HandshakeRefused,
    InvalidEndpoint,
    InvalidHandshake,
    TlsError,
)
from heimdall_reactive.base.retry import seconds_to_wait

from .addresses import NoAddressError

__all__ = ["ENDED_IN_TLS", "at", "translate", "unconnected"]

E = TypeVar("E", bound=Exception)

# `websockets` 16 has one class for both.
NO_HTTP: Final[tuple[type[Exception], ...]] = (
    ws_exceptions.InvalidMessage,
    getattr(ws_exceptions, "StatusLineTooLong", ws_exceptions.InvalidMessage),
)
OTHER_NAME: Final = (62, 64)  # OpenSSL's codes for a certificate of another host or address
ENDED_IN_TLS: Final = "the socket ended during the TLS handshake; if the port has no TLS, say ws://"


def translate(error: Exception, url: str, missing: str) -> Exception:
    """Return the error of this library for what a dial raised; our own ones stay as they are.

    Args:
        error: what it raised.
        url: of the attempt; it is shown without its secrets.
        missing: what had not come when the time was over.
    """
    match error:
        case ConfigurationError() | ConnectError() | NotImplementedError():
            return error
        case TimeoutError():
            return at(url, ConnectTimeout(missing))
        case ssl_module.SSLError():
            return at(url, _no_tls(error))
        case OSError():
            return at(url, unconnected(error))
        case ws_exceptions.WebSocketException():
            return at(url, _no_handshake(error, url.lower().startswith("ws:")))
        case _:
            return at(
                url,
                ConfigurationError(f"connecting raised {type(error).__name__}; check the options"),
            )


def at(url: str, error: E) -> E:
    """Name a URL, without what may be secret in it, at the end of a new error's words."""
    error.args = (f"{error} ({redact(url)})",)
    return error


def _no_handshake(error: ws_exceptions.WebSocketException, plain: bool) -> Exception:
    match error:
        case ws_exceptions.InvalidStatus():
            return _refused(error.response)
        case ws_exceptions.InvalidURI():
            return InvalidEndpoint("the endpoint, or a redirect, is not a WebSocket URL")
        case _ if isinstance(error, NO_HTTP):
            advice = ", or a port with TLS, which needs wss://?" if plain else "?"
            return ConnectError(
                "the server closed or answered the upgrade with no HTTP response; "
                f"is it a WebSocket server{advice}",
                "reset",
            )
        case _:
            return InvalidHandshake(
                f"the opening handshake failed ({type(error).__name__}); is it a WebSocket server?"
            )


def _no_tls(error: ssl_module.SSLError) -> ConnectError:
    match error:
        case ssl_module.SSLCertVerificationError():
            advice = "pass ssl= with a context that trusts it"
            if getattr(error, "verify_code", None) in OTHER_NAME:
                advice = "use a host that it names, or pass server_hostname="
            why = error.verify_message.rstrip(".")
            return CertificateError(f"the server's certificate was not accepted ({why}); {advice}")
        case ssl_module.SSLEOFError() | ssl_module.SSLZeroReturnError():
            return ConnectError(ENDED_IN_TLS, "reset")
        case _:
            return TlsError(f"TLS failed ({error.reason}); if the port has no TLS, say ws://")


def _refused(response: Response) -> HandshakeRefused:
    # By the server's own clock where it tells: ours may be wrong, and the wait with it.
    now = max(_seconds(response, "Date", 0.0), default=0.0) or time.time()
    after = max(_seconds(response, "Retry-After", now), default=None)
    return HandshakeRefused(response.status_code, after)


def _seconds(response: Response, name: str, now: float) -> list[float]:
    """Read a header of seconds or dates; a proxy may have put its own beside the server's."""
    values = (seconds_to_wait(text, now) for text in response.headers.get_all(name))
    return [value for value in values if value is not None]


def unconnected(error: OSError) -> ConnectError:
    """Return the error for a socket that could not be connected."""
    if isinstance(error, socket.gaierror):
        return ConnectError("the host's name is not found; check the endpoint", "unresolved")
    # Not `strerror`: asyncio puts a sentence of its own there.
    number = error.errno or 0
    what = os.strerror(number) if number > 0 else type(error).__name__
    if isinstance(error, NoAddressError):
        what = str(error)
    cause = "unreachable"
    if isinstance(error, ConnectionRefusedError):
        cause = "refused"
    elif isinstance(error, ConnectionError):
        cause = "reset"
    return ConnectError(f"no connection: {what}", cause)
