"""`Stats`: what went through a store."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counters", "Stats"]


@dataclass(slots=True)
class Counters:
    """The counts of a connection, written as it goes."""

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    invalid: int = 0
    attempts: int = 0
    reconnects: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters of a store since it was made.

    Attributes:
        received: messages received, the invalid ones included.
        received_bytes: their payloads in bytes.
        sent: messages written to a socket.
        sent_bytes: their payloads in bytes.
        invalid: frames that did not decode.
        attempts: dials.
        reconnects: connections after the first.
        queued: sends that wait now.
        queue_high_water: the most that ever waited.
        rejected: sends refused because the outbox was full.
        observer_errors: times an observer raised.
    """

    received: int
    received_bytes: int
    sent: int
    sent_bytes: int
    invalid: int
    attempts: int
    reconnects: int
    queued: int
    queue_high_water: int
    rejected: int
    observer_errors: int
