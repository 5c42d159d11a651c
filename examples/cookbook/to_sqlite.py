"""Write trades to SQLite in batches: a hundred, or what came within a second."""

import asyncio
import sqlite3
from contextlib import closing, suppress

from pydantic import BaseModel
from reactivex import operators as ops

from heimdall_reactive import use_websocket


class Trade(BaseModel):
    id: int
    symbol: str
    price: float


def write(batch: list[Trade]) -> None:
    """Write a batch in one transaction."""
    with closing(sqlite3.connect("trades.db")) as database, database:
        rows = [(trade.id, trade.symbol, trade.price) for trade in batch]
        database.executemany("INSERT INTO trades VALUES (?, ?, ?)", rows)
    print("wrote", len(batch), flush=True)


async def save(batch: list[Trade]) -> None:
    """Write on a thread, so that the socket is read all the while."""
    if batch:  # there may be a second without trades
        await asyncio.to_thread(write, batch)


async def main() -> None:
    """Write until Ctrl-C, and the last batch after it."""
    with closing(sqlite3.connect("trades.db")) as database:
        database.execute("CREATE TABLE IF NOT EXISTS trades (id INTEGER, symbol TEXT, price REAL)")
    url = "ws://localhost:8765/trades"
    async with use_websocket(url, message_type=Trade, max_reconnect_attempts=None) as store:
        batches = store.messages.pipe(
            ops.buffer_with_time_or_count(1.0, 100, scheduler=store.scheduler),
        )
        handler = store.on_each(batches, save, name="db", grace=30.0)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()  # until Ctrl-C
    print("dropped batches:", handler.stats.dropped)


with suppress(KeyboardInterrupt):
    asyncio.run(main())
