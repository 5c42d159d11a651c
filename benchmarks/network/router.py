"""The router: a process between two TUN devices that loses, delays, swallows and forgets.

It reads its orders as JSON lines; each replaces the one before. Until one comes, it forwards
everything, with the client's address rewritten to its own (NAT).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .packets import Address, reset_for, rewrite, segment_of

__all__ = ["Nat", "Order", "Router"]

TUNSETIFF: Final = 0x400454CA  # <linux/if_tun.h>
TUN_WITHOUT_INFO: Final = 0x0001 | 0x1000  # IFF_TUN | IFF_NO_PI
LARGEST: Final = 65535
FIRST_PORT: Final = 20_000


@dataclass(frozen=True, kw_only=True)
class Order:
    """What becomes of packets.

    Attributes:
        loss: the share that is lost, in each direction.
        delay: seconds that each takes.
        jitter: seconds more, at random: packets overtake each other.
        twice: the share that comes twice.
        hole: `up` (from the client), `down` or `both`: where nothing comes through.
        forget: the table of connections is lost; what belongs to one of them is dropped
            (`drop`) or answered with RST (`reset`).
    """

    loss: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    twice: float = 0.0
    hole: str = ""
    forget: str = ""


class Nat:
    """Rewrites the client's addresses to one address, with a port for each connection.

    Args:
        host: that address.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._next = FIRST_PORT
        self._ports: dict[Address, int] = {}
        self._clients: dict[int, Address] = {}

    def forget(self) -> None:
        """Lose the table; ports are not given again."""
        self._ports.clear()
        self._clients.clear()

    def up(self, packet: bytes) -> bytes | None:
        """Rewrite a packet of the client's; None where it belongs to no connection."""
        segment = segment_of(packet)
        if segment is None:
            return None
        if segment.source not in self._ports:
            if not segment.opens:
                return None
            self._ports[segment.source] = self._next
            self._clients[self._next] = segment.source
            self._next += 1
        return rewrite(packet, source=Address(self._host, self._ports[segment.source]))

    def down(self, packet: bytes) -> bytes | None:
        """Rewrite a packet of the server's; None where it belongs to no connection."""
        segment = segment_of(packet)
        client = None if segment is None else self._clients.get(segment.target.port)
        return None if client is None else rewrite(packet, target=client)


class Router:
    """Forwards packets as it was ordered to.

    Args:
        nat: rewrites addresses.
        to_client: takes a packet for the client's side.
        to_server: takes a packet for the server's side.
        later: calls a function after seconds.
        chance: decides.
    """

    def __init__(
        self,
        nat: Nat,
        to_client: Callable[[bytes], object],
        to_server: Callable[[bytes], object],
        later: Callable[[float, Callable[[], object]], object],
        chance: random.Random,
    ) -> None:
        self._nat = nat
        self._to_client = to_client
        self._to_server = to_server
        self._later = later
        self._chance = chance
        self._order = Order()

    def obey(self, order: Order) -> None:
        """Forward as this says from now on."""
        self._order = order
        if order.forget:
            self._nat.forget()

    def up(self, packet: bytes) -> None:
        """Handle a packet of the client's."""
        self._pass("up", packet, self._nat.up, self._to_server, self._to_client)

    def down(self, packet: bytes) -> None:
        """Handle a packet of the server's."""
        self._pass("down", packet, self._nat.down, self._to_client, self._to_server)

    def _pass(
        self,
        way: str,
        packet: bytes,
        translate: Callable[[bytes], bytes | None],
        on: Callable[[bytes], object],
        back: Callable[[bytes], object],
    ) -> None:
        order = self._order
        if order.hole in (way, "both") or self._chance.random() < order.loss:
            return
        translated = translate(packet)
        if translated is None:
            answer = reset_for(packet) if order.forget == "reset" else None
            if answer is not None:
                back(answer)
            return
        for _ in range(1 + (self._chance.random() < order.twice)):
            seconds = order.delay + order.jitter * self._chance.random()
            if seconds:
                self._later(seconds, lambda: on(translated))
            else:
                on(translated)


def open_tun(name: str) -> int:
    """Make a TUN device; return the descriptor that has its packets."""
    import fcntl  # not on Windows, where the rest of this module is tested, too

    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), TUN_WITHOUT_INFO))
    return descriptor


async def route(client: str, server: str, host: str, seed: int) -> None:
    """Route between two new devices until the input ends."""
    loop = asyncio.get_running_loop()
    ours, theirs = open_tun(client), open_tun(server)
    chance = random.Random(seed)
    router = Router(Nat(host), _sink(ours), _sink(theirs), loop.call_later, chance)
    loop.add_reader(ours, _forward, ours, router.up)
    loop.add_reader(theirs, _forward, theirs, router.down)
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        router.obey(Order(**json.loads(line)))
        print("done", flush=True)


def _sink(side: int) -> Callable[[bytes], object]:
    def write(packet: bytes) -> None:
        try:
            os.write(side, packet)
        except OSError:  # the device is down
            return

    return write


def _forward(side: int, take: Callable[[bytes], None]) -> None:
    try:
        packet = os.read(side, LARGEST)
    except OSError:  # the device is down
        return
    take(packet)


if __name__ == "__main__":
    names = sys.argv[1:4]
    asyncio.run(route(names[0], names[1], names[2], int(sys.argv[4])))
