"""A WebSocket server whose messages have numbers: live only, or replayed from a number on."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets import ConnectionClosed
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve

__all__ = ["FeedServer"]


class FeedServer:
    """`/live/<channel>` sends what happens from now on, `/log/<channel>?from=N` all from N on.

    What clients send is noted; with `acks`, a JSON object with an `id` is answered by it.

    Args:
        port: 0 takes a free one.
        acks: answer what has an id.
    """

    def __init__(self, port: int = 0, acks: bool = False) -> None:
        self.paths: list[str] = []
        self.received: list[Any] = []
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.padding = ""
        self._acks = acks
        self._port = port
        self._server: Server | None = None
        self._open: defaultdict[str, set[ServerConnection]] = defaultdict(set)
        self._ticking: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    def clients(self, channel: str) -> int:
        return len(self._open[channel])

    def tell(self, channel: str, count: int = 1) -> None:
        """Send the next messages of a channel to everybody who listens."""
        for _ in range(count):
            self.counts[channel] += 1
            broadcast(self._open[channel], self.message(self.counts[channel]))

    def say(self, channel: str, text: str | bytes) -> None:
        """Send something else."""
        broadcast(self._open[channel], text)

    def message(self, number: int) -> str:
        return json.dumps({"seq": number, "value": number % 7, "pad": self.padding})

    def tick(self, channels: list[str], rate: float) -> None:
        """Send on each channel so many messages a second, from now on, by the clock."""
        self._ticking = asyncio.create_task(self._tick(channels, rate))

    async def stop_ticking(self) -> None:
        task, self._ticking = self._ticking, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def answer(self) -> None:
        """Begin to answer what has an `id`."""
        self._acks = True

    def drop(self, channel: str, count: int = 1_000) -> None:
        """Cut the connections of a channel, or so many of them, as a network would."""
        for connection in tuple(self._open[channel])[:count]:
            connection.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", self._port, compression=None, ping_interval=None,
            close_timeout=0.2,
        )  # fmt: skip
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        await self.stop_ticking()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _tick(self, channels: list[str], rate: float) -> None:
        loop = asyncio.get_running_loop()
        begun, sent = loop.time(), 0
        while True:
            due = int((loop.time() - begun) * rate)
            for channel in channels:
                self.tell(channel, due - sent)
            sent = due
            await asyncio.sleep(0.01)

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        parts = urlsplit(connection.request.path)
        channel = parts.path.rpartition("/")[2]
        begin = int(parse_qs(parts.query).get("from", ["0"])[0])
        if parts.path.startswith("/log/"):
            for number in range(max(1, begin), self.counts[channel] + 1):
                await connection.send(self.message(number))
        self._open[channel].add(connection)
        try:
            async for message in connection:
                await self._answer(connection, message)
        except ConnectionClosed:
            pass
        finally:
            self._open[channel].discard(connection)

    async def _answer(self, connection: ServerConnection, message: str | bytes) -> None:
        value = json.loads(message) if isinstance(message, str) else message
        self.received.append(value)
        if self._acks and isinstance(value, dict) and "id" in value:
            await connection.send(json.dumps({"ack": value["id"]}))
