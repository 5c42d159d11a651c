"""One store under test: its options, its load, and the notes of all that happens to it."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

from heimdall_reactive import (
    Backoff,
    CloseInfo,
    ConnectionState,
    Heartbeat,
    Status,
    StoreError,
    use_websocket,
)
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.options import OptionsDict, StoreOptions
from heimdall_reactive.base.state import Gap
from heimdall_reactive.transports import Receiver, Wire, choose

from .words import (
    HEADER,
    ClientEvent,
    ClientEvents,
    Failed,
    Heard,
    Moved,
    Opened,
    Sent,
    Skipped,
    Wrote,
    number_of,
)

__all__ = ["SoakStore", "Tap"]

REMEMBERED = 50  # connections whose close is known
BULK = 512 * 1024  # characters of a send that is to fill the sockets' buffers
BULKS = 14  # of them, more than two such buffers take on the systems that were looked at

COMMON: OptionsDict = {
    "immediate": False, "principal": "soak", "max_reconnect_attempts": None, "stable_after": 0.2,
    "max_retry_after": 0.3, "open_timeout": 0.6, "ping_interval": 0.25, "ping_timeout": 0.6,
    "close_timeout": 0.5, "token_timeout": 0.5,
}  # fmt: skip

KINDS: Sequence[OptionsDict] = (
    {"reconnect_delay": Backoff(initial=0.02, cap=0.2), "compression": None},
    {"reconnect_delay": 0.03, "outbox_limit": 300},
    {
        "reconnect_delay": Backoff(initial=0.05, cap=0.3), "send_ttl": 0.3,
        "outbox_limit": 40, "outbox_overflow": "drop_oldest",
        "heartbeat": Heartbeat(message="ping", interval=0.2, timeout=0.8, reply="pong"),
    },
    {"reconnect_delay": 0.05, "outbox_limit": 20, "outbox_overflow": "drop_newest"},
)  # fmt: skip


class Tap:
    """A wire that notes each numbered send before it passes it on."""

    def __init__(self, wire: Wire, dial: int, note: Callable[[ClientEvent], None]) -> None:
        self._wire = wire
        self._dial = dial
        self._note = note

    @property
    def writable(self) -> bool:
        """See `Wire`, as for all that follows."""
        return self._wire.writable

    @property
    def close_received(self) -> bool:
        """Pass it on."""
        return self._wire.close_received

    @property
    def heard_at(self) -> float:
        """Pass it on."""
        return self._wire.heard_at

    def prove(self, *, last: bool = False) -> None:
        """Pass it on."""
        self._wire.prove(last=last)

    def start(self, receiver: Receiver) -> None:
        """Pass it on."""
        self._wire.start(receiver)

    def write(self, frame: Frame) -> None:
        """Note it first: afterwards the server may have read it already."""
        number = number_of(frame.data)
        if not number:  # a heartbeat
            self._wire.write(frame)
            return
        self._note(Wrote(self._dial, number))
        try:
            self._wire.write(frame)
        except BaseException:
            self._note(Wrote(self._dial, number, undone=True))
            raise

    def end(self, code: int, reason: str = "") -> None:
        """Pass it on."""
        self._wire.end(code, reason)

    def fail(self, code: int, reason: str) -> None:
        """Pass it on."""
        self._wire.fail(code, reason)

    def lose(self, reason: str) -> None:
        """Pass it on."""
        self._wire.lose(reason)

    def probe(self, timeout: float) -> None:
        """Pass it on."""
        self._wire.probe(timeout)

    def hold(self, on: bool) -> None:
        """Stop reading, or read on."""
        self._wire.hold(on)

    def kill(self) -> None:
        """Pass it on."""
        self._wire.kill()


class SoakStore:
    """A store that is observed and made to send.

    Half of the stores live on the running loop and half on the library's thread; some of these
    are sent to by a thread.

    Args:
        index: its number, which also chooses its options.
        url: where it dials.
        seed: of its random choices.

    Attributes:
        steady: whether it is never told to disconnect.
        events: what happened, for the ledger to take.
        dial: number of the last dial.
        closes: how the connections of the newest dials ended, as the store tells it.
        errors: what connections and attempts failed of, by type.
    """

    steady = False

    def __init__(self, index: int, url: str, seed: int) -> None:
        self.index = index
        self.events: ClientEvents = deque()
        self.dial = 0
        self.closes: dict[int, CloseInfo] = {}
        self.errors: Counter[str] = Counter()
        self._opened = 0
        self._number = 0
        self._closing = False
        self._random = random.Random(f"{seed}-{index}")
        self._stopped = threading.Event()
        self._sent = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        loop: Literal["auto", "thread"] = "thread" if index % 2 else "auto"
        options: OptionsDict = {
            **COMMON, **KINDS[index % len(KINDS)],
            "transport": self._dial, "access_token": self._token,
        }  # fmt: skip
        self.store = use_websocket(url, message_type=str, loop=loop, **options)
        self._sender = threading.Thread(target=self._send_on, name="soak-sender")
        self._from_thread = index % 4 == 1
        self._observe()

    @property
    def may_bulk(self) -> bool:
        """Whether its outbox has room for large sends."""
        return self.index % len(KINDS) == 0

    def start(self) -> None:
        """Dial, and send from now on."""
        self.store.connect()
        if self._from_thread:
            self._sender.start()

    async def stop_sending(self) -> None:
        """Send no more; return when the thread that sends has ended."""
        self._stopped.set()
        if self._from_thread:
            await self._sent.wait()
            self._sender.join()

    def tick(self) -> None:
        """Send, unless a thread does; now and then a burst."""
        if not self._from_thread and not self._stopped.is_set():
            self.send(30 if self._random.random() < 0.01 else 1)

    def send(self, count: int, size: int = 8) -> None:
        """Send the next numbers."""
        for _ in range(count):
            self._number += 1
            receipt = self.store.send(f"u{self._number}:{'x' * size}")
            self.events.append(Sent(self._number, receipt))

    def send_bulk(self) -> None:
        """Send more than the buffers of two sockets take."""
        self.send(BULKS, BULK)

    def nurse(self) -> None:
        """Dial again where the store gave up, as an application does after a login."""
        status = self.store.state.value.status
        if not self._closing and status in (Status.FAILED, Status.DISCONNECTED):
            self.store.connect()

    async def aclose(self) -> None:
        """Close the store."""
        self._closing = True
        await self.store.aclose()

    def _send_on(self) -> None:
        while not self._stopped.wait(0.03):
            self.send(1)
        self._loop.call_soon_threadsafe(self._sent.set)

    def _token(self) -> str:
        if self._random.random() < 0.01:
            raise RuntimeError("the login service is away")
        return "token"

    async def _dial(
        self,
        url: str,
        headers: Sequence[tuple[str, str]],
        subprotocols: Sequence[str] | None,
        options: StoreOptions,
    ) -> Wire:
        self.dial += 1
        dial = self.dial
        marked = [*headers, (HEADER, f"{self.index}-{dial}")]
        wire = await choose("websockets")(url, marked, subprotocols, options)
        self.events.append(Opened(dial))
        self._opened = dial
        return Tap(wire, dial, self.events.append)

    def _observe(self) -> None:
        store = self.store
        store.messages.subscribe(lambda text: self.events.append(Heard(text, time.time())))
        store.transitions.subscribe(self._on_transition)
        store.gaps.subscribe(self._on_gap)
        store.errors.subscribe(self._on_error)

    def _on_transition(self, pair: Any) -> None:
        state: ConnectionState = pair[1]
        self.events.append(Moved(state))
        if state.error is not None and state.status is not Status.CONNECTING:
            self.errors[type(state.error).__name__] += 1
        if pair[0].status in (Status.CONNECTED, Status.DISCONNECTING) and state.close is not None:
            self.closes[self._opened] = state.close
            if len(self.closes) > REMEMBERED:
                del self.closes[next(iter(self.closes))]

    def _on_gap(self, gap: Gap) -> None:
        self.events.append(Skipped(gap))

    def _on_error(self, error: StoreError) -> None:
        self.events.append(Failed(type(error).__name__))
