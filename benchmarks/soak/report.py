"""What a soak has found: numbers, broken promises, one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from benchmarks.machine import NOTHING, Holdings, slope

from .down import OUTSIDE

__all__ = ["Report"]

WARM_UP: Final = 60.0  # seconds whose memory is not looked at, or half of a shorter run
JUDGED: Final = 120.0  # seconds of samples from which on the memory's growth is judged
MAX_SLOPE: Final = 1.0  # MiB per minute


@dataclass
class Report:
    """The result of one soak.

    Attributes:
        machine: where it ran.
        began: date and time.
        seed: of the random choices.
        stores: how many.
        seconds: how long faults were injected.
        sends: receipts by their final state.
        confirmed: sends that the server got.
        lost: sends whose receipt says `written` and which the server did not get, by who ended
            their connection.
        doubted: the same for `in_doubt`.
        late: sends that the network held up until after a later connection's.
        messages: that the stores heard.
        missed: messages that were sent while no connection got them; each lies in a gap,
        early: or was on its way when the last byte before the gap came,
        earliest: so many seconds before it.
        sessions: connections.
        gaps: that were reported.
        reconnections: connections after the first of a store.
        faults: by kind.
        failures: what connections and attempts failed of, by type.
        reports: of `errors`, by type.
        guests: what was counted for each store that is judged more simply.
        stutter: seconds, the longest that this process stood still.
        turn: seconds, the longest turn of the event loop by its own work.
        samples: seconds and MiB of memory.
        start: what the process held before.
        end: what it held after.
        threads_left: names of threads.
        broken: broken promises.
    """

    machine: str
    began: str
    seed: int
    stores: int
    seconds: float = 0.0
    sends: Counter[str] = field(default_factory=Counter)
    confirmed: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    doubted: Counter[str] = field(default_factory=Counter)
    late: int = 0
    messages: int = 0
    missed: int = 0
    early: int = 0
    earliest: float = 0.0
    sessions: int = 0
    gaps: int = 0
    reconnections: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    reports: Counter[str] = field(default_factory=Counter)
    guests: dict[str, Counter[str]] = field(default_factory=dict)
    stutter: float = 0.0
    turn: float = 0.0
    samples: list[tuple[float, float]] = field(default_factory=list)
    start: Holdings = NOTHING
    end: Holdings = NOTHING
    threads_left: list[str] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)

    @property
    def growth(self) -> float:
        """MiB per minute after the warm-up."""
        return slope(self._judged)

    @property
    def _judged(self) -> list[tuple[float, float]]:
        warm = min(WARM_UP, self.seconds / 2)
        return [sample for sample in self.samples if sample[0] >= warm]

    @property
    def outside(self) -> int:
        """Messages that were missed neither in a gap nor on their way before one."""
        return self.broken[OUTSIDE]

    def conclude(self) -> None:
        """Hold what is left, and the memory, to the promises."""
        for name in ("tasks", "descriptors", "threads"):
            left = getattr(self.end, name) - getattr(self.start, name)
            if left > 0:
                self.broken[f"{name} left"] += left
        if self.gaps != self.reconnections:
            self.broken["reconnections without exactly one gap"] += 1
        judged = self._judged
        long_enough = len(judged) > 2 and judged[-1][0] - judged[0][0] >= JUDGED
        if long_enough and self.growth > MAX_SLOPE:
            self.broken[f"memory grows by more than {MAX_SLOPE} MiB per minute"] += 1

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        found: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        held = {"start": self.start._asdict(), "end": self.end._asdict()}
        return {**found, **held, "growth": self.growth}

    def table(self) -> str:
        """Return the summary for people."""
        start, end = self.start, self.end
        rows = [
            ("machine", self.machine),
            ("run", f"{self.began}, {self.seconds:.0f} s, {self.stores} stores, seed {self.seed}"),
            ("reconnections", f"{self.reconnections}, with {self.gaps} gaps"),
            ("faults", _counts(self.faults)),
            ("failures", _counts(self.failures)),
            ("reports", _counts(self.reports)),
            ("sends", _counts(self.sends)),
            ("- got by the server", f"{self.confirmed}, {self.late} of them held up on the way"),
            ("- written, lost", _counts(self.lost)),
            ("- in doubt, lost", _counts(self.doubted)),
            ("messages", f"{self.messages} heard, {self.missed} missed"),
            ("- missed before", f"{self.early}, on their way, up to {self.earliest:.3f} s before"),
            ("- missed in gaps", str(self.missed - self.early - self.outside)),
            *((f"- {kind}", _fields(found)) for kind, found in self.guests.items()),
            ("memory", f"{start.rss:.1f} MiB -> {end.rss:.1f} MiB, {self.growth:+.2f} a minute"),
            ("longest stutter", f"{self.stutter:.3f} s"),
            ("longest turn", f"{self.turn:.3f} s"),
            ("descriptors", f"{start.descriptors} -> {end.descriptors}"),
            ("threads", f"{start.threads} -> {end.threads} {' '.join(self.threads_left)}"),
            ("tasks", f"{start.tasks} -> {end.tasks}"),
            ("broken promises", _counts(self.broken)),
        ]
        return "\n".join(f"{name:<20} {value}" for name, value in rows)


def _counts(counts: Mapping[str, int]) -> str:
    if not counts:
        return "0"
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return f"{sum(counts.values())}: " + ", ".join(f"{count} {name}" for name, count in ordered)


def _fields(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in found.items() if count)
