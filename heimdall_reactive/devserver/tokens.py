"""Who may come in: issued tokens, bans, and where a handshake carries its token."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs

from websockets.datastructures import Headers

from heimdall_reactive.base.exceptions import ConfigurationError

__all__ = [
    "ANONYMOUS",
    "BEARER_SUBPROTOCOL",
    "DEMO_TOKEN",
    "DEMO_USER",
    "Grant",
    "Tokens",
    "find_token",
    "offered_subprotocols",
]

DEMO_TOKEN = "demo-token"
"""Accepted by every development server from the start, for the user `demo`."""

DEMO_USER = "demo"
"""The user of `DEMO_TOKEN`."""

BEARER_SUBPROTOCOL = "bearer."
"""Prefix of a subprotocol that carries a token."""


@dataclass(frozen=True)
class Grant:
    """What a token stands for.

    Attributes:
        user_id: the user.
        session_id: the session, where one was named.
        admin: whether the user may subscribe to `admin:` channels.
    """

    user_id: str
    session_id: str | None = None
    admin: bool = False


ANONYMOUS = Grant("anonymous")
"""The identity of a connection without a token, where none is needed."""


@dataclass
class _Entry:
    grant: Grant
    expires_at: float | None
    revoked: bool = False


class Tokens:
    """Keep the issued tokens and the banned users."""

    def __init__(self) -> None:
        self.banned: set[str] = set()
        self._key = secrets.token_bytes(16)
        self._entries = {DEMO_TOKEN: _Entry(Grant(DEMO_USER), None)}

    def issue(self, grant: Grant, expires_in: float | None) -> str:
        """Make a token for `grant`, valid for `expires_in` seconds or forever."""
        token = secrets.token_urlsafe(24)
        expires_at = None if expires_in is None else time.monotonic() + expires_in
        self._entries[token] = _Entry(grant, expires_at)
        return token

    def expire(self, token: str) -> None:
        """End the validity of `token` now.

        Raises:
            ConfigurationError: if it was not issued here.
        """
        self._entry(token).expires_at = time.monotonic()

    def revoke(self, token: str) -> None:
        """Revoke `token`.

        Raises:
            ConfigurationError: if it was not issued here.
        """
        self._entry(token).revoked = True

    def revoke_user(self, user_id: str) -> None:
        """Revoke every token of a user."""
        for entry in self._entries.values():
            if entry.grant.user_id == user_id:
                entry.revoked = True

    def check(self, token: str) -> Grant | HTTPStatus:
        """Return what `token` stands for, or the status that refuses it."""
        entry = self._entries.get(token)
        if entry is None:
            return HTTPStatus.UNAUTHORIZED
        if entry.revoked or entry.grant.user_id in self.banned:
            return HTTPStatus.FORBIDDEN
        if entry.expires_at is not None and time.monotonic() >= entry.expires_at:
            return HTTPStatus.UNAUTHORIZED
        return entry.grant

    def fingerprint(self, token: str) -> str:
        """Return eight hexadecimal digits that tell tokens apart and reveal none.

        The digest is keyed per server, so that a weak token cannot be guessed from it.
        """
        return hashlib.blake2s(token.encode(), key=self._key, digest_size=4).hexdigest()

    def _entry(self, token: str) -> _Entry:
        entry = self._entries.get(token)
        if entry is None:
            raise ConfigurationError("this token was not issued by this server; use issue()")
        return entry


def offered_subprotocols(headers: Headers) -> list[str]:
    """Return the subprotocols a client offers, in its order."""
    lines = headers.get_all("Sec-WebSocket-Protocol")
    return [name.strip() for line in lines for name in line.split(",") if name.strip()]


def find_token(target: str, headers: Headers) -> str | None:
    """Return the token of a handshake: from header, subprotocol or query, in this order."""
    for line in headers.get_all("Authorization"):
        scheme, _, credentials = line.partition(" ")
        if scheme.lower() == "bearer" and credentials.strip():
            return credentials.strip()
    for name in offered_subprotocols(headers):
        if name.startswith(BEARER_SUBPROTOCOL):
            return name.removeprefix(BEARER_SUBPROTOCOL)
    values = parse_qs(target.partition("?")[2]).get("access_token")
    return values[0] if values else None
