"""What opens the log, from names of files and variables to options of `nats.connect`."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

from heimdall_reactive import ConfigurationError

__all__ = ["from_environment", "has_secret", "login_of"]


def login_of(
    *,
    ca: str = "",
    certificate: str = "",
    key: str = "",
    credentials: str = "",
    nkey: str = "",
    token: str | None = None,
    user: str | None = None,
    password: str | None = None,
) -> dict[str, Any]:
    """Return the options of `nats.connect` for what is given; empty and None stand for nothing.

    Args:
        ca: file with the authorities that the server's certificate must be of; PEM.
        certificate: file with our own certificate; PEM.
        key: file with its key, where that is not in `certificate`.
        credentials: file with the JWT and the seed of a user.
        nkey: file with the seed of a user.
        token: of the log.
        user: its name.
        password: the user's.

    Raises:
        ConfigurationError: a file is missing or is not what it should be, or two ways are given.
    """
    for path in filter(None, (ca, certificate, key, credentials, nkey)):
        if not Path(path).is_file():
            raise ConfigurationError(f"there is no file {path!r}")
    if (user is None) != (password is None):
        raise ConfigurationError("a user needs a password, and a password a user")
    if key and not certificate:
        raise ConfigurationError(f"the key {key!r} needs a certificate")
    ways = {"user_credentials": credentials, "nkeys_seed": nkey, "token": token, "user": user}
    found: dict[str, Any] = {name: value for name, value in ways.items() if value}
    if len(found) > 1:
        raise ConfigurationError("give one of: credentials, an nkey, a token, a user")
    if password is not None:
        found["password"] = password
    if ca or certificate:
        found["tls"] = _context(ca, certificate, key)
    return found


def _context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    read = ca
    try:
        context = ssl.create_default_context(cafile=ca or None)
        if certificate:
            read = f"{certificate} {key}".strip()
            context.load_cert_chain(certificate, key or None)
    except (ssl.SSLError, OSError) as error:
        why = getattr(error, "reason", None) or type(error).__name__
        raise ConfigurationError(f"no certificate can be read from {read}: {why}") from None
    return context


def from_environment(name: str | None) -> str | None:
    """Return the value of an environment variable; None where no name is given.

    Raises:
        ConfigurationError: it is not set, or empty.
    """
    if not name:
        return None
    if not (value := os.environ.get(name)):
        raise ConfigurationError(f"the environment variable {name!r} is not set")
    return value


def has_secret(servers: str) -> bool:
    """Return whether URLs, with commas between, hold a user, password or token."""
    return any("@" in url.rpartition("://")[2].partition("/")[0] for url in servers.split(","))
