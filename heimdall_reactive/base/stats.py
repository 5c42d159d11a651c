"""`Stats`: what went through a store, and what waits for each of its consumers."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .glance import shortly

__all__ = ["ConsumerStats", "Counters", "SendCounters", "Stats"]


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


@dataclass(slots=True)
class SendCounters:
    """The counts of an outbox: what became of its sends."""

    queue_high_water: int = 0
    rejected: int = 0
    dropped: int = 0
    expired: int = 0
    in_doubt: int = 0
    delivered: int = 0
    resent: int = 0

    def add(self, state: str, count: int) -> None:
        """Count sends that took a final state."""
        if count:
            setattr(self, state, getattr(self, state) + count)


@dataclass(frozen=True, slots=True)
class ConsumerStats:
    """Counters of one consumer with its own pace: a stream, an async handler or a view.

    Attributes:
        name: the consumer's: as it was given, or its kind and a number.
        waiting: values that are waiting for it.
        delivered: values that it received, apart from those that failed.
        dropped: values that it was too slow for.
        high_water: the most that ever waited.
        failed: values for which an async handler raised or was cancelled. A call that runs counts
            as delivered until then.
    """

    name: str
    waiting: int
    delivered: int
    dropped: int
    high_water: int
    failed: int = 0

    def words(self) -> str:
        """Return its name and its counters in words."""
        return f"{shortly(self.name)}: {self.counts()}"

    def counts(self) -> str:
        """Return the counters in words."""
        lost = f", {self.dropped} dropped" if self.dropped else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.waiting} waiting, {self.delivered} delivered{failed}{lost}"


@dataclass(frozen=True, slots=True, repr=False)
class Stats:
    """Counters of a store since it was made.

    Attributes:
        received: messages received, the invalid ones included.
        received_bytes: their payloads in bytes.
        sent: messages written to a socket.
        sent_bytes: their payloads in bytes.
        invalid: frames that did not decode.
        attempts: attempts to connect.
        reconnects: connections after the first.
        queued: sends that wait now.
        queue_high_water: the most that ever waited.
        rejected: sends refused because the outbox was full.
        dropped: sends that were dropped by the overflow policy, by `disconnect()`, or because they
            were another user's.
        expired: sends that waited longer than `send_ttl`.
        in_doubt: sends whose connection ended before they were proved to have arrived.
        delivered: sends that a pong, or an acknowledgement, proved to have arrived.
        resent: times a send was written again (`resend=True`).
        observer_errors: times an observer raised.
        consumers: one for each stream, async handler and view that is attached now.
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
    dropped: int
    expired: int
    in_doubt: int
    delivered: int
    resent: int
    observer_errors: int
    consumers: tuple[ConsumerStats, ...] = ()

    def __repr__(self) -> str:
        counts = {each.name: getattr(self, each.name) for each in fields(self)}
        counts["consumers"] = len(self.consumers)
        return f"Stats({', '.join(f'{name}={count}' for name, count in counts.items() if count)})"
