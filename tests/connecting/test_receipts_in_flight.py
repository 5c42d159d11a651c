"""A receipt tells the truth of a send that is in flight when the closing handshake begins."""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection, serve

from heimdall_reactive import Status, WebSocketStore
from tests.peers import frame, quick, raw_peer

LARGE = b"x" * 16_000_000  # more than the buffers of two sockets take


async def in_flight(store: WebSocketStore[object]) -> None:
    await store.wait_connected(5)
    assert store.stats.sent == 1
    store.disconnect()
    assert store.state.value.status is Status.DISCONNECTING


async def test_it_is_in_doubt_where_the_peer_closes_at_the_same_time_and_reads_nothing() -> None:
    closing = asyncio.Event()

    async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await closing.wait()
        writer.write(frame(8, (1001).to_bytes(2, "big")))
        await asyncio.sleep(0.1)

    async with raw_peer(deaf) as url, quick(url, close_timeout=2.0) as store:
        receipt = store.send(LARGE)
        await in_flight(store)
        closing.set()
        await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 5)
        assert receipt.state == "in_doubt"
        assert store.stats.in_doubt == 1


async def test_it_is_delivered_where_the_peer_reads_on_until_the_close_frame() -> None:
    async def slow(socket: ServerConnection) -> None:
        await asyncio.sleep(0.3)
        async for _ in socket:
            pass

    service = serve(slow, "127.0.0.1", 0, max_size=None, max_queue=1, compression=None)
    async with service as server:
        port = server.sockets[0].getsockname()[1]
        async with quick(f"ws://127.0.0.1:{port}", close_timeout=5.0) as store:
            receipt = store.send(LARGE)
            await in_flight(store)
            await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 5)
            assert receipt.state == "delivered"
            assert (store.stats.delivered, store.stats.in_doubt) == (1, 0)
