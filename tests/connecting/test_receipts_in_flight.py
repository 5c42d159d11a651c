"""A receipt tells the truth of a send that is in flight when the closing handshake begins."""

from __future__ import annotations

import asyncio

from heimdall_reactive import Status, WebSocketStore
from tests.peers import frame, quick, raw_peer
from tests.support import run

LARGE = b"x" * 16_000_000  # more than the buffers of two sockets take


async def in_flight(store: WebSocketStore[object]) -> None:
    await store.wait_connected(5)
    assert store.stats.sent == 1
    store.disconnect()
    assert store.state.value.status is Status.DISCONNECTING


def test_it_is_in_doubt_where_the_peer_closes_at_the_same_time_and_reads_nothing() -> None:
    async def main() -> None:
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

    run(main)


def test_it_is_written_where_the_peer_reads_on_until_the_close_frame() -> None:
    async def main() -> None:
        size = 0

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal size
            await asyncio.sleep(0.3)
            while size < 14 + len(LARGE) + 8:  # with the frame's head, and the close frame
                size += len(await reader.read(2**20))
            writer.write(frame(8, (1000).to_bytes(2, "big")))
            await writer.drain()

        async with raw_peer(slow) as url, quick(url, close_timeout=5.0) as store:
            receipt = store.send(LARGE)
            await in_flight(store)
            await store.wait_for(lambda state: state.status is Status.DISCONNECTED, 5)
            assert receipt.state == "written"
            assert store.stats.in_doubt == 0

    run(main)
