"""The two ends: a server that numbers what it sends, and clients that number what they send.

Each is a process of its own, told by lines on its input and answering in JSON: `heard` (when the
newest message was published), `settle` (send no more, and wait for receipts), and `report`.
All times are of the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from contextlib import suppress
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from heimdall_reactive import Receipt, SendError, WaitTimeout, use_websocket

__all__ = ["PORT", "RATE"]

PORT: Final = 8765
RATE: Final = 10  # messages a second, each way
PATIENCE: Final = 60.0  # seconds for the last receipts


class End:
    """What answers the lines.

    Attributes:
        heard: when, number, connection, and when it was published, of each message.
        states: when it was connected, and when it was not any more.
        gaps: after how many messages each was told.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[float, int, int, float]] = []
        self.states: list[tuple[float, bool]] = []
        self.gaps: list[int] = []
        self.settled = asyncio.Event()

    def hear(self, text: str) -> None:
        """Note a message."""
        message = json.loads(text)
        self.heard.append((time.monotonic(), message["n"], message["connection"], message["at"]))

    def move(self, connected: bool) -> None:
        """Note whether it is connected."""
        self.states.append((time.monotonic(), connected))

    def newest(self) -> float:
        """Return when the newest message was published, or connection opened."""
        return self.heard[-1][3] if self.heard else 0.0

    async def settle(self) -> None:
        """Send no more."""
        self.settled.set()

    def report(self) -> dict[str, Any]:
        """Return what happened."""
        return {"heard": self.heard, "states": self.states, "gaps": self.gaps}

    async def answer(self) -> None:
        """Answer until the input ends."""
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            match line.strip():
                case "settle":
                    await self.settle()
                    answer: Any = "settled"
                case "report":
                    answer = self.report()
                case _:
                    answer = self.newest()
            print(json.dumps(answer), flush=True)


class Server(End):
    """Notes what it reads, and sends a number to everybody."""

    def __init__(self) -> None:
        super().__init__()
        self._read: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self._open: dict[ServerConnection, int] = {}
        self._opened = 0

    def report(self) -> dict[str, Any]:
        """Return connection and number of each message, by client."""
        return self._read

    async def run(self, host: str) -> None:
        """Serve until the input ends."""
        async with serve(self._take, host, PORT):
            publishing = asyncio.create_task(self._publish())
            print("ready", flush=True)
            await self.answer()
            publishing.cancel()

    async def _publish(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(1 / RATE)
            number += 1
            for connection, its in self._open.items():
                words = {"n": number, "connection": its, "at": time.monotonic()}
                broadcast([connection], json.dumps(words))

    async def _take(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self._opened += 1
        its = self._open[connection] = self._opened
        read = self._read[connection.request.path.strip("/")]
        try:
            async for text in connection:
                read.append((its, int(text)))
        except ConnectionClosed:
            pass
        finally:
            del self._open[connection]


class StoreClient(End):
    """A store of this library."""

    def __init__(self) -> None:
        super().__init__()
        self._receipts: list[Receipt] = []

    async def run(self, url: str, options: dict[str, Any]) -> None:
        """Send and hear until the input ends."""
        store = use_websocket(url, message_type=str, **options)
        store.is_connected.subscribe(self.move)
        store.messages.subscribe(self.hear)
        store.gaps.subscribe(lambda _: self.gaps.append(len(self.heard)))
        async with store:
            sending = asyncio.create_task(self._send(store))
            print("ready", flush=True)
            await self.answer()
            sending.cancel()

    async def settle(self) -> None:
        """Send no more, and wait for the ends of the receipts."""
        await super().settle()
        open_ = [each for each in self._receipts if each.state in ("queued", "written")]
        waiting = [asyncio.ensure_future(_end(receipt)) for receipt in open_]
        if waiting:
            await asyncio.wait(waiting)

    def report(self) -> dict[str, Any]:
        """Return what happened."""
        return {**super().report(), "sends": [receipt.state for receipt in self._receipts]}

    async def _send(self, store: Any) -> None:
        while not self.settled.is_set():
            self._receipts.append(store.send(str(len(self._receipts))))
            await asyncio.sleep(1 / RATE)


async def _end(receipt: Receipt) -> None:
    with suppress(SendError, WaitTimeout):
        await receipt.delivered(PATIENCE)


class RawClient(End):
    """`websockets` with its own reconnection, as its documentation shows it."""

    def __init__(self) -> None:
        super().__init__()
        self._sends: list[str] = []
        self._connection: Any = None

    async def run(self, url: str, options: dict[str, Any]) -> None:
        """Send and hear until the input ends."""
        work = [asyncio.create_task(self._stay(url, options)), asyncio.create_task(self._send())]
        print("ready", flush=True)
        await self.answer()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)

    def report(self) -> dict[str, Any]:
        """Return what happened."""
        return {**super().report(), "sends": self._sends}

    async def _stay(self, url: str, options: dict[str, Any]) -> None:
        async for connection in connect(url, **options):
            self._connection = connection
            self.move(True)
            with suppress(ConnectionClosed):
                async for text in connection:
                    self.hear(str(text))
            self._connection = None
            self.move(False)

    async def _send(self) -> None:
        while not self.settled.is_set():
            number = len(self._sends)
            self._sends.append("rejected")
            if self._connection is not None:
                with suppress(ConnectionClosed):
                    await self._connection.send(str(number))
                    self._sends[number] = "written"
            await asyncio.sleep(1 / RATE)


def main(kind: str, where: str, options: str) -> None:
    """Be one of the ends."""
    match kind:
        case "server":
            asyncio.run(Server().run(where))
        case "store":
            asyncio.run(StoreClient().run(where, json.loads(options)))
        case _:
            asyncio.run(RawClient().run(where, json.loads(options)))


if __name__ == "__main__":
    main(*sys.argv[1:4])
