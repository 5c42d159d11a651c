"""What the server remembers for tests, and how they wait for it without polling."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from heimdall_reactive.base.exceptions import WaitTimeout

__all__ = ["Peer", "ServerJournal", "UpgradeRecord"]


@dataclass(frozen=True)
class UpgradeRecord:
    """One upgrade request, refused ones included.

    Attributes:
        at: when it came, on the clock of `time.monotonic()`.
        path: its path, without the query.
        status: the HTTP status answered; 101 is success.
        headers: names of the headers present, in lower case, never their values.
        user_id: the user the token stands for, where it was accepted.
        fingerprint: tells tokens apart, see `DevServer.fingerprint`; None without a token.
    """

    at: float
    path: str
    status: int
    headers: tuple[str, ...]
    user_id: str | None
    fingerprint: str | None


@dataclass(frozen=True)
class Peer:
    """A connection as it was when `DevServer.connections` was read.

    Attributes:
        id: number of the connection, counted from 1 over the life of the server.
        path: the endpoint it asked for, without the query.
        user_id: the user; `anonymous` where no token was needed and none came.
        channels: names of the channels it is subscribed to.
        subprotocol: the negotiated subprotocol; one that carries a token is cut to `bearer`.
    """

    id: int
    path: str
    user_id: str
    channels: frozenset[str]
    subprotocol: str | None


class ServerJournal:
    """Keep the newest messages and dials, and wake who waits for a change."""

    def __init__(self, size: int) -> None:
        self.received: deque[tuple[int, str | bytes]] = deque(maxlen=size)
        self.dials: deque[UpgradeRecord] = deque(maxlen=size)
        self._names: OrderedDict[tuple[str, str | int], None] = OrderedDict()
        self._size = size
        self._waiters: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._listeners: dict[asyncio.Future[None], Callable[[str | bytes], bool]] = {}

    def add_message(self, connection: int, message: str | bytes) -> None:
        """Remember a message and show it to who waits for one."""
        self.received.append((connection, message))
        for future, matches in list(self._listeners.items()):
            _settle(future, partial(matches, message))
        self.changed()

    def is_new(self, user_id: str, name: str | int) -> bool:
        """Return whether a user's message with this id comes for the first time."""
        if (user_id, name) in self._names:
            return False
        self._names[user_id, name] = None
        if len(self._names) > self._size:
            self._names.popitem(last=False)
        return True

    def add_dial(self, dial: UpgradeRecord) -> None:
        """Remember an upgrade request."""
        self.dials.append(dial)
        self.changed()

    def changed(self) -> None:
        """Let everybody who waits look again."""
        for future, holds in list(self._waiters.items()):
            _settle(future, holds)

    async def until(self, holds: Callable[[], bool], timeout: float) -> None:
        """Wait until `holds()`, which is asked again after every change.

        Raises:
            WaitTimeout: if it does not hold within `timeout` seconds, or the server stops.
        """
        if not holds():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters[future] = holds
            try:
                await _within(future, timeout)
            finally:
                del self._waiters[future]

    async def message(self, matches: Callable[[str | bytes], bool], timeout: float) -> str | bytes:
        """Return the first remembered or coming message for which `matches` is true.

        Raises:
            WaitTimeout: if none comes within `timeout` seconds, or the server stops.
        """
        found: list[str | bytes] = []
        found.extend(itertools.islice((m for _, m in self.received if matches(m)), 1))
        if not found:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def listen(text: str | bytes) -> bool:
                hit = matches(text)
                if hit:
                    found.append(text)
                return hit

            self._listeners[future] = listen
            try:
                await _within(future, timeout)
            finally:
                del self._listeners[future]
        return found[0]

    def end(self) -> None:
        """Fail everybody who still waits, because the server stops."""
        for future in [*self._waiters, *self._listeners]:
            if not future.done():
                future.set_exception(WaitTimeout("the server was stopped while waiting"))


def _settle(future: asyncio.Future[None], ask: Callable[[], bool]) -> None:
    """Complete `future` where the answer is yes; what a user's predicate raises goes to it."""
    if future.done():
        return
    try:
        answer = ask()
    except Exception as error:
        future.set_exception(error)
    else:
        if answer:
            future.set_result(None)


async def _within(future: asyncio.Future[None], timeout: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await asyncio.wait([future])
    if not future.done():
        raise WaitTimeout(f"what the server was asked to wait for did not happen in {timeout} s")
    future.result()


def now() -> float:
    """Return the time of `UpgradeRecord.at`."""
    return time.monotonic()
