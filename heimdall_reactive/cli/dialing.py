"""How a command connects: the options of all that do, and the store that they make."""

from __future__ import annotations

import argparse
import base64
import os
import ssl
from typing import Any, Final, TypeAlias

from pydantic import SecretStr

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.base.options import OptionsDict

from . import values
from .output import UsageError
from .protocols import given_protocol

__all__ = [
    "CLOSE_TIMEOUT", "SECRETS", "Message", "describe_dial", "describe_reconnect", "describe_token",
    "given_token", "lasting_store", "store_of",
]  # fmt: skip

CLOSE_TIMEOUT: Final = 1.0  # seconds; who pressed Ctrl-C does not want to wait for a mute server
SECRETS: Final = ("--token", "--auth", "-H", "--header")  # options whose values no error may quote

Message: TypeAlias = str | bytes


def describe_token(parser: argparse._ActionsContainer) -> None:
    """Say how an access token may be given."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--token", metavar="T",
        help="access token, sent as Authorization: Bearer; other users of this machine can see "
        "it in the process list",
    )  # fmt: skip
    source.add_argument("--token-env", metavar="NAME",
                        help="environment variable that holds the access token")  # fmt: skip
    parser.add_argument(
        "--allow-insecure-token", action="store_true",
        help="send the token or password over ws:// to a host that is not this machine",
    )  # fmt: skip


def describe_dial(parser: argparse.ArgumentParser) -> None:
    """Say what may be written about a connection."""
    group = parser.add_argument_group("connection")
    add = group.add_argument
    add("-H", "--header", action="append", default=[], type=values.header, metavar="'NAME: VALUE'",
        help="header of the upgrade request; may be repeated")  # fmt: skip
    add("-s", "--subprotocol", action="append", metavar="NAME",
        help="subprotocol to offer, the preferred one first; may be repeated")  # fmt: skip
    add("-o", "--origin", metavar="URL", help="the Origin header")
    add("--auth", type=values.login, metavar="USER:PASSWORD", help="HTTP Basic authentication")
    add(
        "--cacert",
        metavar="FILE",
        help="certificate authorities to trust instead of the system's (PEM)",
    )
    add("--cert", metavar="FILE", help="client certificate (PEM)")
    add("--key", metavar="FILE", help="key of --cert, if it is in a separate file (PEM)")
    add("-k", "--insecure", action="store_true", help="accept any server certificate")
    add("--proxy", metavar="URL|none",
        help="http://, https:// or socks5:// proxy; none connects directly (default: from the "
        "environment, such as HTTPS_PROXY)")  # fmt: skip
    add("--unix", metavar="PATH", help="Unix socket to connect to; ENDPOINT still gives host "
        "and path")  # fmt: skip
    add("--ping", type=values.pause, default=20.0, metavar="N",
        help="seconds between pings, which detect a dead server; 0 sends none (default: 20)",
    )  # fmt: skip
    add(
        "--protocol", metavar="NAME",
        help="protocol of logins, ids and channels: heimdall, or MODULE:NAME of a SessionProtocol "
        "or of a class or function that makes one without arguments, such as "
        "examples.protocols.home_assistant:HomeAssistant; the current folder is searched first",
    )  # fmt: skip
    describe_token(group)


def describe_reconnect(parser: argparse.ArgumentParser) -> None:
    """Say how often a command that stays connects again."""
    parser.add_argument(
        "--reconnect", type=values.reconnects, metavar="N|forever",
        help="failed attempts in a row before giving up; also reconnects after a normal close "
        "(code 1000); 0 never reconnects (default: 5, and a normal close is the end)",
    )  # fmt: skip


def given_token(options: argparse.Namespace) -> SecretStr | None:
    """Return the token that `--token` or `--token-env` gives.

    Raises:
        UsageError: the environment variable is not set, or the token is empty.
    """
    name: str | None = options.token_env
    token: str | None = options.token if name is None else os.environ.get(name)
    if token is None:
        if name is not None:
            raise UsageError(f"the environment variable {name!r} is not set")
        return None
    if not token.strip():
        raise UsageError("the access token is empty")
    return SecretStr(token.strip())


def store_of(options: argparse.Namespace, own: OptionsDict) -> WebSocketStore[Any]:
    """Make the store of a command: messages are as they came, but with a protocol or channels.

    Args:
        options: of the command.
        own: options of the store that the command decides, and its protocol.

    Raises:
        UsageError: there is no such token, file or login.
    """
    as_it_came = own.get("protocol") is None and not getattr(options, "channel", ())
    message_type: Any = Message if as_it_came else Any
    headers: list[tuple[str, str]] = list(options.header)
    token = given_token(options)
    if options.auth is not None:
        if token is not None:
            raise UsageError("--auth and a token are both sent as Authorization; give one")
        login = base64.b64encode(options.auth.encode()).decode()
        headers.append(("Authorization", f"Basic {login}"))
    dial: OptionsDict = {
        "access_token": token,
        "allow_insecure_token": options.allow_insecure_token,
        "additional_headers": headers,
        "subprotocols": options.subprotocol,
        "origin": options.origin,
        "ssl": _tls(options),
        "proxy": {None: True, "none": None}.get(options.proxy, options.proxy),
        "unix": options.unix,
        "ping_interval": options.ping or None,
    }
    dial.update(own)
    store: WebSocketStore[Any] = use_websocket(options.endpoint, message_type=message_type, **dial)
    return store


def lasting_store(options: argparse.Namespace) -> WebSocketStore[Any]:
    """Make the store of a command that stays, and connects again as `--reconnect` says.

    Raises:
        UsageError: there is no such protocol, token, file or login.
    """
    own: OptionsDict = {"protocol": given_protocol(options), "close_timeout": CLOSE_TIMEOUT}
    if options.reconnect is None:
        own["reconnect_rules"] = {"close 1000": "end"}  # at a terminal, a normal close is the end
    else:
        own["auto_reconnect"] = options.reconnect != 0
        own["max_reconnect_attempts"] = (
            None if options.reconnect == "forever" else options.reconnect
        )
    return store_of(options, own)


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    """Return what TLS is to use; None where nothing is said about it.

    Raises:
        UsageError: a file is missing or is not what it should be.
    """
    if options.key is not None and options.cert is None:
        raise UsageError("--key needs --cert")
    if not (options.cacert or options.cert or options.insecure):
        return None
    file = options.cacert
    try:
        context = ssl.create_default_context(cafile=file)
        if options.cert is not None:
            file = options.cert
            context.load_cert_chain(file, options.key, password=_no_password)
    except OSError as error:  # an SSLError is one
        why = error.strerror if error.errno and not isinstance(error, ssl.SSLError) else ""
        raise UsageError(
            f"cannot use {file!r}: {why or 'it has no matching certificate and key in PEM'}"
        ) from None
    if options.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _no_password() -> str:
    """Refuse a key with a password, which OpenSSL would ask for on the terminal."""
    raise UsageError("the key has a password; write it without one, as in: openssl pkey -in FILE")
