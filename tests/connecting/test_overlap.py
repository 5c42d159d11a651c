"""`reconnect(overlap=True)`: the next session opens before this one ends."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from heimdall_reactive import (
    ChannelProtocol,
    ConnectionState,
    Gap,
    ProtocolSession,
    SessionProtocol,
    Status,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.testing import Refuse, ScriptedPeer
from tests.peers import peer, quick
from tests.support import fate, record, until
from tests.virtual import loop, steady_store_of, store_of

ASK = {"type": "Subscribe", "channel": "gps"}


@pytest.mark.heimdall_virtual_time
async def test_the_next_session_subscribes_and_writes_before_this_one_is_closed() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service) as store:
        old = await service.accepted()
        store.channel("gps").subscribe()
        await store.wait_connected()
        await loop().idle()
        connected, states = record(store.is_connected), record(store.state)
        seen, gaps = record(store.messages), record(store.gaps)
        store.reconnect(4000, "deploy", overlap=True)
        receipt = store.send("moves over")
        new = await service.accepted()
        new.send({"from": "new"})
        old.send({"from": "old"})
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert (old.close_code, old.close_reason) == (4000, "deploy")
        assert new.received[0] == ASK
        assert "moves over" in [*old.received, *new.received]
        assert seen == [{"from": "old"}, {"from": "new"}]
        assert (connected, gaps) == ([True], [])
        assert [(state.status, state.session) for state in states] == [
            ("connected", 1), ("connected", 2),
        ]  # fmt: skip
        assert fate(receipt) == "written"
        assert store.stats.reconnects == 1
        store.send("later")
        await loop().idle()
        assert new.received[-1] == "later"


@pytest.mark.heimdall_virtual_time
async def test_a_next_session_that_is_refused_changes_nothing_and_is_reported() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service) as store:
        await store.wait_connected()
        states, errors = record(store.state), record(store.errors)
        service.script(Refuse(503))
        store.reconnect(overlap=True)
        await loop().idle()
        assert len(states) == 1
        assert "could not open another session" in str(errors[0])
        assert "503" in str(errors[0])
        store.send("still here")
        await loop().idle()
        assert service.links[0].received == ["still here"]
        store.reconnect(overlap=True)
        await store.wait_for(lambda state: state.session == 2)


@pytest.mark.heimdall_virtual_time
async def test_another_users_session_never_overlaps() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service, access_token="a", principal="ann") as store:
        await store.wait_connected()
        states = record(store.state)
        store.set_access_token("b", principal="bob")
        store.reconnect(4001, "switch", overlap=True)
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert [state.status for state in states] == ["connected", "connecting", "connected"]
        assert service.links[0].close_code == 4001


@pytest.mark.heimdall_virtual_time
async def test_a_protocol_that_cannot_overlap_ends_its_session_first() -> None:
    class Single(SessionProtocol, overlaps=False):
        pass

    service = ScriptedPeer()
    async with steady_store_of(service, protocol=Single()) as store:
        await store.wait_connected()
        states = record(store.state)
        store.reconnect(4000, overlap=True)
        await store.wait_for(lambda state: state.session == 2)
        assert [state.status for state in states] == ["connected", "connecting", "connected"]
    assert SessionProtocol.overlaps


@pytest.mark.heimdall_virtual_time
async def test_a_session_that_is_lost_during_the_overlap_goes_on_with_the_attempt() -> None:
    class Slow(SessionProtocol):
        async def handshake(self, session: ProtocolSession) -> None:
            await asyncio.sleep(2.0)

    service = ScriptedPeer()
    async with steady_store_of(service, protocol=Slow()) as store:
        await store.wait_connected()
        states, gaps = record(store.state), record(store.gaps)
        store.reconnect(overlap=True)
        await asyncio.sleep(1.0)
        service.links[0].drop()
        await store.wait_for(lambda state: state.session == 2)
        assert [state.status for state in states] == ["connected", "connecting", "connected"]
        assert len(service.dials) == 2
        service.links[1].send({"n": 1})
        await loop().idle()
        assert [gap.session for gap in gaps] == [2]


@pytest.mark.heimdall_virtual_time
async def test_a_session_that_took_over_begins_a_new_row_of_failures() -> None:
    service = ScriptedPeer()
    async with store_of(service, reconnect_delay=1.0) as store:
        delays: list[float] = []

        def note(state: ConnectionState) -> None:
            if state.retry_at is not None:
                delays.append(state.retry_at - loop().wall())

        store.state.subscribe(note)
        for session in range(1, 5):
            await store.wait_for(lambda state, n=session: state.session == n)  # type: ignore[misc]
            if session == 3:
                store.reconnect(overlap=True)
                continue
            service.links[session - 1].drop()
        await store.wait_for(lambda state: state.session == 5)
        first, second, third = delays
        assert 1.0 <= first <= 1.2
        assert 2.0 <= second <= 2.4, "sessions that end before they are stable make it grow"
        assert 1.0 <= third <= 1.2, "but a planned one is none of them"


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize("command", ["disconnect", "close"])
@pytest.mark.parametrize("after", [0.0, 1.0, 2.0, 2.001, 3.0])
async def test_a_command_ends_whatever_is_open(command: str, after: float) -> None:
    class Slow(SessionProtocol):
        async def handshake(self, session: ProtocolSession) -> None:
            await asyncio.sleep(2.0)

    service = ScriptedPeer()
    async with steady_store_of(service, protocol=Slow()) as store:
        await store.wait_connected()
        store.reconnect(overlap=True)
        await asyncio.sleep(after)
        if command == "close":
            await store.aclose()
        else:
            store.disconnect()
            await store.wait_for(lambda state: state.status is Status.DISCONNECTED)
        await asyncio.sleep(20.0)
        assert [link for link in service.links if link.live] == []
        assert store.state.value.status is Status.DISCONNECTED


@pytest.mark.heimdall_virtual_time
async def test_a_peer_that_never_closes_is_read_for_the_close_timeout_only() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service, close_timeout=3.0) as store:
        await store.wait_connected()
        seen, gaps = record(store.messages), record(store.gaps)
        service.links[0].mute_close()
        began = loop().time()
        store.reconnect(overlap=True)
        new = await service.accepted()
        new.send({"waits": 1})
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert 2.9 <= loop().time() - began <= 3.2
        assert seen == [{"waits": 1}]
        assert [gap.session for gap in gaps] == [2]


@pytest.mark.heimdall_virtual_time
async def test_the_gap_after_a_disconnect_during_the_overlap_reaches_back_to_its_begin() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service, close_timeout=3.0) as store:
        await store.wait_connected()
        gaps = record(store.gaps)
        service.links[0].mute_close()  # it is read, and what it may still bring is dropped
        store.reconnect(overlap=True)
        new = await service.accepted()
        await loop().idle()
        handed_over = loop().wall()
        await asyncio.sleep(1.0)
        new.send({"n": 1})
        store.disconnect()
        await store.wait_for(lambda state: state.status is Status.DISCONNECTED)
        await asyncio.sleep(1.0)
        store.connect()
        await store.wait_connected()
        service.links[2].send({"n": 2})
        await loop().idle()
        assert [gap.since for gap in gaps] == [pytest.approx(handed_over, abs=0.01)]


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize(("code", "told"), [(None, 0), (1000, 0), (1012, 1), (1008, 1)])
async def test_a_close_of_the_old_session_that_is_no_answer_tells_a_gap(
    code: int | None, told: int
) -> None:
    service = ScriptedPeer()
    async with steady_store_of(service, close_timeout=3.0) as store:
        await store.wait_connected()
        gaps = record(store.gaps)
        old = service.links[0]
        if code is not None:
            old.mute_close()  # ours is not answered: its own is on the way
        store.reconnect(overlap=True)
        await service.accepted()
        await loop().idle()
        if code is not None:
            old.close(code)
        await store.wait_for(lambda state: state.session == 2)
        await loop().idle()
        assert len(gaps) == told


async def test_a_blocked_consumer_holds_the_session_that_is_read() -> None:
    sockets: list[ServerConnection] = []

    async def feed(socket: ServerConnection) -> None:
        sockets.append(socket)
        for n in range(50):
            await socket.send(f'"{len(sockets)}.{n}"')
        await socket.wait_closed()

    async with peer(feed) as url, quick(url) as store:
        stream = store.stream(maxsize=2, overflow="block")
        await store.wait_connected(5)
        got = [await anext(stream)]
        store.reconnect(overlap=True)
        while len(got) < 100:
            got.append(await asyncio.wait_for(anext(stream), 5))
        assert got == [f"{s}.{n}" for s in (1, 2) for n in range(50)]
        assert store.state.value.session == 2


# A feed with numbers, slow logins, and planned reconnections all the time


class Feed:
    """Sends 1, 2, 3 ... to all who have logged in and subscribed, and knows when."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.sockets: set[ServerConnection] = set()
        self.all: set[ServerConnection] = set()
        self.sent_at: list[float] = []

    async def __call__(self, socket: ServerConnection) -> None:
        self.all.add(socket)
        try:
            await socket.recv()
            await asyncio.sleep(self.random.random() * 0.02)
            await socket.send('{"welcome": true}')
            async for text in socket:
                if json.loads(text) == {"join": "feed"}:
                    self.sockets.add(socket)
        except ConnectionClosed:
            pass
        finally:
            self.sockets.discard(socket)
            self.all.discard(socket)

    async def run(self) -> None:
        while True:
            self.sent_at.append(time.time())
            for socket in tuple(self.sockets):
                try:
                    await socket.send(json.dumps({"feed": len(self.sent_at)}))
                except ConnectionClosed:
                    self.sockets.discard(socket)
            await asyncio.sleep(0.001)

    def drop_one(self) -> None:
        if self.all:
            self.random.choice(sorted(self.all, key=id)).transport.abort()


