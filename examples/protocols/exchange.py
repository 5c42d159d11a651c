"""A market feed like that of several exchanges: a key for each connection, and order books.

A book begins with a snapshot; a hole in the numbers of its changes asks for another one. Prices
are JSON numbers, and keep their digits. Subscriptions come together, and are paced.

Source: https://www.kucoin.com/docs-new (keys, welcome, pings),
https://www.okx.com/docs-v5 (sequences of books), https://docs.kraken.com/api (numbers)
Run: python -m examples.protocols.exchange wss://HOST/feed https://HOST/key SYMBOL
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.request import urlopen

from examples.protocols.order_book import Book, Change
from heimdall_reactive import (
    ChannelProtocol,
    Failed,
    ProtocolSession,
    SessionProtocol,
    StoreError,
    use_websocket,
)


class Exchange(SessionProtocol):
    """One object for each store; `listen` returns the URL of a connection, with a new key."""

    def __init__(self, listen: Callable[[], Awaitable[str]]) -> None:
        self._listen = listen
        self.channels = ChannelProtocol(
            subscribe=lambda name: {"type": "subscribe", "topics": [name]},
            subscribe_many=lambda names: {"type": "subscribe", "topics": [*names]},
            unsubscribe=lambda name: {"type": "unsubscribe", "topics": [name]},
            match=self._match,
            json_text=False,
        )

    async def endpoint(self, attempt: int) -> str | None:
        """Ask for a key: each is good for one connection."""
        return await self._listen()

    async def handshake(self, session: ProtocolSession) -> None:
        """Wait for the welcome; it says how often to ping."""
        welcome = await session.recv(lambda message: message["type"] == "welcome")
        seconds = welcome["pingInterval"] / 1000
        session.every(seconds, lambda: session.send(self.prepare({"type": "ping"}, session)))
        session.expect(2 * seconds)

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        """Show the changes; before a restart of the exchange, connect again."""
        if envelope["type"] == "restart":
            session.reconnect()
        return envelope if envelope["type"] == "message" else None

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        """Number a message of this session."""
        return {"id": session.next_id(), **value}

    def correlate(self, value: Any) -> Any:
        """Return the id that an acknowledgement or an error repeats."""
        return value.get("id")

    @staticmethod
    def _match(message: Any) -> tuple[str, Any] | None:
        if message["type"] == "error" and "topic" in message:
            return message["topic"], Failed(StoreError(f"there is no {message['topic']!r}"))
        return (message["topic"], message) if message["type"] == "message" else None


if __name__ == "__main__":
    url, key_url, symbol = sys.argv[1:]

    async def listen() -> str:
        """Ask for a key by HTTP."""
        with await asyncio.to_thread(urlopen, key_url) as answer:
            return f"{url}?token={answer.read().decode()}"

    with use_websocket(url, protocol=Exchange(listen), message_type=Any, send_rate=(5, 1)) as store:
        book = Book(store, symbol)
        store.channel(symbol, Change).subscribe(book.take)
        for _ in store.iterate():
            print(max(book.bids, default=None), min(book.asks, default=None))
