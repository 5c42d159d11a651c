"""Kill copies of the ingest and the log, again and again: `python -m benchmarks.ingest_kills`.

A live-only server sends on 8 channels, 250 messages a second on each. Two redundant copies of
`heimdall-reactive ingest` are killed (SIGKILL) in turn and restarted, then `nats-server`; then the
same with one copy alone; then one of two copies, the log, or both together are killed by chance.
Each round has a server and a stream of its own. What the stream holds at the end is compared with
what was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from tests.dataflow.kills import Outcome, Times, chaos, one_alone, two_copies
from tests.dataflow.nats_server import NatsServer, version

__all__ = ["main"]


SCENARIOS: Final = (two_copies, one_alone, chaos)


def main() -> int:
    """Run the rounds, print a table, and return 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--up", type=float, default=2.0, help="seconds between two crashes")
    parser.add_argument("--down", type=float, default=2.0, help="seconds until a restart")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--rate", type=float, default=250.0, help="messages a second and channel")
    known = [scenario.__name__ for scenario in SCENARIOS]
    parser.add_argument("--scenarios", nargs="+", choices=known, default=known)
    parser.add_argument("--json", type=Path, help="write the results there, too")
    options = parser.parse_args()
    print(f"nats-server {version()}, {options.channels} channels, {options.rate:g} messages/s each")
    print(f"{'scenario':<12}{'round':>6}{'seconds':>9}{'sent':>9}{'missing':>9}{'told':>7}"
          f"{'repeats':>9}{'disorder':>10}")  # fmt: skip
    rows = [
        _round(scenario, number, options)
        for number in range(1, options.rounds + 1)
        for scenario in SCENARIOS
        if scenario.__name__ in options.scenarios
    ]
    if options.json is not None:
        options.json.write_text(json.dumps({"nats-server": version(), "rounds": rows}, indent=1))
    broken = [row for row in rows if not row["kept"]]
    print(f"{len(rows) - len(broken)} of {len(rows)} rounds kept the promises")
    return 1 if broken else 0


def _round(
    scenario: Callable[..., Awaitable[Outcome]], number: int, options: argparse.Namespace
) -> dict[str, Any]:
    times = Times(options.up, options.down)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, NatsServer(Path(folder) / "nats") as server:

        async def run() -> Outcome:
            more = {"seed": number} if scenario is chaos else {}
            return await scenario(
                server, "kills", Path(folder), times, options.channels, options.rate, **more
            )

        found = asyncio.run(run())
    told = sum(gap.count or 0 for gap in found.gaps)
    row: dict[str, Any] = {
        "scenario": scenario.__name__, "round": number, "seconds": time.monotonic() - begun,
        "sent": found.sent, "missing": found.missing, "told": told, "repeats": found.repeats,
        "disorder": found.disorder,
    }  # fmt: skip
    row["kept"] = found.repeats == 0 and found.missing == told
    row["kept"] &= found.missing == 0 or scenario is one_alone
    print(f"{row['scenario']:<12}{number:>6}{row['seconds']:>9.1f}{found.sent:>9}"
          f"{found.missing:>9}{told:>7}{found.repeats:>9}{found.disorder:>10}",
          flush=True)  # fmt: skip
    return row


if __name__ == "__main__":
    raise SystemExit(main())
