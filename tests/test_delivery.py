"""Receipts to their end: delivered, in doubt, sent again."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Hashable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from heimdall_reactive import (
    ProtocolSession,
    RequestLost,
    SendError,
    SessionProtocol,
    Status,
    WaitTimeout,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.devserver import DevServer
from heimdall_reactive.testing import Accept, FaultProxy, Link, Reset, ScriptedPeer, Unreachable
from tests.peers import peer, quick, raw_peer
from tests.support import record
from tests.virtual import loop, steady_store_of

TOKEN = "demo-token"
VIRTUAL = pytest.mark.heimdall_virtual_time


async def keep(socket: ServerConnection) -> None:
    async for _ in socket:
        pass


async def test_a_pong_proves_a_send() -> None:
    async with peer(keep) as url, quick(url) as store:
        receipt = await store.send("hello")
        assert await receipt.delivered(timeout=5) is receipt
        assert receipt.state == "delivered"
        assert (store.stats.delivered, store.stats.in_doubt) == (1, 0)


async def test_a_thread_waits_for_the_proof() -> None:
    async with peer(keep) as url:

        def script() -> str:
            with use_websocket(url, loop="thread") as store:
                receipt = store.send("hello")
                return receipt.delivered().result(5).state

        assert await asyncio.to_thread(script) == "delivered"


@VIRTUAL
async def test_nobody_is_asked_for_a_proof_that_nobody_waits_for() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service, ping_interval=None) as store:
        await store.wait_connected()
        receipts = [store.send(n) for n in range(3)]
        await asyncio.sleep(60)
        assert {receipt.state for receipt in receipts} == {"written"}
        assert store.latency.value is None  # no ping, no round trip
        await receipts[1].delivered()
        assert [receipt.state for receipt in receipts] == ["delivered"] * 3


@VIRTUAL
async def test_a_wait_that_takes_too_long_leaves_the_receipt_as_it_is() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service, ping_interval=None) as store:
        await store.wait_connected()
        service.links[0].silence()
        receipt = await store.send("hello")
        with pytest.raises(WaitTimeout, match="no proof of delivery within 5 s"):
            await receipt.delivered(timeout=5)
        await asyncio.sleep(600)
        assert (receipt.state, store.connected) == ("written", True)


@VIRTUAL
async def test_what_is_not_proved_when_the_connection_is_lost_is_in_doubt_and_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = ScriptedPeer()
    async with steady_store_of(service) as store:
        await store.wait_connected()
        await loop().idle()  # the first ping was answered
        proved = store.send(0)
        await proved.delivered()
        errors, order = record(store.errors), list[Any]()
        service.links[0].silence()
        receipts = [store.send(n) for n in (1, 2, 3)]
        store.state.subscribe(lambda state: order.append((state.status, receipts[0].state)))
        await loop().idle()
        caplog.clear()
        waits = receipts[0].delivered()
        service.links[0].drop()
        await store.wait_for(lambda state: state.status is Status.WAITING)
        assert order[-1] == (Status.WAITING, "in_doubt")  # in the same turn
        assert [receipt.state for receipt in receipts] == ["in_doubt"] * 3
        assert proved.state == "delivered"
        with pytest.raises(SendError) as raised:
            await waits
        assert raised.value.state == "in_doubt"
        assert [str(error).split(":")[0] for error in errors] == ["3 messages may not have arrived"]
        assert len([line for line in caplog.messages if "may not have arrived" in line]) == 1
        assert store.stats.in_doubt == 3


@pytest.mark.parametrize("end", ["disconnect", "aclose", "overlap"])
async def test_a_send_before_an_end_by_us_has_a_fate(end: str) -> None:
    async with peer(keep) as url, quick(url) as store:
        await store.wait_connected(5)
        receipts = [store.send(n) for n in range(100)]
        if end == "overlap":
            store.reconnect(overlap=True)
            await store.wait_for(lambda state: state.session == 2, 5)
        elif end == "disconnect":
            await receipts[-1]
            store.disconnect()
            await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 5)
        else:
            await receipts[-1]
            await store.aclose()
        assert {receipt.state for receipt in receipts} == {"delivered"}


async def test_a_peer_that_was_given_up_gets_nothing_more() -> None:
    """`SO_LINGER` with 0 seconds: what its host had not taken yet is not repeated."""
    reset = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        sock = writer.get_extra_info("socket")
        while _is_established(sock):  # noqa: ASYNC110 - it does not say when it is reset
            await asyncio.sleep(0.01)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        try:
            while await reader.read(2**20):
                pass
        except ConnectionResetError:
            reset.set()

    async with raw_peer(deaf) as url, quick(url, ping_timeout=0.3) as store:
        receipt = store.send(b"x" * 8_000_000)
        await store.wait_for(lambda state: state.status is Status.WAITING, 10)
        assert receipt.state == "in_doubt"
        await asyncio.wait_for(reset.wait(), 5)


def _is_established(sock: Any) -> bool:
    state: int = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state == 1  # TCP_ESTABLISHED of Linux


# resend=True


@VIRTUAL
async def test_what_is_in_doubt_is_sent_again_first_and_in_order() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service, resend=True) as store:
        await store.wait_connected()
        await (proved := store.send(0)).delivered()
        service.links[0].silence()
        receipts = [store.send(n) for n in (1, 2)]
        await loop().idle()
        service.links[0].drop()
        await store.wait_for(lambda state: state.status is Status.WAITING)
        assert [receipt.state for receipt in receipts] == ["queued", "queued"]
        later = store.send(3)
        await store.wait_for(lambda state: state.session == 2)
        await later.delivered()
        assert service.links[1].received == [1, 2, 3]
        assert [receipt.attempts for receipt in (proved, *receipts, later)] == [1, 2, 2, 1]
        assert {receipt.state for receipt in receipts} == {"delivered"}
        stats = store.stats
        assert (stats.resent, stats.in_doubt, stats.delivered) == (2, 0, 4)


@VIRTUAL
@pytest.mark.parametrize("reason", ["disconnect", "another user", "too late"])
async def test_what_is_not_sent_again_after_all_stays_in_doubt(reason: str) -> None:
    service = ScriptedPeer()
    options: Any = {"resend": True, "access_token": "a", "principal": "ann", "send_ttl": 5.0}
    async with steady_store_of(service, **options) as store:
        await store.wait_connected()
        service.links[0].silence()
        receipt = await store.send("of ann")
        wait = receipt.delivered()
        service.links[0].drop()
        await store.wait_for(lambda state: state.status is Status.WAITING)
        assert [receipt.state] == ["queued"]
        if reason == "disconnect":
            store.disconnect()
        elif reason == "another user":
            store.set_access_token("b", principal="bob")
            store.connect()
        else:
            service.always(Unreachable())
        with pytest.raises(SendError, match="may have arrived"):
            await wait
        assert receipt.state == "in_doubt"
        assert store.stats.in_doubt == 1
        await asyncio.sleep(5)
        assert all("of ann" not in link.received for link in service.links[1:])


@VIRTUAL
async def test_what_is_in_doubt_at_a_disconnect_is_not_sent_by_a_later_connection() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service, resend=True, close_timeout=1.0) as store:
        await store.wait_connected()
        service.links[0].silence()
        receipt = await store.send("before")
        wait = receipt.delivered()
        store.disconnect()
        later = store.send("after")
        with pytest.raises(SendError, match=r"disconnect.* may have arrived"):
            await wait
        assert (receipt.state, later.state) == ("in_doubt", "queued")
        assert store.state.value.status is Status.DISCONNECTED
        store.connect()
        await later.delivered()
        assert service.links[1].received == ["after"]
        assert (store.stats.in_doubt, store.stats.queued) == (1, 0)


@VIRTUAL
async def test_a_disconnect_also_drops_what_a_session_that_is_replaced_has_in_doubt() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service, resend=True, close_timeout=1.0) as store:
        await store.wait_connected()
        service.links[0].silence()
        receipt = await store.send("before")
        store.reconnect(overlap=True)
        await service.accepted()
        await service.accepted()
        await loop().idle()  # the old one is to be read to its end, and does not answer
        assert store.connected
        store.disconnect()
        await store.wait_for(lambda state: state.status is Status.DISCONNECTED)
        assert receipt.state == "in_doubt"
        store.connect()
        await store.wait_connected()
        assert [link.received for link in service.links[1:]] == [[], []]


# Answers of requests


class Correlated(SessionProtocol):
    """Messages with ids, of which the server answers some."""

    def correlate(self, value: Any) -> Hashable | None:
        number: Hashable = value.get("id")
        return number


def has_id(number: int) -> Callable[[Any], bool]:
    return lambda message: bool(message.get("id") == number)


def answering(link: Link, message: Any) -> None:
    if "id" in message:
        link.send(message)


async def doubted(store: WebSocketStore[Any], service: ScriptedPeer) -> int:
    """Return how many sends are in doubt after a drop."""
    service.links[-1].drop()
    await store.wait_for(lambda state: not state.is_connected)
    return store.stats.in_doubt


@VIRTUAL
@pytest.mark.parametrize("in_page", [False, True])
@pytest.mark.parametrize("by_key", [False, True])
async def test_an_answer_by_its_key_proves_the_request_and_all_before_it(
    in_page: bool, by_key: bool
) -> None:
    service = ScriptedPeer(on_message=answering, in_page=in_page)
    options: Any = {"protocol": Correlated()} | ({} if in_page else {"ping_interval": None})
    async with steady_store_of(service, **options) as store:
        await store.wait_connected()
        before = store.send({"before": True})
        for n in range(3):
            await store.request({"id": n}, match=None if by_key else has_id(n))
        assert before.state == "delivered"
        after = store.send({"after": True})
        await loop().idle()
        assert await doubted(store, service) == 1
        assert (after.state, store.stats.delivered) == ("in_doubt", 4)


@VIRTUAL
@pytest.mark.parametrize("in_page", [False, True])
async def test_a_message_that_matches_a_predicate_proves_nothing(in_page: bool) -> None:
    """It may be one that the server sent by itself, before it has read the request."""
    service = ScriptedPeer(in_page=in_page)
    options: Any = {"heartbeat": None} if in_page else {"ping_interval": None}
    async with steady_store_of(service, **options) as store:
        await store.wait_connected()
        request = store.request({"id": 1}, match=lambda _: True)
        service.links[0].send({"unasked": True})
        assert await request == {"unasked": True}
        assert await doubted(store, service) == 1


@VIRTUAL
async def test_an_answer_on_another_session_proves_nothing() -> None:
    service = ScriptedPeer(Accept(), Accept(first_messages=[{"id": 1}]))
    async with steady_store_of(service, protocol=Correlated(), ping_interval=None) as store:
        await store.wait_connected()
        lost = store.request({"id": 1})
        await loop().idle()
        assert await doubted(store, service) == 1
        with pytest.raises(RequestLost):
            await lost
        await store.wait_for(lambda state: state.session == 2)
        await store.send({"next": True})
        await loop().idle()
        assert (store.last_message.value, store.stats.delivered) == ({"id": 1}, 0)


# Acknowledgements of a protocol


class Acknowledged(SessionProtocol):
    """Numbers what it sends; the server answers each number that it has handled."""

    acknowledges = True

    def prepare(self, value: Any, session: ProtocolSession) -> Any:
        return {"id": session.next_id(), "body": value}

    def correlate(self, value: Any) -> Hashable | None:
        number: Hashable = value.get("id") or value.get("ack")
        return number

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        return envelope.get("body")


@VIRTUAL
async def test_a_protocol_that_acknowledges_proves_more_than_a_pong() -> None:
    service = ScriptedPeer()
    async with steady_store_of(service, protocol=Acknowledged()) as store:
        await store.wait_connected()
        receipts = [store.send(n) for n in range(3)]
        await asyncio.sleep(60)  # pongs came
        assert {receipt.state for receipt in receipts} == {"written"}
        service.links[0].send({"ack": 2})
        assert await receipts[1].delivered() is receipts[1]
        assert [receipt.state for receipt in receipts] == ["written", "delivered", "written"]
        service.links[0].drop()
        await store.wait_for(lambda state: not state.is_connected)
        assert [receipt.state for receipt in receipts] == ["in_doubt", "delivered", "in_doubt"]


class Ids(SessionProtocol):
    """The development server's acknowledgements, for messages that bring an id of their own."""

    acknowledges = True

    def correlate(self, value: Any) -> Hashable | None:
        name: Hashable = value.get("id")
        return name

    def receive(self, envelope: Any, session: ProtocolSession) -> Any:
        return None if envelope.get("type") == "Ack" else envelope


async def test_a_server_that_drops_repeats_and_resend_are_exactly_once_in_effect() -> None:
    async with DevServer(acknowledge=True) as server, FaultProxy(server.url) as proxy:
        options: Any = {"resend": True, "protocol": Ids(), "reconnect_delay": 0.01}
        options |= {"max_reconnect_attempts": None, "stable_after": 0.0}
        async with use_websocket(f"{proxy.url}/v1/ws", access_token=TOKEN, **options) as store:
            await store.wait_connected(5)
            receipts = []
            for n in range(600):
                receipts.append(store.send({"id": f"m{n}", "n": n}))
                if n % 100 == 50:
                    if n % 200 == 50:
                        await asyncio.sleep(0.01)  # some are answered; else none can be
                    proxy.now(Reset())
                    await store.wait_for(lambda state: not state.is_connected, 5)
                    await store.wait_connected(5)
            for receipt in receipts:
                await receipt.delivered(10)
            assert max(receipt.attempts for receipt in receipts) > 1
            assert (store.stats.in_doubt, store.stats.delivered) == (0, 600)
    assert [json.loads(message)["n"] for _, message in server.received] == list(range(600))
