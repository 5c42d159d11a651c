"""The wire of a browser's page, in virtual time against a scripted peer."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from heimdall_reactive import (
    CloseInfo,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    Heartbeat,
    SendError,
    Status,
    StoreOptions,
    WebSocketStore,
)
from heimdall_reactive.base.browser_limits import NO_HEADER
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.testing import Accept, Hang, Refuse, ScriptedPeer, Unreachable
from heimdall_reactive.transports.browser_wire import (
    BUDGET,
    FULL,
    NO_REASON,
    BrowserWire,
    dial,
)
from tests.support import record
from tests.virtual import URL, loop, steady_store_of, store_of

pytestmark = pytest.mark.heimdall_virtual_time


def in_page(*steps: Any) -> ScriptedPeer:
    return ScriptedPeer(*steps, in_page=True)


async def lost(store: WebSocketStore[Any]) -> CloseInfo:
    state = await store.wait_for(lambda state: not state.is_connected)
    assert state.close is not None
    return state.close


async def test_text_and_bytes_go_both_ways_and_no_proof_is_waited_for() -> None:
    peer = in_page(Accept(first_messages=["hello"]))
    async with store_of(peer, message_type=str | bytes) as store:
        seen = record(store.messages)
        await store.wait_connected()
        link = await peer.accepted()
        receipt = store.send(b"\x00\xff")
        store.send("text")
        assert await link.receive() == b"\x00\xff"
        assert await link.receive() == "text"
        link.send(b"\x01")
        with pytest.raises(SendError, match="a page sees no pongs"):
            await receipt.delivered(60)
        await asyncio.sleep(0.1)
        assert seen == ["hello", b"\x01"]
        assert (store.latency.value, link.pings) == (None, 0)
    assert receipt.state == "delivered"  # by the answer to our close frame
    assert (link.close_code, peer.live, loop().timers) == (1000, [], [])


async def test_a_page_sends_the_codes_it_may_and_the_state_keeps_ours() -> None:
    peer = in_page()
    async with steady_store_of(peer, max_size=4, message_type=str) as store:
        await store.wait_connected()
        store.reconnect(4000, "next")
        await store.wait_for(lambda state: state.session == 2)
        assert (peer.links[0].close_code, peer.links[0].close_reason) == (4000, "next")
        peer.links[1].send("12345")
        close = await lost(store)
        assert close == CloseInfo(1009, "a message of more than max_size=4", "client")
        assert peer.links[1].close_code == 1005  # none: a page may not say 1009
        await store.wait_connected()
        peer.links[2].send("1234")
        await asyncio.sleep(0.1)
        assert store.last_message.value == "1234"


async def test_the_end_is_told_by_whom_it_was() -> None:
    peer = in_page()
    async with steady_store_of(peer) as store:
        await store.wait_connected()
        peer.links[0].close(4400, "over")
        assert await lost(store) == CloseInfo(4400, "over", "server")
        assert peer.links[0].close_code == 4400  # answered by the page itself
        await store.wait_connected()
        peer.links[1].drop("nobody learns this")
        text = "the socket ended without a close frame"
        assert await lost(store) == CloseInfo(1006, text, "network")


async def test_messages_before_the_end_come_before_it() -> None:
    peer = in_page(Accept(then=lambda link: [link.send(1), link.send(2), link.close()]))
    async with store_of(peer, message_type=int, auto_reconnect=False) as store:
        seen = record(store.messages)
        await store.wait_for(lambda state: state.close is not None)
        assert seen == [1, 2]


async def test_what_comes_waits_while_a_consumer_holds_the_server_back() -> None:
    peer = in_page()
    async with store_of(peer, message_type=int) as store:
        await store.wait_connected()
        stream = store.stream(maxsize=2, overflow="block")
        for number in range(10):
            peer.links[0].send(number)
        await asyncio.sleep(1)
        assert store.stats.received < 10
        assert [await anext(stream) for _ in range(10)] == list(range(10))


async def test_a_page_holds_so_many_bytes_and_the_rest_waits_in_the_outbox() -> None:
    peer = in_page()
    async with store_of(peer, outbox_bytes=10 * FULL) as store:
        await store.wait_connected()
        link = peer.links[0]
        link.stall()
        receipts = [store.send("a" * (FULL // 2)) for _ in range(4)]
        await asyncio.sleep(0)
        assert [receipt.state for receipt in receipts][2:] == ["queued", "queued"]
        link.resume()
        await asyncio.gather(*receipts)
        assert len(link.received) == 4


async def test_silence_is_judged_by_the_heartbeat() -> None:
    peer = in_page()
    beat = Heartbeat(interval=30.0, timeout=10.0)
    async with steady_store_of(peer, heartbeat=beat) as store:
        await store.wait_connected()
        peer.links[0].silence()
        began = loop().time()
        assert await lost(store) == CloseInfo(1006, "heartbeat timeout", "network")
        assert loop().time() - began == pytest.approx(40)
        await store.wait_connected()


async def test_a_machine_that_has_slept_asks_by_the_heartbeat() -> None:
    peer = in_page()
    async with steady_store_of(peer, heartbeat=Heartbeat(interval=600.0)) as store:
        await store.wait_connected()
        peer.links[0].silence()
        loop().suspend(60.0)
        began = loop().time()
        assert (await lost(store)).reason == "heartbeat timeout"
        assert loop().time() - began < 7


@pytest.mark.parametrize(
    ("step", "error", "text"),
    [
        (Refuse(401), ConnectError, NO_REASON),
        (Unreachable(), ConnectError, NO_REASON),
        (Hang(), ConnectTimeout, "no answer to the opening handshake within 10.0 s"),
    ],
)
async def test_a_dial_that_fails_is_retried_with_counted_attempts(
    step: Any, error: type[Exception], text: str
) -> None:
    peer = in_page()
    peer.always(step)
    async with store_of(peer, max_reconnect_attempts=2) as store:
        state = await store.wait_for(lambda state: state.status is Status.FAILED)
        assert type(state.error) is error
        assert text in str(state.error)
        assert (state.http_status, len(peer.dials), peer.links) == (None, 3, [])


async def test_a_disconnect_in_the_handshake_leaves_nothing() -> None:
    peer = in_page(Hang())
    async with store_of(peer) as store:
        await asyncio.sleep(1)
        store.disconnect()
        await store.wait_for(lambda state: state.status is Status.DISCONNECTED)
    assert (peer.live, loop().timers) == ([], [])


async def test_a_closing_handshake_that_nobody_answers_ends_in_time() -> None:
    peer = in_page()
    store = store_of(peer, close_timeout=3.0)
    await store.wait_connected()
    peer.links[0].mute_close()
    began = loop().time()
    await store.aclose()
    assert loop().time() - began == pytest.approx(3)
    assert store.state.value.close == CloseInfo(
        1006, "the socket ended without a close frame", "network"
    )


class Raising:
    """A receiver with a fault."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[CloseInfo] = loop().create_future()

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        raise LookupError("it is broken")

    def on_closed(self, close: CloseInfo) -> None:
        self.ended.set_result(close)

    def on_ping(self) -> None: ...
    def on_pong(self) -> None: ...
    def on_latency(self, seconds: float) -> None: ...
    def on_writable(self) -> None: ...


