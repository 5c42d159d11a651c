"""The stores of a web application: a visitor's tabs share one, and the last tab closes it."""

from __future__ import annotations

import secrets
from typing import Any

from heimdall_reactive import WebSocketStore, use_websocket


class Visitor:
    """Somebody who has logged in.

    Attributes:
        name: whose token it is.
        value: the token of the newest log-in.
    """

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value

    def token(self) -> str:
        """Return the token of now; a store asks before each attempt to connect."""
        return self.value


class Visitors:
    """Who has logged in, by the secret that their browser keeps, and the stores of their tabs.

    Args:
        url: endpoint of what a visitor alone may see.
        options: of each store, as for `use_websocket`.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._options = options
        self._by_name: dict[str, Visitor] = {}
        self._by_secret: dict[str, Visitor] = {}

    def log_in(self, name: str, token: str) -> str:
        """Remember a visitor whose password was right; return the secret for their cookie."""
        visitor = self._by_name.setdefault(name, Visitor(name, token))
        visitor.value = token
        secret = secrets.token_urlsafe()
        self._by_secret[secret] = visitor
        return secret

    def find(self, secret: str | None) -> Visitor | None:
        """Return whose secret it is."""
        return None if secret is None else self._by_secret.get(secret)

    def open(self, visitor: Visitor) -> WebSocketStore[Any]:
        """Return a store for one tab, which closes it; the tabs of a visitor share a connection."""
        return use_websocket(
            self._url,
            access_token=visitor.token,
            principal=visitor.name,
            share=True,
            **self._options,
        )
