"""The example for Centrifugo against a strict peer, written to the public text of the protocol."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.server import ServerConnection

from examples.protocols.centrifugo import Centrifugo
from heimdall_reactive import Status, StoreError, WebSocketStore, use_websocket
from tests.peers import peer
from tests.support import record

TOKEN = "long-lived"
RULES = {"close 3500-3999": "stop", "close 4500-4999": "stop"}
BAD_REQUEST, INVALID_TOKEN = 3501, 3500
FIELDS = {"channel", "token", "recover", "epoch", "offset", "positioned", "recoverable", "flag"}


class Service:
    """Closes with the code of the text on whatever is out of order; all its frames have lines."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.seen: list[list[str]] = []  # the commands of each session
        self.subscribed: set[str] = set()
        self.history: dict[str, list[Any]] = {}
        self.epoch = "one"
        self.pings = self.pongs = 0
        self.codes: list[int] = []

    async def __call__(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        self.seen.append([])
        self.subscribed, newest = set(), 0
        async for text in socket:
            replies: list[Any] = []
            for line in str(text).split("\n"):
                command = json.loads(line)
                if command == {} and self.pongs < self.pings:
                    self.pongs += 1
                    continue
                number, word = command.get("id", 0), next(iter(command.keys() - {"id"}), "")
                known = ("connect" in self.seen[-1]) != (word == "connect")
                if number <= newest or len(command) != 2 or not known:
                    await self.refuse(BAD_REQUEST)
                    return
                newest = number
                self.seen[-1].append(word)
                replies.append({"id": number, **await self.handle(word, command[word])})
            await self.say(*replies)

    async def refuse(self, code: int) -> None:
        self.codes.append(code)
        await self.sockets[-1].close(code)

    async def say(self, *replies: Any) -> None:
        if replies:
            await self.sockets[-1].send("\n".join(map(json.dumps, replies)))

    async def handle(self, word: str, what: Any) -> Any:
        match word, what:
            case "connect", {"token": "expired"}:
                return error(109, "token expired")
            case "connect", {"token": token}:
                if token != TOKEN:
                    await self.refuse(INVALID_TOKEN)
                return {"connect": {"client": "c", "version": "6", "ping": 25, "pong": True}}
            case "subscribe", {"channel": name} if what.keys() <= FIELDS:
                return self.subscribe(name, what)
            case "unsubscribe", {"channel": name} if name in self.subscribed:
                self.subscribed.discard(name)
                return {"unsubscribe": {}}
            case "rpc", {"method": "echo", "data": data}:
                return {"rpc": {"data": data}}
            case "rpc", _:
                return error(104, "method not found")
        await self.refuse(BAD_REQUEST)
        return {}

    def subscribe(self, name: str, what: Any) -> Any:
        if name == "secret":
            return error(103, "permission denied")
        if name in self.subscribed:
            return error(105, "already subscribed")
        self.subscribed.add(name)
        if name == "plain":
            return {"subscribe": {}}
        history = self.history.setdefault(name, [])
        reply: Any = {"recoverable": True, "epoch": self.epoch, "positioned": True}
        if history:
            reply["offset"] = len(history)  # JSON leaves zeros out
        if what.get("recover"):
            offset = what.get("offset", 0)
            recovered = what["epoch"] == self.epoch and offset <= len(history)
            reply |= {"was_recovering": True}
            if recovered:
                missed = self.publications(name, offset)
                reply |= {"recovered": True, **({"publications": missed} if missed else {})}
        return {"subscribe": reply}

    def publications(self, name: str, offset: int) -> list[Any]:
        history = self.history[name]
        return [{"data": history[n], "offset": n + 1} for n in range(offset, len(history))]

    async def publish(self, name: str, *values: Any) -> None:
        """Publish in one frame, to whom it concerns."""
        known = len(self.history.setdefault(name, []))
        self.history[name] += values
        if name in self.subscribed:
            pubs = self.publications(name, known)
            if name == "plain":
                pubs = [{"data": value} for value in values]
            await self.say(*({"push": {"channel": name, "pub": pub}} for pub in pubs))

    async def drop(self) -> None:
        socket = self.sockets[-1]
        self.subscribed.clear()
        socket.transport.abort()

    async def unsubscribe(self, name: str, code: int) -> None:
        self.subscribed.discard(name)
        await self.say({"push": {"channel": name, "unsubscribe": {"code": code, "reason": "r"}}})


def error(code: int, message: str) -> Any:
    return {"error": {"code": code, "message": message}}


def store_of(url: str, token: Any = TOKEN) -> WebSocketStore[Any]:
    options: Any = {"access_token": token, "reconnect_delay": 0.01, "reconnect_rules": RULES}
    return use_websocket(f"{url}/connection/websocket", protocol=Centrifugo(), **options)


async def test_channels_recover_over_drops_and_tell_a_gap_where_they_cannot() -> None:
    service = Service()
    async with peer(service) as url, store_of(url) as store:
        news, errors = record(store.channel("news")), record(store.errors)
        gaps = record(store.gaps)

        async def echo(value: Any) -> Any:
            what = {"rpc": {"method": "echo", "data": value}}
            return (await store.request(what, timeout=5))["rpc"]["data"]

        assert await echo("queued") == "queued"
        await service.publish("news", 1, 2)
        service.pings += 1
        await service.say({}, {"push": {"channel": "news", "join": {"info": {"user": "u"}}}})
        assert await echo("first") == "first"

        for session in (2, 3):
            await service.drop()
            await store.wait_for(lambda state: not state.is_connected, 5)
            await service.publish("news", session * 10, session * 10 + 1)
            await store.wait_for(lambda state, n=session: state.session == n, 5)  # type: ignore[misc]
            await echo("again")
        await service.publish("news", 40)
        await service.unsubscribe("news", 2500)  # "insufficient state": it subscribes again
        await service.publish("news", 41)
        for _ in range(2):  # the second goes out behind what the first has led to
            await echo("last")
        assert news == [1, 2, 20, 21, 30, 31, 40, 41]
        assert gaps == []

        service.epoch = "two"  # the server has lost its history
        service.history.clear()
        await service.drop()
        await store.wait_for(lambda state: state.session == 4, 5)
        await echo("behind")
        await service.publish("news", 50)
        await echo("behind")
        assert news[-1] == 50
        assert [gap.session for gap in gaps] == [4]
        assert {getattr(error, "state", error) for error in errors} <= {"in_doubt"}
    first = ["connect", "subscribe", "rpc"]
    assert service.seen[0] == [*first, "rpc"]
    assert service.seen[1] == first
    assert service.seen[2].count("subscribe") == 2
    assert (service.pongs, service.codes) == (1, [])


async def test_channels_end_and_fail_by_the_servers_word() -> None:
    service, ended = Service(), asyncio.Event()
    async with peer(service) as url, store_of(url) as store:
        plain: list[Any] = []
        store.channel("plain").subscribe(plain.append, on_completed=ended.set)
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        store.channel("secret").subscribe(on_error=failed.set_result)
        found = await asyncio.wait_for(failed, 5)
        assert isinstance(found, StoreError)
        assert "permission denied" in str(found)
        unknown = await store.request({"rpc": {"method": "none"}}, timeout=5)
        assert unknown["error"]["code"] == 104
        await service.publish("plain", 1)
        await service.drop()
        await store.wait_for(lambda state: state.session == 2, 5)
        await store.request({"rpc": {"method": "none"}}, timeout=5)
        await service.publish("plain", 2)
        await service.unsubscribe("plain", 2000)
        await asyncio.wait_for(ended.wait(), 5)
        assert plain == [1, 2]
        store.channel("news").subscribe().dispose()
        one = store.channel("other").subscribe()
        await store.request({"rpc": {"method": "none"}}, timeout=5)
        one.dispose()
        for _ in range(2):
            await store.request({"rpc": {"method": "none"}}, timeout=5)
        assert service.subscribed == set()
    assert service.codes == []


async def test_an_expired_token_is_asked_for_once_more_and_a_wrong_one_ends_it() -> None:
    service, tokens = Service(), iter(["expired", TOKEN, "wrong"])
    async with peer(service) as url, store_of(url, lambda: next(tokens)) as store:
        await store.wait_for(lambda state: state.session == 1, 5)
        await service.drop()
        state = await store.wait_for(lambda state: state.status is Status.FAILED, 5)
        assert state.close is not None
        assert state.close.code == INVALID_TOKEN
    assert service.codes == [INVALID_TOKEN]
