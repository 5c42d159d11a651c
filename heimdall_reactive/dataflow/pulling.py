"""The pull protocol of JetStream, as both readers of the log speak it.

Not the client's own `fetch`: it waits once for each message, which halves the rate at least.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["RAN_OUT", "RecordPlace", "ask", "left_behind", "place_of", "status_of"]

RAN_OUT: Final = ("404", "408")  # the consumer is there, the request is not any more


class RecordPlace(NamedTuple):
    """Where a message is.

    Attributes:
        stream: its sequence in the stream.
        consumer: its number among those of the consumer, 1 for the first.
        stored: when the log took it, in seconds since the epoch.
    """

    stream: int
    consumer: int
    stored: float


async def ask(
    client: Client,
    stream: str,
    consumer: str,
    inbox: str,
    *,
    count: int,
    expires: float,
    heartbeat: float | None = None,
) -> None:
    """Ask for so many messages, which come to an inbox until the request expires, in seconds.

    With a heartbeat the log gives a sign of life every so many seconds while it has nothing new.
    """
    request = {"batch": count, "expires": int(expires * 1e9)}
    if heartbeat is not None:
        request["idle_heartbeat"] = int(heartbeat * 1e9)
    name = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
    await client.publish(name, json.dumps(request).encode(), inbox)


def status_of(message: Msg) -> str | None:
    """Return what the log says of a request in a message, None where that is a record."""
    return None if message.reply else (message.headers or {}).get("Status", "")


def place_of(message: Msg) -> RecordPlace:
    """Return where a record is; faster than the client's `metadata`."""
    # $JS.ACK.[domain.account.]stream.consumer.delivered.sequence.number.nanoseconds.pending
    parts = message.reply.split(".")
    at = 5 if len(parts) == 9 else 7
    return RecordPlace(int(parts[at]), int(parts[at + 1]), int(parts[at + 2]) / 1e9)


def left_behind(message: Msg) -> int:
    """Return how many records of the consumer were to come after a record, when it was sent."""
    parts = message.reply.split(".")
    return int(parts[8 if len(parts) == 9 else 10])
