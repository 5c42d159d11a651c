"""The soak's words: what goes over the wire, and the events that its parts note for the ledger."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, TypeAlias

from heimdall_reactive import ConnectionState, Receipt
from heimdall_reactive.base.state import Gap

__all__ = [
    "HEADER",
    "ClientEvent",
    "ClientEvents",
    "Ended",
    "Failed",
    "Got",
    "Heard",
    "Moved",
    "Opened",
    "Published",
    "Sent",
    "Skipped",
    "Wrote",
    "number_of",
]

HEADER = "X-Soak"
"""Header of an upgrade: number of the store, `-`, number of the dial."""


class Sent(NamedTuple):
    """A store has accepted a numbered send, or refused it by its receipt."""

    number: int
    receipt: Receipt


class Opened(NamedTuple):
    """A dial has succeeded: it is the next session's, unless it came too late."""

    dial: int


class Wrote(NamedTuple):
    """The library writes a numbered send to a dial's socket; `undone` where that raised."""

    dial: int
    number: int
    undone: bool = False


class Heard(NamedTuple):
    """An observer has got a message, at this time of the wall clock."""

    text: str
    at: float


class Moved(NamedTuple):
    """An observer has got a state."""

    state: ConnectionState


class Skipped(NamedTuple):
    """An observer has got a gap."""

    gap: Gap


class Failed(NamedTuple):
    """An observer has got a report of `errors`, of this type."""

    name: str


class Published(NamedTuple):
    """The server gives a numbered message to every connection of a store, at this wall time."""

    number: int
    at: float


class Got(NamedTuple):
    """The server has read a numbered send from the connection of a dial."""

    dial: int
    number: int


class Ended(NamedTuple):
    """The server has read all that it can from the connection of a dial; whether it ended it."""

    dial: int
    by_server: bool


ClientEvent: TypeAlias = Sent | Opened | Wrote | Heard | Moved | Skipped | Failed
ClientEvents: TypeAlias = deque[ClientEvent]


def number_of(text: str | bytes | bytearray) -> int:
    """Return the number of a send (`u12:...`), an acknowledgement (`a12`) or a message (`d12`)."""
    head = bytes(text[:24]) if not isinstance(text, str) else text[:24].encode()
    digits = head[1:].partition(b":")[0]
    return int(digits) if digits.isdigit() else 0
