"""`Embedded`: the development server of a dashboard, its traffic, and what its buttons do."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from reactivex.subject import BehaviorSubject

from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import DevServer

from .board import Board, BoardConnection

__all__ = [
    "BURST",
    "ENDING",
    "FAULTS",
    "MESSAGES",
    "RATES",
    "USERS",
    "Embedded",
    "Fault",
    "embedded_board",
]

ANONYMOUS: Final = "anonymous"
PLACES: Final = (
    ("updates", "ada", "gps"),
    ("user", "bo", "stats"),
    ("status", ANONYMOUS, "public"),
)
"""Endpoint, user and channel of each connection."""
USERS: Final = tuple(user for _, user, _ in PLACES)
RATES: Final = (0, 5, 50, 500)  # readings a second; the others get one for two, and one for five
BURST: Final = 20_000
CHUNK: Final = 100  # messages of a burst before the loop gets its turn
BEAT: Final = 0.05  # seconds between two looks at what the traffic owes
PING: Final = 1.0  # seconds between pings: the latency is to be seen

ENDING: Final = ("accountDeleted", "accountBanned", "sessionRevoked", "forceLogout")
"""Messages behind which a close is final."""
MESSAGES: Final = {
    "User status": ENDING,
    "Permissions": ("rolesUpdated", "permissionsUpdated", "rolePermissionsChanged"),
    "Account links": ("emailLinkVerified", "emailChangeVerified"),
}
"""The nine server messages of the Heimdall API, as they belong together."""

EVENTS: Final = (
    "rolesUpdated", "permissionsUpdated", "emailLinkVerified", "rolePermissionsChanged",
)  # fmt: skip


class Fault(NamedTuple):
    """What a button does to the connections.

    Attributes:
        name: on the button.
        tip: says what happens.
        icon: name of a Material icon.
        act: takes the server and a user, None for everybody.
        of_user: whether the user matters.
        ends: whether it ends a session, which does not connect by itself; it can be undone.
    """

    name: str
    tip: str
    icon: str
    act: Callable[[DevServer, str | None], object]
    of_user: bool = False
    ends: bool = False


def _outage(server: DevServer, _: str | None) -> None:
    server.refuse(503, times=2 * len(server.connections) or 2)
    server.drop()


FAULTS: Final = (
    Fault("Drop", "Cut every TCP connection without a close frame", "power_off",
          lambda server, _: server.drop()),
    Fault("Outage", "Cut every connection, and refuse two dials of each with HTTP 503",
          "cloud_off", _outage),
    Fault("Refuse", "Refuse the next three dials with HTTP 503", "block",
          lambda server, _: server.refuse(503, times=3)),
    Fault("Stall", "Neither read nor write for 6 s: pings find the peer dead", "hourglass_empty",
          lambda server, _: server.stall(6.0)),
    Fault("Restart", "Close with 1012, and listen again after 3 s", "restart_alt",
          lambda server, _: server.restart(3.0)),
    Fault("Ban", "Send accountBanned, close with 4403, and refuse with HTTP 403", "gavel",
          lambda server, user: server.ban(user), True, True),
    Fault("Revoke", "Send sessionRevoked, revoke the tokens, and close with 4401", "key_off",
          lambda server, user: server.revoke(user), True, True),
    Fault("Forgive", "Undo bans; then connect again", "handshake",
          lambda server, user: server.forgive(user), True),
)  # fmt: skip


class Embedded:
    """A development server with some traffic.

    Args:
        server: runs on the event loop of the board.

    Attributes:
        rate: readings a second; set it by `on_next`.
    """

    def __init__(self, server: DevServer) -> None:
        self.server = server
        self.rate: BehaviorSubject[int] = BehaviorSubject(RATES[1])
        self._bursting = False

    def fire(self, kind: str, user: str | None) -> str:
        """Fire one of the nine messages; return what was done, in words."""
        server = self.server
        users = sorted({peer.user_id for peer in server.connections}) if user is None else [user]
        if kind == "rolePermissionsChanged":
            users = users[:1]  # it names no user and goes to everybody
            user = None
        for one in users:
            server.fire(kind, user_id=one)
        return f"{kind} sent to {user or 'everybody'}"

    def inflict(self, fault: Fault, user: str | None) -> str:
        """Do what a fault's button says; return what was done, in words."""
        fault.act(self.server, user if fault.of_user else None)
        return f"{fault.name}: {(user if fault.of_user else None) or 'everybody'}"

    async def burst(self) -> str:
        """Send 20,000 messages to every connection; return what was done, in words."""
        if self._bursting:
            return "a burst is under way"
        self._bursting, began = True, time.monotonic()
        try:
            for number in range(BURST):
                self.server.send_raw(f'{{"type":"burst","number":{number}}}')
                if number % CHUNK == 0:
                    await asyncio.sleep(0)
        finally:
            self._bursting = False
        return f"{BURST:,} messages to each connection in {time.monotonic() - began:.1f} s"

    async def run(self) -> None:
        """Make traffic until cancelled: a tide of readings, and now and then an event."""
        owed, at, number = 0.0, time.monotonic(), 0
        while True:
            await asyncio.sleep(BEAT)
            now = time.monotonic()
            tide = 1.0 + 0.5 * math.sin(now / 5.0) + random.uniform(-0.3, 0.3)
            owed, at = owed + self.rate.value * (now - at) * tide, now
            while owed >= 1.0:
                owed, number = owed - 1.0, number + 1
                self._reading(number)
            if self.rate.value and random.random() < BEAT / 3:
                self._event()

    def _reading(self, number: int) -> None:
        place = {
            "lat": round(random.gauss(47.37, 0.01), 5),
            "lon": round(random.gauss(8.54, 0.01), 5),
        }
        self.server.publish("gps", {"fix": number, **place})
        if number % 2 == 0:
            self.server.publish("stats", {"online": len(self.server.connections), "beat": number})
        if number % 5 == 0:
            self.server.publish("public", {"notice": number})

    def _event(self) -> None:
        users = sorted({peer.user_id for peer in self.server.connections})
        if users:
            self.server.fire(random.choice(EVENTS), user_id=random.choice(users))


@asynccontextmanager
async def embedded_board(reconnect_delay: float = 3.0) -> AsyncIterator[tuple[Board, Embedded]]:
    """Run a development server, three stores of it, and their board.

    Args:
        reconnect_delay: seconds, of the stores.
    """
    async with DevServer(echo=True) as server:
        options: Any = {
            "reconnect_delay": reconnect_delay, "max_reconnect_attempts": None,
            "ping_interval": PING, "ping_timeout": 2 * PING, "close_timeout": 1.0,
        }  # fmt: skip
        connections = []
        for path, user, channel in PLACES:
            url = f"{server.url}/v1/ws/{path}"
            token = None if user == ANONYMOUS else _provider(server, user)
            store = use_websocket(url, access_token=token, principal=user, **options)
            store.channel(channel).subscribe()
            connections.append(BoardConnection(path, f"/v1/ws/{path} as {user}", store))
        board = Board(connections)
        try:
            yield board, Embedded(server)
        finally:
            await board.aclose()


def _provider(server: DevServer, user: str) -> Callable[[], str]:
    """Return what gives a fresh token for each attempt, as a login would."""
    return lambda: server.issue(user)
