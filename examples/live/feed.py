"""The feed of the live examples: a market of 200 symbols on this machine."""

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any, Final

from pydantic import BaseModel
from reactivex import Observable
from reactivex.subject import BehaviorSubject

from heimdall_reactive import Receipt, WebSocketStore, use_websocket
from heimdall_reactive.bindings import (
    LatestBy,
    Series,
    UiScope,
    Window,
    bind,
    latest_by,
    window,
)
from heimdall_reactive.devserver import DevServer, serve_in_thread

ROWS: Final = 200
TURN: Final = 0.01  # seconds between two turns of the feed


class Tick(BaseModel):
    """One message of the feed.

    Attributes:
        symbol: the key of its row.
        price: of now.
        sent: when it was sent, in seconds since the epoch.
    """

    symbol: str
    price: float
    sent: float


async def play(server: DevServer, rate: int, over: threading.Event) -> None:
    """Send so many messages a second to everybody, until it is over."""
    began, number = time.monotonic(), 0
    while not over.is_set():
        while number < (time.monotonic() - began) * rate:
            row, now = number % ROWS, time.time()
            price = 100 + row + 5 * math.sin(now + row)
            tick = {"symbol": f"S{row:03}", "price": round(price, 2), "sent": now}
            server.send_raw(json.dumps(tick))
            number += 1
        await asyncio.sleep(TURN)


class Market:
    """What all pages share: one store, the newest price of each symbol, a minute of one of them."""

    def __init__(self, store: WebSocketStore[Tick]) -> None:
        self.store = store
        self.server: DevServer | None = None  # where it is ours
        self.over = threading.Event()  # the feed sends nothing more
        self.rows: LatestBy[str, Tick] = latest_by(store.messages, lambda tick: tick.symbol)
        self.minute: Window[Tick] = window(
            store.messages, 60, 600, value=lambda t: t.price if t.symbol == "S000" else None, gap=2
        )

    @cached_property
    def rows_text(self) -> BehaviorSubject[str]:
        """All prices as JSON, and when the newest was sent: 20 times a second, for all pages."""
        return json_of(self.rows, self._rows)

    @cached_property
    def minute_text(self) -> BehaviorSubject[str]:
        """The plot as JSON, for all pages."""
        return json_of(self.minute, lambda: for_json(self.minute.value))

    def _rows(self) -> dict[str, object]:
        ticks = self.rows.value.values()
        newest = max((tick.sent for tick in ticks), default=0.0)
        return {"newest": newest, "prices": {tick.symbol: tick.price for tick in ticks}}

    def add(self, symbol: str) -> Receipt:
        """Send a tick of one's own; the server sends it back, so it is a row like the others."""
        return self.store.send(Tick(symbol=symbol, price=100, sent=time.time()))

    def drop(self) -> None:
        """Cut the line, and refuse the next two attempts, so that the countdown can be seen."""
        if self.server is not None:
            self.server.refuse(503, times=2)
            self.server.drop()


def json_of(source: Observable[Any], value: Callable[[], object]) -> BehaviorSubject[str]:
    """Write what is kept as JSON, 20 times a second, once for all who show it."""
    text = BehaviorSubject("")
    here = UiScope(lambda call: call(), every=1 / 20)
    bind(source, lambda _: text.on_next(json.dumps(value())), here)
    return text


def for_json(series: Series) -> tuple[list[float], list[float | None]]:
    """Return the points for a browser: JSON has no NaN, and its plots break a line at null."""
    return series.x, [None if math.isnan(y) else y for y in series.y]


@contextmanager
def feed(rate: int = 1000, over: threading.Event | None = None) -> Iterator[tuple[DevServer, str]]:
    """Serve the feed; yield the server, and the URL to connect to."""
    over = over or threading.Event()
    with serve_in_thread(require_token=False, echo=True) as server:
        player = threading.Thread(target=lambda: server.call(play(server, rate, over)))
        player.start()
        try:
            yield server, f"{server.url}/v1/ws/updates"
        finally:
            over.set()
            player.join()


@contextmanager
def market(
    rate: int = 1000, url: str | None = None, reconnect_delay: float = 3.0
) -> Iterator[Market]:
    """Serve the feed, and follow it on a thread of its own; or follow the one at a URL."""
    with ExitStack() as stack:
        server, over = None, threading.Event()
        if url is None:
            server, url = stack.enter_context(feed(rate, over))
        store = stack.enter_context(
            use_websocket(url, message_type=Tick, loop="thread", reconnect_delay=reconnect_delay)
        )
        store.wait_connected(10).result()
        live = Market(store)
        live.server, live.over = server, over
        yield live
