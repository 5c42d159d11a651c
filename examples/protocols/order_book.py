"""The book of a market, from snapshots and numbered changes; `exchange.py` has the feed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel

from heimdall_reactive import WebSocketStore


class Change(BaseModel):
    """Levels of a book: prices with sizes, 0 where the level is gone."""

    action: Literal["snapshot", "update"]
    prev: int
    seq: int
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]


class Book:
    """`store.channel(symbol, Change).subscribe(Book(store, symbol).take)` keeps it up to date."""

    def __init__(self, store: WebSocketStore[Any], symbol: str) -> None:
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.seq: int | None = None  # None: it waits for a snapshot
        self._store, self._symbol = store, symbol

    def take(self, change: Change) -> None:
        """Apply a change, or ask for a snapshot where the one before it is missing."""
        if change.action == "snapshot":
            self.bids, self.asks = {}, {}
        elif change.prev != self.seq:
            if self.seq is not None:
                self.seq = None
                self._store.resubscribe(self._symbol)
            return
        self.seq = change.seq
        for side, levels in ((self.bids, change.bids), (self.asks, change.asks)):
            for price, size in levels:
                side[price] = size
                if not size:
                    del side[price]
