"""`FaultProxy`: a TCP proxy in front of a WebSocket server, for faults on a real socket."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from types import TracebackType
from urllib.parse import urlsplit

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.starting import start_task

from .faults import DropSyn, Fault, RefuseConnection
from .relay import Passage, Relay, answers
from .sockets import ProxyListener, Side
from .watch import Watch

__all__ = ["FaultProxy"]


class FaultProxy:
    """Stand between clients and a `ws://` server, and produce the faults that are ordered.

    ::

        async with FaultProxy(server.url) as proxy:
            proxy.next(HttpAnswer(503))         # the next connection
            proxy.next(Cut(after=100))          # the one after that
            store = use_websocket(proxy.url + "/v1/ws")
            ...
            proxy.now(BlackHole())              # every open connection

    It runs on the running loop, listens on 127.0.0.1, and leaves no task and no socket at its end.

    Args:
        target: the server: a `ws://` URL, whose path becomes a part of `url`, or host and port.
        history: how many connections `log` remembers.
        seed: of the jitter of `Delay`.

    Attributes:
        accepted: how many connections were accepted.

    Raises:
        ConfigurationError: if the target is something else; within TLS no fault can be placed.
    """

    def __init__(
        self, target: str | tuple[str, int], *, history: int = 1000, seed: int = 0
    ) -> None:
        self._target, self._path = _parse(target)
        self.accepted = 0
        self._random = random.Random(seed)
        self._log: deque[Passage] = deque(maxlen=history)
        self._queue: deque[tuple[Fault, ...]] = deque()
        self._always: tuple[Fault, ...] = ()
        self._relays: dict[asyncio.Task[None], Relay] = {}
        self._listener = ProxyListener(self._accept)
        self._watch = Watch()
        self._reopen: asyncio.TimerHandle | None = None
        self._running = False

    @property
    def url(self) -> str:
        """Where clients dial: the target's URL with the proxy's address."""
        return f"ws://127.0.0.1:{self._listener.port}{self._path}"

    @property
    def log(self) -> tuple[Passage, ...]:
        """The newest connections, open ones included, in the order in which they came."""
        return tuple(self._log)

    @property
    def live(self) -> tuple[Passage, ...]:
        """The connections whose sockets are open, those that a fault keeps open included."""
        return tuple(relay.passage for relay in self._relays.values())

    @property
    def listening(self) -> bool:
        """Whether the port is open, not refusing or dropping."""
        return self._listener.listening

    def next(self, *faults: Fault, times: int = 1) -> None:
        """Plan faults for one connection that comes; plans are used up in order.

        Args:
            faults: what happens to that connection; none lets it through unharmed.
            times: for how many connections.

        Raises:
            ConfigurationError: if the faults cannot be combined, `times` is less than 1, or a
                single connection cannot have them: a port does not tell whom it refused.
        """
        if any(isinstance(fault, RefuseConnection) for fault in faults):
            raise ConfigurationError(
                "a closed port cannot count who was refused; use always(RefuseConnection()) and "
                "always(None), now(RefuseConnection(seconds)), or next(Reset(handshake=True))"
            )
        if times < 1:
            raise ConfigurationError(
                f"times={times!r} is not a number of connections; use 1 or more"
            )
        _check(faults)
        self._queue.extend([faults] * times)

    def always(self, *faults: Fault | None) -> None:
        """Set the faults of all connections that come and have no plan of their own.

        Args:
            faults: what happens to them; `None` or nothing ends it, and opens the port again.

        Raises:
            ConfigurationError: if the faults cannot be combined.
        """
        real = tuple(fault for fault in faults if fault is not None)
        _check(real)
        self._always = real
        if self._running:
            self._settle_port()

    def now(self, fault: Fault) -> int:
        """Let a fault strike every open connection, or the port, now.

        Returns:
            How many connections it was applied to.

        Raises:
            ConfigurationError: if it is an answer to the opening handshake, or meant for the port
                of a proxy that does not run.
        """
        if isinstance(fault, RefuseConnection):
            if not self._running:
                raise ConfigurationError("the proxy is not running; enter it by `async with`")
            self._shut(fault)
            return 0
        if answers(fault):
            raise ConfigurationError(
                f"{type(fault).__name__} answers an upgrade; plan it by next() or always()"
            )
        relays = [relay for relay in self._relays.values() if relay.passage.ended is None]
        for relay in relays:
            relay.now(fault)
        return len(relays)

    async def wait_for(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        """Wait until a predicate holds; it is asked when a connection comes, moves bytes or ends.

        Raises:
            WaitTimeout: if it does not hold within `timeout` seconds.
        """
        await self._watch.wait_for(predicate, timeout)

    async def __aenter__(self) -> FaultProxy:
        self._running = True
        self._listener.open()  # also to get the port's number, if it is to be shut
        self._settle_port()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running = False
        self._keep_shut()
        await self._listener.close()
        tasks = list(self._relays)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watch.close()

    def _accept(self, client: Side) -> None:
        self.accepted += 1
        plan = self._queue.popleft() if self._queue else self._always
        passage = Passage(self.accepted, asyncio.get_running_loop().time(), plan)
        relay = Relay(client, passage, self._target, self._random, self._watch.changed)
        task = start_task(relay.run())
        self._log.append(passage)
        self._relays[task] = relay
        task.add_done_callback(self._forget)
        self._watch.changed()

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._relays[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "the proxy failed on a connection", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
        self._watch.changed()

    def _settle_port(self) -> None:
        self._keep_shut()
        if self._always and isinstance(self._always[0], RefuseConnection):
            self._shut(self._always[0])
        else:
            self._open()

    def _open(self) -> None:
        self._listener.open()
        self._watch.changed()

    def _shut(self, fault: RefuseConnection) -> None:
        self._keep_shut()
        if isinstance(fault, DropSyn):
            self._listener.drop()
        else:
            self._listener.refuse()
        if fault.seconds is not None:
            self._reopen = asyncio.get_running_loop().call_later(fault.seconds, self._open)

    def _keep_shut(self) -> None:
        if self._reopen is not None:
            self._reopen.cancel()
            self._reopen = None


def _check(faults: tuple[Fault, ...]) -> None:
    for fault in faults:
        if len(faults) > 1 and (answers(fault) or isinstance(fault, RefuseConnection)):
            raise ConfigurationError(f"{fault!r} stands alone; it cannot be combined")


def _parse(target: str | tuple[str, int]) -> tuple[tuple[str, int], str]:
    if not isinstance(target, str):
        return target, ""
    parts = urlsplit(target)
    if parts.scheme != "ws" or not parts.hostname:
        raise ConfigurationError(f"the target must be a ws:// URL, not {parts.scheme}://...")
    return (parts.hostname, parts.port or 80), parts.path.rstrip("/")
