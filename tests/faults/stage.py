"""What both halves of the fault matrix share: a store that meets a fault, and what was seen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from heimdall_reactive import ConnectionState, Status, StoreError, WebSocketStore
from tests.peers import quick
from tests.socket_peer import SocketLink, SocketPeer
from tests.support import until

RESTING = (Status.DISCONNECTED, Status.FAILED)
SLACK = 5.0  # seconds for what takes milliseconds; timers that must not be the end take more


@dataclass
class Stage:
    """One store, and the peer that is healthy but for the fault."""

    peer: SocketPeer
    store: WebSocketStore[Any]
    states: list[tuple[float, ConnectionState]] = field(default_factory=list)
    errors: list[StoreError] = field(default_factory=list)

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.store.errors.subscribe(self.errors.append)
        self.store.state.subscribe(lambda state: self.states.append((loop.time(), state)))

    @property
    def link(self) -> SocketLink:
        """The peer's side of the newest connection."""
        return self.peer.links[-1]

    @property
    def path(self) -> str:
        """Every status so far."""
        return ">".join(state.status for _, state in self.states)

    @property
    def reported(self) -> list[str]:
        """The names of what came on `errors`."""
        return [type(error).__name__ for error in self.errors]

    async def settles(self, path: str) -> None:
        """Wait for the last status of a path."""
        with contextlib.suppress(TimeoutError):
            await until(self.store, lambda: self.path == path)
        assert self.path == path

    async def converses(self) -> None:
        """Send and receive, also behind what was queued; the connection must survive it."""
        link, session = self.link, self.store.state.value.session
        self.store.send("after")
        await link.wait_for(lambda: "after" in link.received)
        link.send(["back"])
        await until(self.store, lambda: self.store.last_message.value == ["back"])
        assert self.store.state.value.session == session


@contextlib.asynccontextmanager
async def stage(peer: SocketPeer, url: str, **options: Any) -> AsyncIterator[Stage]:
    """Make a store that dials a URL, and close it in time."""
    options = {"close_timeout": 0.2, "open_timeout": 60.0, **options}
    async with quick(url, **options) as store:
        yield Stage(peer, store)
