"""Measure the library beside its rivals: `python -m benchmarks`; `--quick` guards the ratios."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from . import cases_send, machine, plots, report
from .cases_channels import channels
from .cases_many import idle_cpu, many_stores, memory, storm
from .cases_process import fan_out, state
from .cases_receive import (
    deflated,
    invalid,
    large,
    on_uvloop,
    receive,
    secure,
    secure_deflated,
)
from .cases_start import importing
from .cases_trip import round_trip
from .measuring import Case, Result, Stage, run
from .peer import running
from .targets import regressions

__all__ = ["CASES", "main"]

ROOT: Final = Path(__file__).parent.parent
IMAGES: Final = ROOT / "docs" / "images"
PAGES: Final = (ROOT / "docs" / "performance.md", ROOT / "docs" / "comparison.md")
ROUNDS: Final = 5
QUICK_ROUNDS: Final = 3

CASES: Final[dict[str, Callable[[Stage], Case]]] = {
    "receive": receive,
    "deflate": deflated,
    "tls": secure,
    "tls deflate": secure_deflated,
    "uvloop": on_uvloop,
    "large": large,
    "invalid": invalid,
    "round trip": round_trip,
    "send": cases_send.bursts,
    "send awaited": cases_send.awaited,
    "send thread": cases_send.from_thread,
    "send large": cases_send.large,
    "fan-out": fan_out,
    "state": state,
    "channels": channels,
    "many stores": many_stores,
    "memory": memory,
    "idle CPU": idle_cpu,
    "import": importing,
    "storm": storm,
}
# Neither sends nor what looks for the longest gap: other work on the machine moves their ratios.
QUICK: Final = ("receive", "deflate", "tls", "round trip", "fan-out", "import")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="compare ratios with --out; < 1 min")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}; quick {QUICK_ROUNDS}")
    parser.add_argument("--case", nargs="+", choices=list(CASES), metavar="NAME",
                        help=f"of {', '.join(CASES)}")  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results.json")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw there")
    parser.add_argument("--write-docs", action="store_true",
                        help="refresh the figures of the docs, and the plots")  # fmt: skip
    parser.add_argument("--no-run", action="store_true", help="only from the results there are")
    return parser.parse_args(arguments)


def measure(names: Sequence[str], rounds: int, quick: bool) -> list[Result]:
    """Measure cases one after the other; the peer is a process of its own."""
    results = []
    for name in names:
        began = time.monotonic()
        with running() as urls:
            stage = Stage(urls.plain, quick, urls.secure)
            result = run(CASES[name](stage), rounds)
        results.append(result)
        print(f"\n## {result.case.title} ({time.monotonic() - began:.0f} s)\n")
        print(report.table(result.to_json()))
        print("".join(f"\n{note}" for note in result.notes), end="", flush=True)
    return results


def _guard(results: Sequence[Result], out: Path) -> int:
    now = {result.case.name: result.to_json() for result in results}
    broken = regressions(now, report.load(out)["cases"])
    for line in broken:
        print(f"slower than it was: {line}")
    return 1 if broken else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it from the command line; return 1 where a quick run falls short."""
    options = _parse(arguments)
    print(machine.describe())
    names = options.case or (QUICK if options.quick else list(CASES))
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    results = [] if options.no_run else measure(names, rounds, options.quick)
    if options.quick:
        return _guard(results, options.out)
    document = report.load(options.out)
    if results:
        document = report.save(options.out, results, rounds, whole=options.case is None)
    print(f"\n## Targets\n\n{report.targets_table(document['cases'])}")
    if options.write_docs:
        report.write_docs(document, PAGES)
    folder = options.plots or (IMAGES if options.write_docs else None)
    if folder is not None:
        plots.draw(document["cases"], folder)
    return 0


if __name__ == "__main__":
    logging.getLogger("heimdall_reactive").setLevel(logging.CRITICAL)
    sys.exit(main())
