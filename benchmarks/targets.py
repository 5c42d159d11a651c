"""The ratios that the project has set itself, and what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .measuring import Rounds, ratio

__all__ = ["MARGIN", "TARGETS", "Cell", "Target", "Verdict", "judge", "regressions"]

MARGIN: Final = 0.6  # of the committed ratio: what a quick run on a shared machine has to reach


class Cell(NamedTuple):
    """One value of results.json."""

    case: str
    entry: str
    column: str


class Target(NamedTuple):
    """A bound for the ratio of two cells: at least (`floor`) or at most."""

    name: str
    above: Cell
    below: Cell
    bound: float
    floor: bool = True


class Verdict(NamedTuple):
    """What was measured of a target; None where it could not be."""

    target: Target
    measured: float | None

    @property
    def met(self) -> bool | None:
        """Whether it holds; None where nothing was measured."""
        if self.measured is None:
            return None
        # As it is shown: with two decimals.
        value, bound = round(self.measured, 2), self.target.bound
        return value >= bound if self.target.floor else value <= bound


WEBSOCKETS: Final = "raw websockets + json.loads"
BY_HAND: Final = "stock BehaviorSubject by hand"
AIOHTTP: Final = "raw aiohttp + json.loads"
PICOWS: Final = "raw picows + json.loads"
STORE: Final = "store"
STORES: Final = "stores"


def _faster(store: str, rival: str, size: str, bound: float) -> Target:
    short = rival.replace(" + json.loads", "").replace(" by hand", "")
    name = f"receive {size}: {store} against {short}"
    return Target(name, Cell("receive", rival, size), Cell("receive", store, size), bound)


def _cost(
    name: str, case: str, ours: tuple[str, str], theirs: tuple[str, str], bound: float
) -> Target:
    return Target(name, Cell(case, *ours), Cell(case, *theirs), bound, floor=False)


TARGETS: Final = (
    _faster(STORE, WEBSOCKETS, "0.1 KB", 1.1),
    _faster(STORE, BY_HAND, "0.1 KB", 1.3),
    _faster(STORE, AIOHTTP, "0.1 KB", 1.1),
    _faster(STORE, PICOWS, "0.1 KB", 0.9),
    _faster(STORE, WEBSOCKETS, "1 KB", 1.3),
    _cost("round trip p50: store / raw websockets", "round trip",
          ("store, awaited", "p50"), ("raw websockets", "p50"), 1.05),
    _cost("an observer of 1,000: store / stock Subject", "fan-out",
          ("store", "1,000"), ("stock Subject", "1,000"), 1.2),
    _cost("an idle connection: store / raw websockets, no compression", "memory",
          ("store", "no compression"), ("raw websockets", "no compression"), 1.6),
    _cost("an idle connection: store / raw websockets, default", "memory",
          ("store", "default"), ("raw websockets", "default"), 1.6),
    _cost("a message: 2,000 stores / 1 store", "many stores",
          (STORES, "2,000"), (STORES, "1"), 1.25),
    _cost("import: the library / the three, what a program needs of them", "import",
          ("heimdall_reactive", "ms"), ("the three, by use", "ms"), 1.2),
)  # fmt: skip


def _rounds(results: Mapping[str, Any], cell: Cell) -> Rounds | None:
    entries = results.get(cell.case, {}).get("entries", {})
    rounds: Rounds | None = entries.get(cell.entry, {}).get(cell.column, {}).get("rounds")
    return rounds


def judge(results: Mapping[str, Any]) -> list[Verdict]:
    """Compare the cases of results.json with the targets."""
    verdicts = []
    for target in TARGETS:
        above, below = _rounds(results, target.above), _rounds(results, target.below)
        measured = ratio(above, below) if above and below else None
        verdicts.append(Verdict(target, measured))
    return verdicts


def regressions(now: Mapping[str, Any], committed: Mapping[str, Any]) -> list[str]:
    """Return where a quick run falls below the committed ratios by more than the margin."""
    found = []
    for new, old in zip(judge(now), judge(committed), strict=True):
        if new.measured is None or old.measured is None:
            continue
        if new.target.floor and new.measured < (least := old.measured * MARGIN):
            found.append(f"{new.target.name}: {new.measured:.2f}, at least {least:.2f} is wanted")
        elif not new.target.floor and new.measured > (most := old.measured / MARGIN):
            found.append(f"{new.target.name}: {new.measured:.2f}, at most {most:.2f} is wanted")
    return found
