"""The counters of an ingest's parts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HolderStats", "PublisherStats"]


@dataclass(slots=True)
class PublisherStats:
    """Counters of a publisher.

    Attributes:
        acknowledged: records that the log has.
        duplicates: those of them that it had already, from another copy or an earlier attempt.
        repeated: sends of a record after its first.
        refused: records that the log will never take.
        connections: connections that were opened.
        waiting: records without an acknowledgement now.
        high_water: the most that ever waited.
    """

    acknowledged: int = 0
    duplicates: int = 0
    repeated: int = 0
    refused: int = 0
    connections: int = 0
    waiting: int = 0
    high_water: int = 0


@dataclass(slots=True)
class HolderStats:
    """Counters of a feed.

    Attributes:
        read: messages that were read, without repeats.
        repeats: messages that came again on the socket, and were dropped.
        written: messages that the log has.
        duplicates: those of them that it had from another copy, or an earlier attempt.
        gaps: records of gaps that were written.
        missed: messages that are known to be missing, where the ids are consecutive.
        dropped: messages that had no room in this program; a gap reports them.
        refused: messages that the log will never take; a gap reports them.
        sent: records that were sent to the server.
    """

    read: int = 0
    repeats: int = 0
    written: int = 0
    duplicates: int = 0
    gaps: int = 0
    missed: int = 0
    dropped: int = 0
    refused: int = 0
    sent: int = 0
