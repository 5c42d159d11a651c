"""The example for an exchange feed against a strict peer."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from examples.protocols.exchange import Exchange
from examples.protocols.order_book import Book, Change
from heimdall_reactive import StoreError, WebSocketStore, use_websocket
from heimdall_reactive.testing import Link, ScriptedPeer
from tests.peers import peer
from tests.support import record
from tests.virtual import URL

SYMBOLS = ("BTC-USD", "ETH-USD")
Levels = dict[str, str]  # sizes by prices, both with the digits that go out


class Feed:
    """Closes with a code of its own on whatever comes before the welcome, twice or out of order."""

    def __init__(self) -> None:
        self.url = ""
        self.sockets: list[ServerConnection] = []
        self.keys: list[str] = []
        self.used: list[str] = []
        self.asked: list[list[Any]] = []  # what each session asked for
        self.topics: set[str] = set()  # subscribed by the newest session
        self.bids: dict[str, Levels] = {symbol: {} for symbol in SYMBOLS}
        self.seq: dict[str, int] = dict.fromkeys(SYMBOLS, 0)
        self.codes: list[int] = []

    async def listen(self) -> str:
        self.keys.append(f"key-{len(self.keys)}")
        return f"{self.url}/feed?token={self.keys[-1]}"

    def check(self, socket: ServerConnection, request: Request) -> Response | None:
        key = request.path.partition("=")[2]
        if key not in self.keys or key in self.used:
            self.codes.append(HTTPStatus.GONE)
            return socket.respond(HTTPStatus.GONE, "one key, one connection")
        self.used.append(key)
        return None

    async def __call__(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        self.asked.append([])
        self.topics, welcomed, newest = set(), asyncio.Event(), 0

        async def welcome() -> None:
            await (await socket.ping())  # behind its answer nothing is under way
            welcomed.set()
            await socket.send('{"type": "welcome", "pingInterval": 60000}')

        async with asyncio.TaskGroup() as group:
            group.create_task(welcome())
            with suppress(ConnectionClosed):
                async for text in socket:
                    message = json.loads(text)
                    if not welcomed.is_set():
                        await self.refuse(4000)
                    elif message["id"] <= newest:
                        await self.refuse(4001)
                    newest = message["id"]
                    await self.handle(message)

    async def handle(self, message: Any) -> None:
        if message["type"] != "ping":
            self.asked[-1].append((message["type"], *message["topics"]))
        match message:
            case {"id": number, "type": "ping"}:
                await self.say({"id": number, "type": "pong"})
            case {"id": number, "type": "subscribe", "topics": topics}:
                for topic in topics:
                    await self.subscribe(number, topic)
            case {"id": number, "type": "unsubscribe", "topics": topics}:
                if not self.topics.issuperset(topics):
                    await self.refuse(4003)
                self.topics.difference_update(topics)
                await self.say({"id": number, "type": "ack"})
            case _:
                await self.refuse(4004)

    async def subscribe(self, number: int, topic: str) -> None:
        if topic in self.topics:
            await self.refuse(4002)
        if topic not in SYMBOLS:
            await self.say({"id": number, "type": "error", "code": 404, "topic": topic})
            return
        self.topics.add(topic)
        await self.say({"id": number, "type": "ack"})
        await self.tell(topic, "snapshot", -1, self.bids[topic])

    async def refuse(self, code: int) -> None:
        self.codes.append(code)
        await self.sockets[-1].close(code)

    async def say(self, message: Any) -> None:
        await self.sockets[-1].send(json.dumps(message))

    async def tell(self, topic: str, action: str, prev: int, bids: Levels) -> None:
        message = {"type": "message", "topic": topic, "action": action, "prev": prev, "asks": []}
        levels = ",".join(f"[{price},{size}]" for price, size in bids.items())
        text = json.dumps({**message, "seq": self.seq[topic], "bids": []})
        await self.sockets[-1].send(text.replace('"bids": []', f'"bids": [{levels}]'))

    async def change(self, topic: str, bids: Levels, lost: bool = False) -> None:
        prev, self.seq[topic] = self.seq[topic], self.seq[topic] + 1
        self.bids[topic] |= bids
        for price in [price for price, size in bids.items() if size == "0"]:
            del self.bids[topic][price]
        if not lost and topic in self.topics:
            await self.tell(topic, "update", prev, bids)


async def test_books_have_every_digit_and_no_hole_over_drops_and_planned_restarts() -> None:
    feed, (btc, eth) = Feed(), SYMBOLS
    async with peer(feed, process_request=feed.check) as feed.url:
        options: Any = {"message_type": Any, "reconnect_delay": 0.01}
        async with use_websocket(feed.url, protocol=Exchange(feed.listen), **options) as store:
            books = {symbol: Book(store, symbol) for symbol in SYMBOLS}
            errors = record(store.errors)

            async def agree() -> None:
                for _ in range(2):  # the second goes out behind what the first has led to
                    await store.request({"type": "ping"}, timeout=5)
                for symbol, book in books.items():
                    bids = {str(price): str(size) for price, size in book.bids.items()}
                    assert (book.seq, bids) == (feed.seq[symbol], feed.bids[symbol])

            await feed.change(btc, {"64321.10": "0.1000000000000000055"}, lost=True)
            for symbol, book in books.items():
                store.channel(symbol, Change).subscribe(book.take)
            await agree()
            await feed.change(btc, {"64321.10": "0.00123400", "64320": "1.50"})
            await feed.change(eth, {"3000.00": "12345678901234567890.12"})
            await feed.change(btc, {"64320": "0"})
            await agree()
            await feed.change(btc, {"1.0": "1.0"}, lost=True)  # a hole
            await feed.change(btc, {"2.0": "2.0"})
            await feed.change(btc, {"3.0": "3.0"})
            await agree()
            assert books[btc].bids[Decimal("3.0")] == 3

            feed.sockets[-1].transport.abort()
            await store.wait_for(lambda state: not state.is_connected, 5)
            await feed.change(eth, {"4.0": "4.0"}, lost=True)
            await agree()
            await feed.say({"type": "restart"})
            await store.wait_for(lambda state: state.session == 3, 5)
            await feed.change(eth, {"5.0": "5.0"})
            await agree()

            refused: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
            store.channel("NONE").subscribe(on_error=refused.set_result)
            assert isinstance(await asyncio.wait_for(refused, 5), StoreError)
            assert {getattr(error, "state", error) for error in errors} <= {"in_doubt"}
    both = ("subscribe", *SYMBOLS)
    again = [("unsubscribe", btc), ("subscribe", btc)]
    assert feed.asked == [[both, *again], [both], [both, ("subscribe", "NONE")]]
    assert (feed.used, feed.codes) == (["key-0", "key-1", "key-2"], [])


@pytest.mark.heimdall_virtual_time
async def test_more_books_than_the_exchange_takes_at_once_are_asked_for_one_after_another() -> None:
    times: list[float] = []

    def limit(link: Link, message: Any) -> None:
        now = asyncio.get_running_loop().time()
        times.append(now)
        if sum(now - 1 < time for time in times) > 5:
            link.close(1008, "too many requests")

    async def listen() -> str:
        return URL

    peer = ScriptedPeer(on_message=limit)
    store: WebSocketStore[Any] = use_websocket(
        URL, protocol=Exchange(listen), transport=peer, message_type=Any, send_rate=(5, 1.0)
    )
    async with store:
        link = await peer.accepted()
        link.send({"type": "welcome", "pingInterval": 18000})
        await store.wait_connected()
        for number in range(12):
            store.channel(f"S{number}").subscribe()
        await asyncio.sleep(5)
        assert [message["topics"] for message in link.received] == [[f"S{n}"] for n in range(12)]
        assert [message["id"] for message in link.received] == list(range(1, 13))
        assert store.state.value.session == 1
