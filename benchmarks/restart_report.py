"""What a restart has shown: histograms as text and as a picture, and the verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .machine import NOTHING, Holdings

__all__ = ["BUCKET", "Outcome", "bound", "draw", "show"]

BUCKET: Final = 0.1  # seconds
WIDTH: Final = 60  # characters of the longest bar


@dataclass
class Outcome:
    """What happened with one delay.

    Attributes:
        name: of the delay.
        stores: how many.
        attempts: when each dial began, in seconds after the first loss.
        all_back: seconds until the last store was connected again; None where one never was.
        before: what the process held without stores.
        connected: what it held while all were connected.
        timers: on the event loop while all were connected.
        after: what it held after all were closed.
        timers_after: on the event loop then.
        limit: the largest share that is allowed; None where a herd is what is to be shown.
    """

    name: str
    stores: int
    attempts: list[float] = field(default_factory=list)
    all_back: float | None = None
    before: Holdings = NOTHING
    connected: Holdings = NOTHING
    timers: int = 0
    after: Holdings = NOTHING
    timers_after: int = 0
    limit: float | None = None

    @property
    def buckets(self) -> list[int]:
        """Dials per 100 ms since the first loss."""
        counts = Counter(int(at / BUCKET) for at in self.attempts)
        return [counts[index] for index in range(max(counts, default=-1) + 1)]

    @property
    def largest(self) -> float:
        """The largest bucket as a share of all stores."""
        return max(self.buckets, default=0) / self.stores

    @property
    def broken(self) -> list[str]:
        """What does not hold."""
        found = []
        if self.all_back is None:
            found.append("not all stores came back")
        if self.limit is not None and self.largest > self.limit:
            found.append(f"a herd: {self.largest:.1%} in one bucket, {self.limit:.1%} allowed")
        for name in ("descriptors", "threads", "tasks"):
            left = getattr(self.after, name) - getattr(self.before, name)
            if left > 0:
                found.append(f"{left} {name} left after the close")
        if self.connected.tasks > self.before.tasks:
            found.append(f"{self.connected.tasks - self.before.tasks} tasks while connected")
        if self.timers_after:
            found.append(f"{self.timers_after} timers left after the close")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "name": self.name, "stores": self.stores, "buckets": self.buckets,
            "largest": self.largest, "limit": self.limit, "all_back": self.all_back,
            "before": self.before._asdict(), "connected": self.connected._asdict(),
            "timers": self.timers, "after": self.after._asdict(),
            "timers_after": self.timers_after, "broken": self.broken,
        }  # fmt: skip


def bound(stores: int, initial: float) -> float:
    """Return the largest allowed share of one bucket for full jitter over `initial` seconds.

    A quarter on top of the mean of an even spread is for those that found the server still down
    and dial twice. Six standard deviations of a Poisson count make a false alarm unlikely.
    """
    mean = 1.25 * stores * BUCKET / initial
    return min(1.0, (mean + 6 * math.sqrt(mean)) / stores)


def show(outcome: Outcome) -> str:
    """Return the histogram and the numbers of an outcome."""
    buckets = outcome.buckets
    scale = WIDTH / max(buckets, default=1)
    lines = [f"{outcome.name}: dials per 100 ms, {outcome.stores} stores"]
    for index, count in enumerate(buckets):
        if count:
            bar = "#" * max(1, round(count * scale))
            lines.append(f"{index * BUCKET:6.1f} s {count:5d} {bar}")
    back = "never" if outcome.all_back is None else f"{outcome.all_back:.2f} s"
    limit = "" if outcome.limit is None else f" (allowed: {outcome.limit:.1%})"
    lines.append(f"  all back after {back}; largest bucket {outcome.largest:.1%}{limit}")
    lines.append(f"  while connected: {_held(outcome.connected, outcome.timers)}")
    lines.append(f"  after the close: {_held(outcome.after, outcome.timers_after)}")
    lines.append(f"  without stores:  {_held(outcome.before, 0)}")
    lines.append(f"  broken: {', '.join(outcome.broken) or 'nothing'}")
    return "\n".join(lines)


def _held(held: Holdings, timers: int) -> str:
    return (
        f"{held.tasks} tasks, {timers} timers, {held.threads} threads, "
        f"{held.descriptors} descriptors, {held.rss:.1f} MiB"
    )


def draw(outcomes: Sequence[Outcome], file: Path) -> None:
    """Draw the histograms below each other; needs matplotlib, of the extra `notebook`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.2 * len(outcomes)), layout="constrained")
    axes = figure.subplots(len(outcomes), 1, sharex=True, sharey=True, squeeze=False)
    for axis, outcome in zip(axes[:, 0], outcomes, strict=True):
        places = [index * BUCKET for index in range(len(outcome.buckets))]
        axis.bar(places, outcome.buckets, width=BUCKET, align="edge")
        axis.set_title(f"{outcome.name}: largest bucket {outcome.largest:.1%}", fontsize=10)
        axis.set_ylabel("dials per 100 ms")
    axes[-1, 0].set_xlabel("seconds after the first loss")
    figure.savefig(file, dpi=120)
