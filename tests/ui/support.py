"""What the tests of the bindings share: a server in its own thread, bursts, observers counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.connecting.runtime import LoopOption
from heimdall_reactive.devserver import DevServer, serve_in_thread

BURST: Final = 20_000


def observers(store: WebSocketStore[Any]) -> int:
    """Count who observes a store."""
    sources: tuple[Any, ...] = (
        store.state, store.is_connected, store.last_message, store.latency, store.transitions,
        store.errors, store.gaps, store.send, store.connect, store.disconnect,
    )  # fmt: skip
    return sum(len(source._records) for source in sources)


class Stage:
    """A server with its own thread, and what a test does to it.

    Attributes:
        server: the embedded server; it takes connections without a token.
    """

    def __init__(self, server: DevServer) -> None:
        self.server = server

    def store(self, loop: LoopOption = "thread", **options: Any) -> WebSocketStore[Any]:
        """Return a store that reconnects fast; whoever takes it closes it."""
        options = {"reconnect_delay": 0.2, "max_reconnect_attempts": None, **options}
        return use_websocket(f"{self.server.url}/v1/ws", loop=loop, **options)

    def say(self, n: int) -> None:
        """Send `{"n": n}` to every client."""
        self.server.send_raw('{"n":%d}' % n)  # noqa: UP031 - braces

    def burst(self, count: int = BURST) -> None:
        """Send `{"n": 0}` to `{"n": count - 1}` as fast as the server can."""

        async def send() -> None:
            for n in range(count):
                self.say(n)

        self.server.call(send())

    def go_offline(self, store: WebSocketStore[Any], dials: int = 2) -> None:
        """Drop every connection, and refuse the next dials, so that offline can be seen."""
        self.server.refuse(503, times=dials)
        self.server.drop()


@contextmanager
def served() -> Iterator[Stage]:
    """Run a server for the length of a block."""
    with serve_in_thread(require_token=False) as server:
        yield Stage(server)


def wait_until(condition: Callable[[], bool], turn: Callable[[], object], timeout: float) -> None:
    """Turn a user interface's own loop until a condition holds.

    Raises:
        TimeoutError: it did not, in `timeout` seconds.
    """
    until = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {timeout} s")
        turn()