class Numbered(SessionProtocol):
    """Logs in; a number that was delivered before is seen by nobody."""

    def __init__(self) -> None:
        self.newest = 0
        self.channels = ChannelProtocol(
            subscribe=lambda name: {"join": name},
            unsubscribe=lambda name: {"leave": name},
            match=lambda message: ("feed", message["feed"]) if "feed" in message else None,
            json_text=False,
        )

    async def handshake(self, session: ProtocolSession) -> None:
        session.send({"login": session.number})
        await session.recv(lambda message: "welcome" in message)

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        number = envelope["feed"]
        if number <= self.newest:
            return None
        self.newest = number
        return envelope


async def feed_store(url: str) -> WebSocketStore[Any]:
    options: Any = {"reconnect_delay": 0.01, "max_reconnect_attempts": None}
    store = use_websocket(url, protocol=Numbered(), message_type=Any, **options)
    store.channel("feed").subscribe()
    await store.wait_connected(5)
    return store


async def test_200_planned_reconnections_lose_nothing_repeat_nothing_and_keep_the_order() -> None:
    feed = Feed(1)
    async with peer(feed) as url:
        running = asyncio.create_task(feed.run())
        async with await feed_store(url) as store:
            numbers = [m["feed"] async for m in _some(store, 1)]
            got, gaps = record(store.messages), record(store.gaps)
            connected = record(store.is_connected)
            for session in range(2, 202):
                store.reconnect(4000, "again", overlap=True)
                await store.wait_for(lambda s, n=session: s.session == n, 10)  # type: ignore[misc]
            numbers += [message["feed"] for message in got]
            assert len(numbers) > 200
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert (connected, gaps) == ([True], [])
        running.cancel()
        await asyncio.wait({running})


