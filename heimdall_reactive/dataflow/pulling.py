"""The pull protocol of JetStream, as both readers of the log speak it.

Not the client's own `fetch`: it waits once for each message, which halves the rate at least.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = [
    "RAN_OUT",
    "Incoming",
    "Outgoing",
    "RecordPlace",
    "ask",
    "headers_of",
    "place_of",
    "raw_headers",
    "status_of",
]

# Plain tuples of bytes: one is made for each message.
Incoming: TypeAlias = tuple[bytes, bytes, bytes, bytes]
"""A message that came: subject, reply subject, headers as on the wire, payload."""

Outgoing: TypeAlias = tuple[bytes, bytes, bytes, bytes]
"""A message that goes out: the same."""

VERSION: Final = "NATS/1.0"  # that headers begin with

RAN_OUT: Final = ("404", "408")  # the consumer is there, the request is not any more


class RecordPlace(NamedTuple):
    """Where a message is.

    Attributes:
        stream: its sequence in the stream.
        consumer: its number among those of the consumer, 1 for the first.
        stored: when the log took it, in seconds since the epoch.
        left: how many of the consumer were to come after it, when it was sent.
    """

    stream: int
    consumer: int
    stored: float
    left: int


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


def status_of(reply: bytes, headers: bytes) -> str | None:
    """Return what the log says of a request in a message, None where that is a record."""
    if reply:
        return None
    return headers[len(VERSION) :].partition(b"\r\n")[0].strip()[:3].decode(errors="replace")


def place_of(reply: bytes) -> RecordPlace:
    """Return where a record is, by the subject on which it would be acknowledged."""
    # $JS.ACK.[domain.account.]stream.consumer.delivered.sequence.number.nanoseconds.pending[.token]
    if reply.count(b".") == 8:
        _, stream, consumer, stored, left = reply.rsplit(b".", 4)
    else:
        _, stream, consumer, stored, left, _ = reply.rsplit(b".", 5)
    return RecordPlace(int(stream), int(consumer), int(stored) / 1e9, int(left))


def headers_of(raw: bytes) -> dict[str, str]:
    """Return the headers of a message, without its status."""
    found: dict[str, str] = {}
    for line in raw.decode(errors="replace").split("\r\n")[1:-2]:
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip()] = value.strip()
    return found


def raw_headers(headers: Mapping[str, str]) -> bytes:
    """Return headers as they are on the wire; `Status` as the server writes it.

    Raises:
        ValueError: there is a line break in one, which would make another header of the rest.
    """
    status = f" {headers['Status']}" if "Status" in headers else ""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if name != "Status"]
    text = "".join([f"{VERSION}{status}\r\n", *lines, "\r\n"])
    if not text.count("\r") == text.count("\n") == len(lines) + 2:
        raise ValueError("there is a line break in a header")
    return text.encode()
