"""Read feeds into a stream of NATS JetStream: run as many copies of this as you like.

`python -m examples.dataflow.ingest_feeds nats://localhost:4222 wss://feed.example`
"""

from __future__ import annotations

import asyncio
import sys

from heimdall_reactive.dataflow import Feed, Ingest, Record, Sending


def answered(order: Record, message: str | bytes) -> bool:
    """Return whether a message of the server is its answer to an order."""
    return isinstance(message, str) and f'"ack": "{order.id}"' in message


def feeds(base: str) -> list[Feed]:
    """Return three sockets: one that only sends live, one that replays, one that takes orders."""
    ticks = Feed(
        endpoint=f"{base}/live/ticks",
        channel="ticks",
        id="seq",
        consecutive=True,  # 7, 8, 9: what is missing can be counted
    )
    trades = Feed(
        endpoint=f"{base}/log/trades",
        channel="trades",
        id="seq",
        resume=lambda offset: f"?from={offset}",
        rewind=10,
    )
    orders = Feed(
        endpoint=f"{base}/live/orders",
        channel="orders",
        id="seq",
        sending=Sending(encode=lambda order: {"id": order.id, **order.json()}, ack=answered),
    )
    return [ticks, trades, orders]


async def main(servers: str, base: str) -> None:
    """Read until a signal ends it."""
    async with Ingest(servers, "market", feeds(base), replicas=2) as ingest:
        print("copy", ingest.name)
        await ingest.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