async def test_what_a_receiver_raises_ends_the_connection_and_goes_no_further() -> None:
    peer, told = in_page(), []
    loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    wire = await peer(URL, [], None, StoreOptions())
    assert isinstance(wire, BrowserWire)
    raising = Raising()
    wire.start(raising)
    wire.write(Frame(b"a", True))
    peer.links[0].send("b")
    peer.links[0].send("c")
    assert await raising.ended == CloseInfo(1011, "internal error", "client")
    assert len(told) == 1
    assert "LookupError" in told[0]
    wire.kill()  # a second time does nothing


class Slow(Raising):
    """A receiver that takes more than half a turn for each message."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def on_frame(self, data: bytes | bytearray, text: bool) -> None:
        time.sleep(BUDGET * 0.6)
        self.order.append("message")


async def test_messages_take_short_turns_between_which_the_page_goes_on() -> None:
    peer, slow = in_page(), Slow()
    wire = await peer(URL, [], None, StoreOptions())
    for _ in range(6):
        peer.links[0].send("a")
    await asyncio.sleep(0.1)  # all of them are in the inbox
    wire.start(slow)
    while slow.order.count("message") < 6:
        slow.order.append("page")
        await asyncio.sleep(0)
    assert "message message message" not in " ".join(slow.order)
    wire.kill()


@pytest.mark.parametrize(
    ("url", "headers", "text"),
    [(URL, [("Authorization", "x")], NO_HEADER), ("ws://u:p@h/", [], "no user and password")],
)
async def test_what_no_page_can_dial_is_refused(
    url: str, headers: list[tuple[str, str]], text: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        await dial(url, headers, None, StoreOptions())
    assert text in str(raised.value)
