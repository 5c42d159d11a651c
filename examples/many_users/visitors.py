"""The visitors of a web application: who has logged in, and what all of their tabs show."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import latest_by


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
        """Return the token of now; the store asks before each attempt to connect."""
        return self.value


class Desk:
    """What all tabs of one visitor show: a tab that is opened later begins with it.

    Attributes:
        store: their one connection.
        last: the last 20 messages, then the live ones: for a log.
        newest: the newest message of each type: for a table. The `window` of a plot belongs here.
        tabs: how many are open.
        end: closes it, where the last tab has left.
    """

    def __init__(self, store: WebSocketStore[Any]) -> None:
        self.store = store
        self.last = store.history(20)
        self.newest = latest_by(store.messages, lambda message: message.get("type"))
        self.tabs = 0
        self.end: asyncio.TimerHandle | None = None


class Visitors:
    """Who has logged in, by the secret that their browser keeps, and the desks of those who look.

    Args:
        url: endpoint of what a visitor alone may see.
        linger: seconds that a desk outlives its last tab, as a page that is loaded again leaves
            before it comes back.
        options: of each store, as for `use_websocket`.
    """

    def __init__(self, url: str, linger: float = 10.0, **options: Any) -> None:
        self._url = url
        self._linger = linger
        self._options = options
        self._by_name: dict[str, Visitor] = {}
        self._by_secret: dict[str, Visitor] = {}
        self._desks: dict[str, Desk] = {}

    def log_in(self, name: str, token: str) -> str:
        """Remember a visitor whose password was right; return the secret for their cookie.

        Where they look already, and their old token was refused, all of their tabs connect again.
        """
        visitor = self._by_name.setdefault(name, Visitor(name, token))
        visitor.value = token
        if name in self._desks:
            self._desks[name].store.connect()  # does nothing while it is connected
        secret = secrets.token_urlsafe()
        self._by_secret[secret] = visitor
        return secret

    def find(self, secret: str | None) -> Visitor | None:
        """Return whose secret it is."""
        return None if secret is None else self._by_secret.get(secret)

    @contextmanager
    def tab(self, visitor: Visitor) -> Iterator[Desk]:
        """Give a tab the visitor's desk for as long as it is open; on the event loop."""
        desk = self._desks.get(visitor.name)
        if desk is None:
            desk = self._desks[visitor.name] = Desk(self._store_of(visitor))
        if desk.end is not None:
            desk.end.cancel()
        desk.tabs += 1
        try:
            yield desk
        finally:
            desk.tabs -= 1
            if desk.tabs == 0:
                loop = asyncio.get_running_loop()
                desk.end = loop.call_later(self._linger, self._close, visitor.name)

    def close(self) -> None:
        """Close every desk, when the application ends."""
        for name in tuple(self._desks):
            self._close(name)

    def _store_of(self, visitor: Visitor) -> WebSocketStore[Any]:
        return use_websocket(
            self._url, access_token=visitor.token, principal=visitor.name, **self._options
        )

    def _close(self, name: str) -> None:
        desk = self._desks.pop(name)
        if desk.end is not None:
            desk.end.cancel()
        desk.store.close()
