"""More stores for the soak: overlaps, tokens that expire, resending, sharing, floods, slowness."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from heimdall_reactive import (
    AccessToken,
    ConsumerStats,
    MessageStream,
    Status,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.base.options import OptionsDict

from .server import Desk, SoakServer
from .simple import Order, Sends
from .store import COMMON
from .words import HEADER, Got, number_of

__all__ = ["KINDS", "Guest"]

KINDS: Final[Mapping[str, OptionsDict]] = {
    "overlaps": {},
    "renews tokens": {"token_refresh_before": 1.0},
    "sends again": {"resend": True},
    "shares": {"share": True, "share_linger": 0.2},
    "slow consumers": {},
    "flooded": {},
}
LIFE: Final = 3.0  # seconds of a token
OVERLAP: Final = 1.0  # seconds between two planned reconnections, on average
LEAVE: Final = 3.0  # seconds that the second of those who share stays, on average
FLOOD: Final = 5.0  # seconds between two floods, on average
COUNT: Final = 20_000  # frames of a flood


class Guest:
    """One of these stores, on the running loop, with a life of its own.

    Args:
        kind: a key of `KINDS`.
        index: the number of its desk.
        url: where it connects.
        server: floods it.
        seed: of its random choices.

    Attributes:
        kind: as given.
        store: that faults strike; of those who share, the one that stays.
        steady: whether it is never told to disconnect.
        sends: judges its sends.
        found: counts for the report.
        broken: broken promises.
    """

    def __init__(self, kind: str, index: int, url: str, server: SoakServer, seed: int) -> None:
        self.kind = kind
        self.found: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.steady = kind == "sends again"
        self.sends = Sends(resend=self.steady)
        self._index = index
        self._url = url
        self._server = server
        self._desk: Desk = server.desks[index]
        self._random = random.Random(f"{seed}-{kind}")
        self._number = 0
        self._closing = False
        self._orders: list[Order] = []
        self._deeds: list[asyncio.Task[None]] = []
        self._readers: list[asyncio.Task[None]] = []
        self._heard = 0
        self._consumers: list[tuple[str, Order, Callable[[], ConsumerStats]]] = []
        self.store = self._open()
        self._ends = [self.store]

    @property
    def may_bulk(self) -> bool:
        """Whether it may send large messages."""
        return False

    @property
    def broken_so_far(self) -> Counter[str]:
        """The broken promises, also of what has not ended."""
        return sum((order.broken for order in self._orders), self.broken + self.sends.broken)

    def start(self) -> None:
        """Connect, and live."""
        self.store.connect()
        life: Mapping[str, Callable[[], None]] = {
            "overlaps": lambda: self._every(OVERLAP, self._overlap),
            "shares": lambda: self._every(LEAVE, self._come_and_go),
            "flooded": lambda: self._every(FLOOD, self._flood),
            "slow consumers": self._consume,
        }
        life.get(self.kind, lambda: None)()

    def tick(self) -> None:
        """Send a number, by each of those who share in turn."""
        self._number += 1
        store = self._ends[self._number % len(self._ends)]
        self.sends.sent(self._number, store.send(f"u{self._number}:xxxxxxxx"))

    def send_bulk(self) -> None:
        """Send nothing."""

    def take(self) -> None:
        """Fetch what the server has noted, and judge; connect again where it is given up."""
        self._desk.published.clear()
        for _ in range(len(self._desk.received)):
            note = self._desk.received.popleft()
            if isinstance(note, Got):
                self.sends.read(note.number)
        self.sends.judge()
        status = self.store.state.value.status
        if not self._closing and status in (Status.FAILED, Status.DISCONNECTED):
            self.store.connect()

    async def stop(self) -> None:
        """Reconnect, flood and join no more."""
        await _end(self._deeds)

    async def aclose(self) -> None:
        """Close the stores, and add up."""
        self._closing = True
        self._add_consumers()
        await _end(self._readers)
        for store in self._ends:
            await store.aclose()
        self.take()
        self.sends.finish()
        for order in self._orders:
            self._add(order)
        stats = self.store.stats
        self.found += Counter({
            "reconnections": stats.reconnects, "invalid": stats.invalid, "resent": stats.resent,
            "lost": self.sends.lost, "read twice": self.sends.twice, **self.sends.states,
        })  # fmt: skip
        self.broken += self.sends.broken

    def _open(self) -> WebSocketStore[str]:
        # Dial 0: whoever has no tap is numbered by nobody.
        options: OptionsDict = {
            **COMMON, "reconnect_delay": 0.05, "access_token": self._token,
            "additional_headers": {HEADER: f"{self._index}-0"}, **KINDS[self.kind],
        }  # fmt: skip
        store = use_websocket(self._url, message_type=str, loop="auto", **options)
        order = Order()
        self._orders.append(order)
        store.state.subscribe(order.move)
        store.gaps.subscribe(lambda _: order.skip())
        store.messages.subscribe(lambda text: _hear(order, text))
        store.messages.subscribe(self._count)
        store.errors.subscribe(self._on_error)
        return store

    def _count(self, _: str) -> None:
        self._heard += 1

    def _token(self) -> AccessToken | str:
        if self.kind == "renews tokens":
            return AccessToken("token", time.time() + LIFE)
        return "token"

    def _on_error(self, error: Exception) -> None:
        self.found[f"report {type(error).__name__}"] += 1

    def _every(self, seconds: float, deed: Callable[[], Any]) -> None:
        async def live() -> None:
            while True:
                await asyncio.sleep(self._random.expovariate(1 / seconds))
                if asyncio.iscoroutine(doing := deed()):
                    await doing

        self._deeds.append(asyncio.get_running_loop().create_task(live()))

    def _overlap(self) -> None:
        self.found["asked to overlap"] += 1
        self.store.reconnect(overlap=True)

    async def _come_and_go(self) -> None:
        if len(self._ends) == 1:
            self._ends.append(self._open())
            return
        await self._ends.pop().aclose()
        self._add(self._orders.pop())
        self.found["left"] += 1

    def _flood(self) -> None:
        invalid = self._random.random() < 0.5
        self.found["floods"] += 1
        # To a store of text, a binary message is invalid; the other is an empty ping.
        self._server.flood(self._index, (b"\x82\x01x" if invalid else b"\x89\x00") * COUNT)

    def _consume(self) -> None:
        dropping = self.store.stream(maxsize=16, name="drop_oldest")
        holding = self.store.stream(maxsize=64, overflow="block", name="block")
        handled = Order()

        async def handle(text: str) -> None:
            await asyncio.sleep(0.1)
            _hear(handled, text)

        handler = self.store.on_message(handle, maxsize=8, name="handler")
        self._consumers.append(("handler", handled, lambda: handler.stats))
        self._read(dropping, "drop_oldest", lambda: 0.06)
        self._read(holding, "block", lambda: 1.0 if self._random.random() < 0.01 else 0.0)

    def _read(self, stream: MessageStream[str], name: str, pause: Callable[[], float]) -> None:
        order = Order()

        async def read() -> None:
            async for text in stream:
                _hear(order, text)
                await asyncio.sleep(pause())

        self._consumers.append((name, order, lambda: stream.stats))
        self._readers.append(asyncio.get_running_loop().create_task(read()))

    def _add_consumers(self) -> None:
        """Hold each consumer's counters to what all observers heard, and its order."""
        for name, order, stats in self._consumers:
            found = stats()
            self.found[f"dropped by {name}"] = found.dropped
            counted = found.waiting + found.delivered + found.failed + found.dropped
            if counted != self._heard:
                self.broken[f"{name}: counted {counted} of {self._heard}"] += 1
            if order.broken["messages repeated or reordered"]:
                self.broken[f"{name}: messages repeated or reordered"] += 1

    def _add(self, order: Order) -> None:
        self.broken += order.broken
        self.found += Counter({
            "messages": order.heard, "missed": order.missed, "gaps": order.gaps,
            "brought by both sessions": order.again,
        })  # fmt: skip


def _hear(order: Order, text: str) -> None:
    if text.startswith("d"):
        order.hear(number_of(text))


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
