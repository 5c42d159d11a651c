"""What a reader hands out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .gaps import Missed

__all__ = ["Batch", "Item", "ReaderStats"]


@dataclass(frozen=True, slots=True)
class Item:
    """One message of a batch.

    Attributes:
        channel: where it came.
        id: what tells it from all others of the channel; empty in a feed that is `single`.
        data: the message as it came, UTF-8 where it was text.
        text: whether it was text.
        offset: where it stands in the server's order, None where it has no offset.
        received: when it was read, in seconds since the epoch.
    """

    channel: str
    id: str
    data: bytes
    text: bool
    offset: int | None
    received: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What came, in order.

    Attributes:
        events: messages, and what was missed between them.
        offset: what a next reader goes on from when all of this was handled; None is unknown.
    """

    events: tuple[Item | Missed, ...] = ()
    offset: int | None = None

    @property
    def items(self) -> list[Item]:
        """The messages alone."""
        return [event for event in self.events if isinstance(event, Item)]


@dataclass(slots=True)
class ReaderStats:
    """Counters of a reader.

    Attributes:
        read: messages handed out.
        repeats: messages that came again, and were not.
        left_out: messages without an id that the rule left out, and Heimdall's control messages.
        dropped: messages that had no room, because who reads was too slow, and are lost.
        again: times that a server that replays was asked again for what had no room.
        gaps: gaps handed out.
    """

    read: int = 0
    repeats: int = 0
    left_out: int = 0
    dropped: int = 0
    again: int = 0
    gaps: int = 0
