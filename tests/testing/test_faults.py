"""The faults of an open connection and of the port, through the proxy and over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedError, InvalidMessage

from heimdall_reactive.base.exceptions import ConfigurationError, WaitTimeout
from heimdall_reactive.testing import (
    BlackHole,
    CloseWith,
    Cut,
    Delay,
    DropSyn,
    Fault,
    FaultProxy,
    FlipBit,
    Garbage,
    HttpAnswer,
    MuteClose,
    NoAnswer,
    Passage,
    RefuseConnection,
    Reset,
    Stall,
    Trickle,
)
from tests.socket_peer import SocketPeer, build_frame
from tests.support import run

from .test_proxy import causes, dial, proxied


async def clock() -> float:
    return asyncio.get_running_loop().time()


async def echoed(client: ClientConnection, message: str) -> float:
    """Return the seconds that an echo took."""
    began = await clock()
    await client.send(message)
    assert await client.recv() == message
    return await clock() - began


async def quickest(client: ClientConnection) -> float:
    """Return the seconds of the best of some echoes; a busy machine delays not all of them."""
    return min([await echoed(client, "fast again") for _ in range(9)])


def with_client(
    test: Callable[[FaultProxy, ClientConnection], Awaitable[None]], *plan: Fault, **options: Any
) -> None:
    """Run a test with a connection through the proxy to an echoing server."""

    async def main() -> None:
        async with proxied() as proxy:
            proxy.next(*plan)
            async with dial(proxy, **options) as client:
                await test(proxy, client)

    run(main)


@pytest.mark.parametrize("planned", [True, False])
def test_a_stall_ends_and_what_waited_arrives_in_order(planned: bool) -> None:
    fault = Stall(0.2, after=0)

    async def test(proxy: FaultProxy, client: ClientConnection) -> None:
        if not planned:
            assert proxy.now(fault) == 1
        began = await clock()
        for n in range(3):
            await client.send(str(n))
        assert [await client.recv() for _ in range(3)] == ["0", "1", "2"]
        assert await clock() - began > 0.1
        assert await quickest(client) < 0.1

    with_client(test, *[fault] * planned)


def test_a_stall_does_not_end_a_black_hole() -> None:
    async def test(proxy: FaultProxy, client: ClientConnection) -> None:
        proxy.now(Stall(0.01))
        proxy.now(BlackHole())
        await client.send("lost")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.recv(), 0.1)

    with_client(test)


async def test_a_cut_ends_a_black_hole() -> None:
    async with proxied() as proxy:
        async with dial(proxy) as client:
            proxy.now(BlackHole())
            await client.send("lost")
            proxy.now(Cut())
            with pytest.raises(ConnectionClosedError):
                await client.recv()
        await proxy.wait_for(lambda: not proxy.live)


def test_a_delay_makes_everything_late_but_does_not_add_up() -> None:
    async def test(proxy: FaultProxy, client: ClientConnection) -> None:
        began = await clock()
        for n in range(100):
            await client.send(str(n))
        assert [await client.recv() for _ in range(100)] == [str(n) for n in range(100)]
        assert 0.1 <= await clock() - began < 5  # the sum would be 10
        proxy.now(Delay(0))
        assert await quickest(client) < 0.05

    with_client(test, Delay(0.05, jitter=0.02))


async def test_a_trickle_is_slow_in_the_handshake_too_if_asked() -> None:
    async with proxied() as proxy:
        proxy.next(Trickle(20))
        async with dial(proxy, open_timeout=10) as client:  # it would take twice that
            assert await echoed(client, "x") > 0.15
        proxy.next(Trickle(100, handshake=True))
        with pytest.raises(TimeoutError):
            await dial(proxy, open_timeout=0.1)


def test_a_flipped_bit_is_not_noticed_in_a_payload_but_in_a_header() -> None:
    async def test(proxy: FaultProxy, client: ClientConnection) -> None:
        await client.send("abc")
        assert await client.recv() == "a`c"
        proxy.now(FlipBit(6))
        await client.send("abc")
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.sent is not None
        assert closed.value.sent.code == 1002

    with_client(test, FlipBit(1, after=3))


@pytest.mark.parametrize("hold", [False, True])
def test_a_close_frame_is_put_between_two_frames(hold: bool) -> None:
    async def test(proxy: FaultProxy, client: ClientConnection) -> None:
        await client.send("whole")
        assert await client.recv() == "whole"
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "expired")
        assert closed.value.sent is not None  # it went out, ignored or not
        assert proxy.log[0].ended == "CloseWith"

    with_client(
        test, CloseWith(4401, "expired", hold=hold, after=3), ping_interval=0.05, ping_timeout=1
    )


@pytest.mark.parametrize("hold", [False, True])
def test_garbage_breaks_an_open_connection(hold: bool) -> None:
    async def test(proxy: FaultProxy, client: ClientConnection) -> None:
        await echoed(client, "fine")
        proxy.now(Garbage(build_frame(3), hold=hold))
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.sent is not None
        assert closed.value.sent.code == 1002

    with_client(test, ping_interval=0.05, ping_timeout=1)


async def test_garbage_answers_an_upgrade() -> None:
    async with proxied() as proxy:
        proxy.next(Garbage(b"SSH-2.0-OpenSSH\r\n", when="handshake"))
        with pytest.raises(InvalidMessage):
            await dial(proxy)
        assert proxy.log[0].status is None
        assert proxy.log[0].to_server == 0


@pytest.mark.parametrize("fault", [NoAnswer(), BlackHole(handshake=True)])
async def test_a_dial_that_is_never_answered_runs_out_of_time(fault: Fault) -> None:
    async with proxied() as proxy:
        proxy.always(fault)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await dial(proxy, open_timeout=0.1)
        proxy.always(None)
        async with dial(proxy):
            pass
        assert proxy.accepted == 3


async def test_muted_close_frames_never_complete_the_closing_handshake() -> None:
    async with SocketPeer() as peer, FaultProxy(peer.url) as proxy:
        proxy.next(MuteClose())
        async with dial(proxy) as client:
            link = await peer.accepted(8)
            link.close(4000)
            link.send("after it")  # a server must not; but so it is seen that nothing is cut
            assert await client.recv() == "after it"
            await client.close()
            assert client.close_code == 1006
            await link.ended(8)
            assert link.close_code is None


async def test_a_closed_port_refuses_and_comes_back_under_its_number() -> None:
    async with proxied() as proxy:
        async with dial(proxy) as client:
            url = proxy.url
            proxy.always(RefuseConnection())
            with pytest.raises(ConnectionRefusedError):
                await dial(proxy)
            await echoed(client, "open connections live on")
        proxy.always(None)
        async with dial(proxy) as client:
            await echoed(client, "again")
        proxy.now(RefuseConnection(0.05))
        with pytest.raises(ConnectionRefusedError):
            await dial(proxy)
        assert not proxy.listening
        await proxy.wait_for(lambda: proxy.listening)
        async with dial(proxy):
            assert proxy.url == url
        assert proxy.accepted == 3


async def test_a_port_that_drops_every_syn_hangs_the_dial() -> None:
    async with proxied() as proxy:
        proxy.always(DropSyn())
        with pytest.raises(TimeoutError):
            await dial(proxy, open_timeout=0.1)
        proxy.always(None)
        async with dial(proxy) as client:
            await echoed(client, "again")


async def test_a_server_that_is_gone_resets_its_clients() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with FaultProxy(taken.getsockname()) as proxy:
            with pytest.raises((InvalidMessage, OSError)) as failure:
                await dial(proxy)
            assert causes(failure.value, ConnectionResetError, EOFError)
            await proxy.wait_for(lambda: not proxy.live)
            assert proxy.log[0].ended == "unreachable"


async def test_a_reset_of_the_server_passes_through() -> None:
    async with SocketPeer() as peer, FaultProxy(peer.url) as proxy, dial(proxy) as client:
        (await peer.accepted(8)).reset()
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
        assert causes(closed.value, ConnectionResetError)
        assert proxy.log[0].ended == "server"


async def test_a_slow_reader_slows_the_sender_through_the_proxy() -> None:
    async with SocketPeer() as peer, FaultProxy(peer.url) as proxy:
        async with dial(proxy, max_queue=1):
            link = await peer.accepted(8)
            flood = asyncio.create_task(link.flood(build_frame(2, bytes(60_000))))
            await proxy.wait_for(lambda: proxy.log[0].to_client > 200_000)
            with pytest.raises(WaitTimeout):
                await grown(proxy, 50_000_000)
            assert not flood.done()
        await link.ended(8)
        assert await flood > 10


async def grown(proxy: FaultProxy, limit: int) -> None:
    """Return when so many bytes went to the client; fail when none moves for a moment."""
    passage = proxy.log[0]
    while (seen := passage.to_client) < limit:
        await proxy.wait_for(partial(moved, passage, seen), 0.1)


def moved(passage: Passage, seen: int) -> bool:
    return passage.to_client > seen


async def test_history_is_bounded_and_everything_ends_with_the_proxy() -> None:
    async with SocketPeer() as peer, FaultProxy(peer.url, history=2) as proxy:
        clients = [await dial(proxy) for _ in range(3)]
        assert [passage.number for passage in proxy.log] == [2, 3]
        assert len(proxy.live) == 3
        proxy.now(BlackHole())
    assert not proxy.live
    assert {passage.ended for passage in proxy.log} == {"exit"}
    for client in clients:
        await client.close()


def test_what_cannot_be_is_said_at_once() -> None:
    async def main() -> None:
        async with proxied() as proxy:
            with pytest.raises(ConfigurationError, match="always"):
                proxy.next(RefuseConnection())
            with pytest.raises(ConfigurationError, match="next"):
                proxy.now(HttpAnswer(503))
            with pytest.raises(ConfigurationError, match="stands alone"):
                proxy.next(HttpAnswer(503), Cut())
            with pytest.raises(WaitTimeout):
                await proxy.wait_for(lambda: proxy.log, timeout=0.01)

    run(main)
    for wrong in (
        lambda: Cut(after=-1),
        lambda: Stall(0),
        lambda: Trickle(0),
        lambda: Delay(float("nan")),
        lambda: FlipBit(8),
        lambda: HttpAnswer(99),
        lambda: RefuseConnection(-1),
        lambda: FaultProxy("wss://127.0.0.1:1"),
        lambda: FaultProxy("localhost"),
        lambda: SocketPeer(Reset(after=3)),
        lambda: SocketPeer(MuteClose()),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigurationError):
            wrong()
