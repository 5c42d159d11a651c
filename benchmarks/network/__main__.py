"""A real network that fails: `python -m benchmarks.network`, as root on Linux.

Clients and a server are processes in two namespaces, with a router between them that loses
packets, swallows them, and forgets connections. Both sides number what they send.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import machine

from .ends import PORT
from .judging import Figures, table, untrue
from .lab import SERVER, Lab, Process, missing
from .router import Order

__all__ = ["main"]

QUICK: Final = {"ping_interval": 2, "ping_timeout": 2}
CLIENTS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "the defaults": ("store", {}),
    "pings of 2 s": ("store", QUICK),
    "pings of 2 s, resend": ("store", {**QUICK, "resend": True}),
    "`websockets`": ("raw", {}),
    "`websockets`, pings of 2 s": ("raw", QUICK),
}
WARM: Final = (3.0, 12.0)  # seconds before a fault
SETTLED: Final = 90.0  # seconds after which a client counts as not back
LOOK: Final = 0.25
LAST: Final = 1.0  # seconds for the server to read what is under way


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    Attributes:
        begin: makes it so.
        seconds: how long; 0 where it cannot end.
        end: makes it good.
    """

    begin: Callable[[Lab], None]
    seconds: float = 0.0
    end: Callable[[Lab], None] = lambda lab: lab.router.order(Order())


def ordered(seconds: float = 0.0, **order: Any) -> Fault:
    """Return a fault of the router's."""
    return Fault(lambda lab: lab.router.order(Order(**order)), seconds)


FAULTS: Final[Mapping[str, Fault]] = {
    "5 % loss, 50 ms": ordered(20, loss=0.05, delay=0.05),
    "20 % loss, 50 ms": ordered(20, loss=0.2, delay=0.05),
    "reordered, 10 % twice": ordered(20, delay=0.02, jitter=0.1, twice=0.1),
    "black hole, 3 s": ordered(3, hole="both"),
    "black hole, 30 s": ordered(30, hole="both"),
    "black hole, 50 s": ordered(50, hole="both"),
    "black hole towards the server, 30 s": ordered(30, hole="up"),
    "black hole towards the client, 30 s": ordered(30, hole="down"),
    "NAT forgets, and drops": ordered(forget="drop"),
    "NAT forgets, and resets": ordered(forget="reset"),
    "link down, 10 s": Fault(lambda lab: lab.set_link(False), 10, lambda lab: lab.set_link(True)),
    "the server's process stands still, 30 s": Fault(
        lambda lab: lab.serving.signal(signal.SIGSTOP), 30,
        lambda lab: lab.serving.signal(signal.SIGCONT),
    ),
    "another address": Fault(Lab.move, 0.0, Lab.come_back),
}  # fmt: skip


def measure(lab: Lab, fault: Fault, warm: float, found: Mapping[str, Figures]) -> None:
    """Strike once, and judge every client."""
    with ExitStack() as stack:
        server = stack.enter_context(Process(lab.server, "ends", "server", SERVER, ""))
        lab.serving = server
        clients = {
            name: stack.enter_context(Process(
                lab.client, "ends", kind, f"ws://{SERVER}:{PORT}/{index}", json.dumps(options)
            ))
            for index, (name, (kind, options)) in enumerate(CLIENTS.items())
        }  # fmt: skip
        _wait(clients.values(), 0.0)
        time.sleep(warm)
        begin = time.monotonic()
        fault.begin(lab)
        time.sleep(fault.seconds)
        if fault.seconds:
            fault.end(lab)
        end = time.monotonic() if fault.seconds else begin
        _wait(clients.values(), end)
        for client in clients.values():
            client.tell("settle")
        for client in clients.values():
            client.answer()
        time.sleep(LAST)
        read = server.ask("report")
        for index, (name, client) in enumerate(clients.items()):
            found[name].add(client.ask("report"), read.get(str(index), []), begin, end)
    if not fault.seconds:
        fault.end(lab)


def _wait(clients: Any, since: float) -> None:
    """Wait until each client has heard what was published after a time."""
    until = time.monotonic() + SETTLED
    for client in clients:
        while client.ask("heard") <= since and time.monotonic() < until:
            time.sleep(LOOK)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write the results; exit with 1 where a store was untrue."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fault", choices=FAULTS, action="append", help="only these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="has the results; those of others stay"
    )
    options = parser.parse_args(arguments)
    if lacking := missing():
        print(f"not run: it needs {lacking}")
        return 2
    chance = random.Random(options.seed)
    began = datetime.now(UTC).isoformat(timespec="seconds")
    found = {fault: {name: Figures() for name in CLIENTS} for fault in options.fault or FAULTS}
    with Lab(options.seed) as lab:
        for turn in range(options.rounds):
            for name, figures in found.items():
                measure(lab, FAULTS[name], chance.uniform(*WARM), figures)
                print(f"round {turn + 1}, {name}", flush=True)
                for client, each in figures.items():
                    print(f"  {client}: {each.to_json()}", flush=True)
    cases = {
        fault: {name: each.to_json() for name, each in figures.items()}
        for fault, figures in found.items()
    }
    print(table(cases))
    if options.json:
        old = json.loads(options.json.read_text("utf-8")) if options.json.exists() else {}
        known = {**old.get("cases", {}), **cases}
        ordered_ones = {fault: known[fault] for fault in FAULTS if fault in known}
        result = {"machine": machine.describe(), "began": began, "cases": ordered_ones}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    stores = [name for name, (kind, _) in CLIENTS.items() if kind == "store"]
    wrong = [
        f"{fault}, {name}: {said}"
        for fault, clients in cases.items()
        for name in stores
        for said in untrue(clients[name])
    ]
    print("\n".join(wrong) or "no store said what was not so")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
