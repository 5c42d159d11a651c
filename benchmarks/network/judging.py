"""Holds what a client says against what the server has read, and the other way round. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

__all__ = ["Figures", "table", "untrue"]

WRITTEN: Final = ("written", "delivered", "in_doubt")


@dataclass
class Figures:
    """What was found for one fault and one client, over all rounds.

    Attributes:
        noticed: seconds from the fault to the client's word, of the rounds that had one.
        back: seconds from the fault's end to a message that was published after it.
        rounds: how many.
        counts: of the messages, both ways.
    """

    noticed: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    rounds: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def add(
        self, client: Mapping[str, Any], read: Sequence[Sequence[int]], begin: float, end: float
    ) -> None:
        """Add a round.

        Args:
            client: its report.
            read: connection and number of what the server has read from it.
            begin: when the fault began.
            end: when it ended.
        """
        self.rounds += 1
        lost = [at for at, connected in client["states"] if at > begin and not connected]
        self.noticed += [at - begin for at in lost[:1]]
        again = [at for at, _, _, published in client["heard"] if published > end]
        self.back += [at - end for at in again[:1]]
        self._add_sends(client["sends"], read)
        self._add_messages(client["heard"], set(client["gaps"]))

    def _add_sends(self, states: Sequence[str], read: Sequence[Sequence[int]]) -> None:
        counts, times = self.counts, Counter(number for _, number in read)
        for number, state in enumerate(states):
            counts["sends"] += 1
            counts[state] += 1
            if not times[number]:
                told = "told" if state != "delivered" and state != "written" else "not told"
                counts[f"lost, {told}"] += state in WRITTEN
            elif state not in WRITTEN:
                counts["read, though never written"] += 1
            counts["twice"] += times[number] > 1
        newest = 0
        for connection, _ in read:
            counts["late"] += connection < newest
            newest = max(newest, connection)

    def _add_messages(self, heard: Sequence[Sequence[float]], gaps: set[int]) -> None:
        counts, last, newest = self.counts, 0.0, 0.0
        for index, (_, number, connection, _) in enumerate(heard):
            counts["heard"] += 1
            if number <= last or connection < newest:
                counts["repeated or reordered"] += 1
            elif last and number > last + 1:
                counts["missed"] += int(number - last - 1)
                if index not in gaps:
                    counts["missed, not told"] += int(number - last - 1)
            last, newest = max(last, number), max(newest, connection)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        times = {"noticed": self.noticed, "back": self.back}
        rounded = {name: [round(each, 3) for each in found] for name, found in times.items()}
        return {"rounds": self.rounds, **rounded, "counts": dict(self.counts)}


COUNTS: Final = (
    "in_doubt",
    "lost, told",
    "lost, not told",
    "twice",
    "late",
    "missed",
    "missed, not told",
)


def table(cases: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the rows for the documentation, from the results' plain values."""
    names = ["fault", "client", "noticed after", "back after", "sends", "in doubt", *COUNTS[1:]]
    lines = ["| " + " | ".join(names) + " |", "|---|---|" + "---:|" * (len(names) - 2)]
    for fault, clients in cases.items():
        for client, found in clients.items():
            counts = found["counts"]
            cells = [
                fault, client, _times(found["noticed"], found["rounds"]),
                _times(found["back"], found["rounds"]),
                *(f"{counts.get(name, 0):,}" for name in ("sends", *COUNTS)),
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def untrue(found: Mapping[str, Any]) -> list[str]:
    """Return what a store said that was not so."""
    counts = found["counts"]
    wrong = ["lost, not told", "missed, not told", "repeated or reordered", "late", "written"]
    return [name for name in [*wrong, "read, though never written"] if counts.get(name)]


def _times(found: Sequence[float], rounds: int) -> str:
    """Return the median, the most, and in how many rounds it did not happen."""
    if not found:
        return "-"
    text = f"{median(found):.1f} s"
    if len(found) > 1:
        text += f" (up to {max(found):.1f})"
    return text if len(found) == rounds else f"{text}, {len(found)} of {rounds}"
