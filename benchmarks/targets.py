"""The ratios that the project has set itself, and what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from .measuring import Rounds, ratio

__all__ = [
    "ALONE", "KEPT", "LOG_TARGETS", "MARGIN", "TARGETS", "WITH_FAST", "Cell", "Target", "Verdict",
    "judge", "regressions",
]  # fmt: skip

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
ALONE: Final = "the bytes alone, not parsed"
WITH_FAST: Final = "store, on uvloop"
NATS_IN: Final = "plain nats-py, no socket"
NATS_OUT: Final = "plain nats-py, fetch + json"


def _faster(
    case: str, column: str, rival: str, bound: float, store: str = STORE, what: str = ""
) -> Target:
    """Make a target of times that a rival takes longer."""
    short = rival.partition(" + ")[0].replace(" by hand", "")
    name = f"{what or f'{case} {column}'}: {store} against {short}"
    return Target(name, Cell(case, rival, column), Cell(case, store, column), bound)


def _sends(size: str, rival: str, bound: float) -> Target:
    what = f"send {size} in bursts"
    return _faster("send", size, f"{rival} + json.dumps", bound, what=what)


def _cost(
    name: str, case: str, ours: tuple[str, str], theirs: tuple[str, str], bound: float
) -> Target:
    return Target(name, Cell(case, *ours), Cell(case, *theirs), bound, floor=False)


def _log(name: str, case: str, ours: str, theirs: str, column: str, bound: float) -> Target:
    return _cost(name, case, (ours, column), (theirs, column), bound)


TARGETS: Final = (
    _sends("0.1 KB", "raw aiohttp", 1.2),
    _sends("0.1 KB", "raw websockets", 1.8),
    _sends("1 KB", "raw aiohttp", 1.5),
    _faster("receive", "0.1 KB", AIOHTTP, 1.3),
    _faster("receive", "0.1 KB", PICOWS, 1.1),
    _faster("deflate", "1 KB", AIOHTTP, 1.05, what="receive 1 KB, compressed"),
    _faster("deflate", "1 KB", AIOHTTP, 1.5, WITH_FAST, "receive 1 KB, compressed, extra `fast`"),
    _faster("tls", "0.1 KB", AIOHTTP, 1.1, what="receive 0.1 KB over TLS"),
    _faster("large", "1 MB binary, CPU", "raw picows", 0.85, what="receive 1 MB, binary, CPU"),
    _cost("round trip p50: store / raw aiohttp", "round trip",
          ("store, awaited", "p50"), ("raw aiohttp", "p50"), 1.0),
    _cost("memory of an idle connection: store / raw websockets, no compression", "memory",
          (STORE, "no compression"), ("raw websockets", "no compression"), 1.3),
    _cost("idle CPU: 2,000 stores / 2,000 raw websockets", "idle CPU",
          ("stores", "2,000 connections"), ("raw websockets", "2,000 connections"), 1.0),
    _cost("a message: 2,000 stores / 1 store", "many stores",
          ("stores", "2,000"), ("stores", "1"), 1.25),
    _cost("import: the library / the three, what a program needs of them", "import",
          ("heimdall_reactive", "ms"), ("the three, by use", "ms"), 1.05),
)  # fmt: skip
LOG_TARGETS: Final = (
    _log("CPU a message: ingest / plain nats-py publishing with a window", "log in",
         "ingest", NATS_IN, "8", 0.55),
    _log("CPU a message: `use_log` / nats-py fetch + json.loads", "log out",
         "use_log", NATS_OUT, "8", 0.35),
    _log("CPU a message: source of Spark, 20,000 a batch / nats-py fetch + json.loads", "log out",
         "source of Spark, 20,000 a batch", NATS_OUT, "8", 0.5),
)  # fmt: skip
# What is so, and stays so: a quick run holds these ratios too.
KEPT: Final = (
    _faster("receive", "0.1 KB", WEBSOCKETS, 1.1),
    _faster("receive", "0.1 KB", BY_HAND, 1.3),
    _faster("receive", "1 KB", WEBSOCKETS, 1.3),
    _cost("round trip p50: store / raw websockets", "round trip",
          ("store, awaited", "p50"), ("raw websockets", "p50"), 1.05),
    _cost("an observer of 1,000: store / stock Subject", "fan-out",
          (STORE, "1,000"), ("stock Subject", "1,000"), 1.2),
)  # fmt: skip


def _rounds(results: Mapping[str, Any], cell: Cell) -> Rounds | None:
    entries = results.get(cell.case, {}).get("entries", {})
    rounds: Rounds | None = entries.get(cell.entry, {}).get(cell.column, {}).get("rounds")
    return rounds


def judge(results: Mapping[str, Any], targets: Sequence[Target] = TARGETS) -> list[Verdict]:
    """Compare the cases of results.json with targets."""
    verdicts = []
    for target in targets:
        above, below = _rounds(results, target.above), _rounds(results, target.below)
        measured = ratio(above, below) if above and below else None
        verdicts.append(Verdict(target, measured))
    return verdicts


def regressions(now: Mapping[str, Any], committed: Mapping[str, Any]) -> list[str]:
    """Return where a quick run falls below the committed ratios by more than the margin."""
    found = []
    held = TARGETS + KEPT
    for new, old in zip(judge(now, held), judge(committed, held), strict=True):
        if new.measured is None or old.measured is None:
            continue
        if new.target.floor and new.measured < (least := old.measured * MARGIN):
            found.append(f"{new.target.name}: {new.measured:.2f}, at least {least:.2f} is wanted")
        elif not new.target.floor and new.measured > (most := old.measured / MARGIN):
            found.append(f"{new.target.name}: {new.measured:.2f}, at most {most:.2f} is wanted")
    return found
