"""Cases, their rounds with every rival in turn, and what the rounds say: median, spread, ratio."""

from __future__ import annotations

import gc
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any, Final, NamedTuple, TypeAlias

from heimdall_reactive import ConfigurationError

__all__ = [
    "LIMIT", "Case", "Measure", "Result", "Rounds", "Skipped", "Spent", "Stage", "Step",
    "Stopwatch", "median", "ratio", "run", "spread",
]  # fmt: skip

LIMIT: Final = 30.0  # seconds that one measurement may take
TRIES: Final = 2  # failures after which a step is left out

Measure: TypeAlias = Callable[[], Mapping[str, float]]
Rounds: TypeAlias = list[float | None]


class Skipped(Exception):
    """A measurement cannot be made here; its text says why."""


class Stopwatch:
    """Counts the time since it was made, and how much of it this process was at work."""

    def __init__(self) -> None:
        self._wall, self._cpu = perf_counter(), process_time()

    def stop(self) -> Spent:
        """Return what was spent."""
        return Spent(perf_counter() - self._wall, process_time() - self._cpu)


class Spent(NamedTuple):
    """Seconds by the clock, and those of the processor, of all threads of this process."""

    wall: float
    cpu: float

    def each(self, count: int) -> Spent:
        """Return what each of so many has taken."""
        return Spent(self.wall / count, self.cpu / count)

    def columns(self, name: str, count: int) -> dict[str, float]:
        """Return microseconds each of so many, for the columns of both."""
        return {name: self.wall / count * 1e6, f"{name}, CPU": self.cpu / count * 1e6}


class Step(NamedTuple):
    """One measurement of one rival: it returns a value for each column that it fills."""

    entry: str
    measure: Measure


@dataclass(frozen=True)
class Case:
    """What is measured, of whom, and over what it grows.

    Attributes:
        name: of the command line and of results.json.
        title: for tables and plots.
        unit: of every value.
        over: what the columns are: a size, a number of observers.
        steps: the measurements of one round; rivals of one column stand side by side.
        rounds: the most that this case gets, where one takes long; None has as many as wanted.
    """

    name: str
    title: str
    unit: str
    over: str
    steps: Sequence[Step]
    rounds: int | None = None


@dataclass(frozen=True)
class Stage:
    """What the measurements have around them.

    Attributes:
        url: of the peer.
        quick: the short form, for ratios with generous margins.
        secure: URL of the peer over TLS.
    """

    url: str
    quick: bool = False
    secure: str = ""

    def count(self, full: int) -> int:
        """Return how many messages a measurement takes, given those of the long form."""
        return full // 3 if self.quick else full


@dataclass
class Result:
    """What a case gave.

    Attributes:
        case: what was measured.
        values: by entry and column one value a round, None where it failed.
        notes: what was left out, and why.
    """

    case: Case
    values: dict[str, dict[str, Rounds]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return all of it, the rounds included."""
        return {
            "title": self.case.title,
            "unit": self.case.unit,
            "over": self.case.over,
            "entries": {
                entry: {column: _summary(rounds) for column, rounds in columns.items()}
                for entry, columns in self.values.items()
            },
            "notes": self.notes,
        }


def run(case: Case, rounds: int) -> Result:
    """Measure a case: in each round every rival once, forwards and backwards alternately."""
    result = Result(case)
    failures: Counter[int] = Counter()
    rounds = min(rounds, case.rounds or rounds)
    steps = list(enumerate(case.steps))
    for index in range(rounds):
        for number, step in steps if index % 2 == 0 else reversed(steps):
            if failures[number] >= TRIES:
                continue
            failed = _measure(step, index, rounds, result)
            failures[number] += TRIES if failed == "for good" else bool(failed)
    order = {step.entry: None for step in case.steps}
    result.values = {entry: result.values[entry] for entry in order if entry in result.values}
    return result


def _measure(step: Step, index: int, rounds: int, result: Result) -> str:
    """Handle one measurement; return how it failed, or nothing."""
    gc.collect()
    try:
        values = step.measure()
    except (Skipped, ImportError, ConfigurationError) as error:
        note = f"{step.entry}: skipped ({error})"
        if note not in result.notes:
            result.notes.append(note)
        return "for good"
    except Exception as error:
        text = f"{step.entry}: round {index + 1} failed ({type(error).__name__}: {error})"
        result.notes.append(text)
        print(text, file=sys.stderr)
        return "once"
    for column, value in values.items():
        columns = result.values.setdefault(step.entry, {})
        columns.setdefault(column, [None] * rounds)[index] = value
    return ""


def median(rounds: Rounds) -> float:
    """Return the median of the rounds that did not fail."""
    return statistics.median(value for value in rounds if value is not None)


def spread(rounds: Rounds) -> float:
    """Return the distance of the quartiles as a share of the median."""
    values = [value for value in rounds if value is not None]
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / (statistics.median(values) or 1.0)  # what is 0 has no share


def ratio(above: Rounds, below: Rounds) -> float | None:
    """Return the median of what the rounds say each: a drift of the machine is in both."""
    pairs = zip(above, below, strict=False)
    ratios = [one / other for one, other in pairs if one is not None and other]
    return statistics.median(ratios) if ratios else None


def _summary(rounds: Rounds) -> dict[str, Any]:
    return {
        "median": _rounded(median(rounds)),
        "spread": round(spread(rounds), 3),
        "rounds": [None if value is None else _rounded(value) for value in rounds],
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