async def _some(store: WebSocketStore[Any], count: int) -> AsyncIterator[Any]:
    stream = store.stream(maxsize=10_000)
    for _ in range(count):
        yield await anext(stream)
    await stream.aclose()


async def test_what_is_lost_where_sockets_are_dropped_at_random_is_told_as_a_gap() -> None:
    feed = Feed(2)
    async with peer(feed) as url:
        running = asyncio.create_task(feed.run())
        async with await feed_store(url) as store:
            got: list[int] = []
            gaps: list[Gap] = record(store.gaps)
            store.messages.subscribe(lambda message: got.append(message["feed"]))
            for turn in range(100):
                before = len(got)
                store.reconnect(4000, "again", overlap=True)
                await asyncio.sleep(feed.random.random() * 0.03)
                feed.drop_one()
                await store.wait_connected(10)
                if turn % 10 == 0:
                    await until(store, lambda n=before: len(got) > n)  # type: ignore[misc]
            await asyncio.sleep(0.1)
            assert got == sorted(set(got))
            lost = set(range(got[0], got[-1])) - set(got)
            assert gaps
            assert [n for n in lost if not _told(feed.sent_at[n - 1], gaps)] == []
        running.cancel()
        await asyncio.wait({running})


def _told(sent_at: float, gaps: list[Gap]) -> bool:
    """Return whether a gap covers it, with the overlap that `Gap` asks for."""
    return any(gap.since - 0.5 <= sent_at <= gap.until + 0.5 for gap in gaps)
