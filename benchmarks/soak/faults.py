"""Random faults for the soak: each store has a proxy of its own, and the server is one for all."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from heimdall_reactive import WebSocketStore
from heimdall_reactive.testing import (
    BlackHole,
    CloseWith,
    Cut,
    Delay,
    FaultProxy,
    Garbage,
    HttpAnswer,
    Passage,
    RefuseConnection,
    Reset,
    Stall,
    Trickle,
)

from .server import SoakServer
from .store import SoakStore
from .words import HEADER

__all__ = ["Mischief", "Victim", "blame", "restarts", "slowed"]

CODES: Final = (1000, 1001, 1011, 1012, 4401)
JUNK: Final = (b"\xff\xff\xff\xff", b"\x81\x02\xc3\x28", b"\x83\x00", b"\x81\xfe\x00", b"oh no\r\n")
PAUSE: Final = 0.8  # seconds on average between two faults of a store
RESTART: Final = 6.0  # seconds on average between two restarts of the server
ZOMBIES: Final = 6  # connections held open by a fault, of one store, before they are cut
SLOW: Final = (BlackHole, Stall, Delay, Trickle)


class Victim(Protocol):
    """A store that is harmed.

    Attributes:
        store: the store.
        steady: whether it is never told to disconnect: what is in doubt then is not sent again.
    """

    store: WebSocketStore[str]
    steady: bool

    @property
    def may_bulk(self) -> bool:
        """Whether its outbox has room for large sends."""
        ...

    def send_bulk(self) -> None:
        """Send more than the buffers of two sockets take."""


class Mischief:
    """Harm one store, at random.

    Args:
        store: whose connections are harmed, and which is told to disconnect now and then.
        proxy: in front of the server.
        chance: the source of randomness.
        kinds: counts the faults.
        pause: seconds on average between two faults.
    """

    def __init__(
        self,
        store: Victim,
        proxy: FaultProxy,
        chance: random.Random,
        kinds: Counter[str],
        pause: float = PAUSE,
    ) -> None:
        self._store = store
        self._proxy = proxy
        self._chance = chance
        self._kinds = kinds
        self._pause = pause

    async def run(self) -> None:
        """Go on until it is cancelled."""
        deeds = dict(self._deeds())
        if self._store.steady:
            del deeds["disconnect"]
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / self._pause))
            name = self._chance.choice(list(deeds))
            self._kinds[name] += 1
            deeds[name]()
            if len(self._proxy.live) > ZOMBIES:
                self._kinds["sweep"] += 1
                self._proxy.now(Reset())

    def end(self) -> None:
        """Open the port, and cut what a fault holds open."""
        self._proxy.always(None)
        self._proxy.now(Reset())

    def _deeds(self) -> Mapping[str, Callable[[], object]]:
        now, chance = self._proxy.now, self._chance
        return {
            "cut": lambda: now(Cut(after=chance.randrange(2000))),
            "reset": lambda: now(Reset(after=chance.randrange(2000))),
            "stall": lambda: self._slow(Stall(seconds=chance.uniform(0.05, 1.2))),
            "black hole": lambda: self._slow(BlackHole()),
            "delay": lambda: now(Delay(chance.uniform(0.01, 0.2), jitter=0.05)),
            "trickle": lambda: now(Trickle(chance.uniform(2_000, 20_000))),
            "refuse": self._refuse,
            "503": lambda: self._answer(HttpAnswer(503, [("Retry-After", "1")])),
            "401": lambda: self._answer(HttpAnswer(401)),
            "no answer": lambda: self._answer(BlackHole(handshake=True)),
            "garbage, upgrade": lambda: self._answer(
                Garbage(data=chance.choice(JUNK), when="handshake")
            ),
            "garbage, open": lambda: now(Garbage(data=chance.choice(JUNK))),
            "cut, upgrade": lambda: self._answer(Cut(after=chance.randrange(150), handshake=True)),
            "close": self._close,
            "disconnect": self._disconnect,
        }

    def _slow(self, fault: BlackHole | Stall) -> None:
        self._proxy.now(fault)
        if self._store.may_bulk and self._chance.random() < 0.2:
            self._kinds["bulk"] += 1
            self._store.send_bulk()

    def _close(self) -> None:
        """Close, unless something is held up: the close frame would come before it."""
        faults = [fault for passage in self._proxy.live for fault in passage.faults]
        if not any(isinstance(fault, SLOW) for fault in faults):
            self._proxy.now(CloseWith(code=self._chance.choice(CODES), reason="soak"))

    def _refuse(self) -> None:
        self._proxy.now(RefuseConnection(self._chance.uniform(0.05, 0.4)))
        self._proxy.now(Reset())

    def _answer(self, fault: HttpAnswer | BlackHole | Garbage | Cut) -> None:
        self._proxy.next(fault)
        self._proxy.next()  # the one after it is let through
        self._proxy.now(Cut())

    def _disconnect(self) -> None:
        self._store.store.disconnect()
        self._store.store.connect()


async def restarts(server: SoakServer, chance: random.Random, kinds: Counter[str]) -> None:
    """Restart the server at random, until it is cancelled."""
    while True:
        await asyncio.sleep(chance.expovariate(1 / RESTART))
        crash = chance.random() < 0.5
        kinds["server crash" if crash else "server restart"] += 1
        server.restart(crash, chance.uniform(0.05, 0.5))


def blame(proxy: FaultProxy, store: SoakStore, dial: int, by_server: bool) -> str:
    """Return who ended the connection of a dial, or "" where nobody did."""
    if by_server:
        return "the server"
    passage = _find(proxy, dial)
    if passage is not None:
        struck = passage.ended in {type(fault).__name__ for fault in passage.faults}
        if struck or slowed(proxy, dial):
            return "an injected fault"
    close = store.closes.get(dial)
    if close is not None and close.reason.endswith("timeout"):
        return "its own timeout"  # a machine so busy that no sign of life came through in time
    return ""


def slowed(proxy: FaultProxy, dial: int) -> bool:
    """Return whether a fault has held up or slowed the connection of a dial."""
    passage = _find(proxy, dial)
    return passage is not None and any(isinstance(fault, SLOW) for fault in passage.faults)


def _find(proxy: FaultProxy, dial: int) -> Passage | None:
    newest_first = reversed(proxy.log)
    return next((passage for passage in newest_first if _dial_of(passage) == dial), None)


def _dial_of(passage: Passage) -> int:
    """Return the number of the dial that a proxy's connection belongs to; 0 without one."""
    _, found, rest = passage.request.partition(f"{HEADER}: ".encode())
    return int(rest.partition(b"\r")[0].partition(b"-")[2]) if found else 0
