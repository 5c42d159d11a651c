"""What flows: models, a day of them that is the same each time, and a way to play it to a store.

The graphs use time: windows, debounce, sessions. They take it from `store.scheduler`, so in virtual
time a message that happened at 17.3 s arrives at 17.3 s, and an hour takes a blink.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict
from reactivex import Observable

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.testing import ScriptedPeer, run

START: Final = datetime(2026, 1, 1, 9, tzinfo=UTC)
SEED: Final = 7


class Event(BaseModel):
    """Something that happened, with an id of its own."""

    model_config = ConfigDict(frozen=True)

    id: int
    at: datetime

    @property
    def seconds(self) -> float:
        """Seconds since the day began."""
        return (self.at - START).total_seconds()


class Tick(Event):
    """A trade on a market."""

    symbol: str
    price: float


class Order(Event):
    """An order that waits to be paid."""

    order: str


class Payment(Event):
    """A payment for an order."""

    order: str
    amount: float


class UserStatus(Event):
    """What a server says of a user, as one of Heimdall's user-status messages."""

    type: Literal["sessionRevoked", "forceLogout", "accountBanned"]
    user_id: str


class Reading(Event):
    """A temperature."""

    sensor: str
    celsius: float


def _times(count: int, mean: float, seed: int) -> list[datetime]:
    """Return times at random, to the millisecond, at a mean distance in seconds."""
    chance, at, found = random.Random(seed), 0.5, []
    for _ in range(count):
        at += round(chance.expovariate(1 / mean), 3) + 0.001
        found.append(START + timedelta(seconds=round(at, 3)))
    return found


def ticks(count: int = 400) -> list[Tick]:
    """Return trades of three symbols."""
    chance = random.Random(SEED)
    return [
        Tick(id=n, at=at, symbol=chance.choice("ABC"), price=chance.randrange(100, 200) / 4)
        for n, at in enumerate(_times(count, 0.5, SEED))
    ]


def orders(count: int = 60) -> list[Order]:
    """Return orders."""
    return [Order(id=n, at=at, order=f"o{n}") for n, at in enumerate(_times(count, 4.0, SEED + 1))]


def payments(count: int = 60) -> list[Payment]:
    """Return payments, most of them soon after their order, some much later."""
    chance, found = random.Random(SEED + 2), []
    for order in orders(count):
        late = timedelta(
            seconds=round(chance.choice((3.0, 12.0, 45.0)) * chance.uniform(0.6, 1.1), 3)
        )
        found.append((order.at + late, order.order))
    found.sort()
    return [
        Payment(id=n, at=at, order=order, amount=10.0 + n) for n, (at, order) in enumerate(found)
    ]


def statuses(count: int = 120) -> list[UserStatus]:
    """Return messages about six users, in bursts with long pauses between them."""
    chance = random.Random(SEED + 3)
    return [
        UserStatus(
            id=n, at=at, user_id=f"u{chance.randrange(6)}",
            type=chance.choice(("sessionRevoked", "forceLogout", "accountBanned")),
        )
        for n, at in enumerate(_times(count, 5.0, SEED + 3))
    ]  # fmt: skip


def readings(count: int = 300) -> list[Reading]:
    """Return temperatures that wander around a limit."""
    chance, celsius, found = random.Random(SEED + 4), 68.0, []
    for n, at in enumerate(_times(count, 1.0, SEED + 4)):
        celsius = round(min(80.0, max(60.0, celsius + chance.uniform(-2, 2))), 1)
        found.append(Reading(id=n, at=at, sensor="boiler", celsius=celsius))
    return found


def replay(
    graph: Callable[..., Observable[Any]], *days: Sequence[Event], more: float = 120.0
) -> list[Any]:
    """Play days of events to a graph over stores, in virtual time, and return what it tells.

    Args:
        graph: makes an observable of one store for each day.
        days: what each store gets.
        more: seconds that pass after the last event.
    """
    told: list[Any] = []

    async def main() -> None:
        peers = [ScriptedPeer() for _ in days]
        kinds = [type(day[0]) for day in days]
        stores: list[WebSocketStore[Any]] = [
            use_websocket("ws://localhost/events", transport=peer, message_type=kind)
            for peer, kind in zip(peers, kinds, strict=True)
        ]
        links = [await peer.accepted() for peer in peers]
        loop = asyncio.get_running_loop()
        began = loop.time()
        subscription = graph(*stores).subscribe(told.append)
        everything = [(event, link) for day, link in zip(days, links, strict=True) for event in day]
        for event, link in sorted(everything, key=lambda pair: pair[0].at):
            await asyncio.sleep(began + event.seconds - loop.time())
            link.send(event.model_dump(mode="json"))
        await asyncio.sleep(more)
        subscription.dispose()
        for store in stores:
            await store.aclose()

    run(main)
    return told
