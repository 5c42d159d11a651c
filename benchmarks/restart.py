"""Restart: a server goes away and comes back; do its stores come back as a herd?"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from heimdall_reactive import (
    Backoff,
    ConnectionState,
    RetryContext,
    Status,
    WebSocketStore,
    use_websocket,
)
from heimdall_reactive.base.options import OptionsDict

from . import machine
from .restart_report import Outcome, bound, draw, show

__all__ = ["main", "restart"]

BATCH: Final = 50  # stores that dial at once in the beginning: the server's backlog has 100
PATIENCE: Final = 60.0  # seconds until all have to be back
SPARE: Final = 100  # descriptors for all but the stores
FIXED: Final = 3.0  # seconds: the constant delay of the library, here without its jitter


COMMON: Final[OptionsDict] = {
    "immediate": False, "compression": None, "max_reconnect_attempts": None,
}  # fmt: skip


class Watcher:
    """Notes when stores lose their connection, dial, and are back.

    Args:
        stores: how many are awaited.
        clock: returns seconds.
    """

    def __init__(self, stores: int, clock: Callable[[], float]) -> None:
        self.armed = False
        self.lost: list[float] = []
        self.dials: list[float] = []
        self.back: list[float] = []
        self.all_back = asyncio.Event()
        self._stores = stores
        self._clock = clock

    def __call__(self, pair: tuple[ConnectionState, ConnectionState]) -> None:
        """Handle a transition."""
        before, after = pair
        if not self.armed:
            return
        if before.status is Status.CONNECTED:
            self.lost.append(self._clock())
        if after.status is Status.CONNECTING:
            self.dials.append(self._clock())
        elif after.status is Status.CONNECTED:
            self.back.append(self._clock())
            if len(self.back) >= self._stores:
                self.all_back.set()

    def tell(self, outcome: Outcome) -> None:
        """Enter what was noted, in seconds since the first loss."""
        first = self.lost[0] if self.lost else self._clock()
        outcome.attempts = [at - first for at in self.dials]
        outcome.all_back = self.back[-1] - first if self.all_back.is_set() else None


async def restart(
    server: subprocess.Popen[str], url: str, outcome: Outcome, options: OptionsDict, downtime: float
) -> None:
    """Let the server restart while the stores of one kind of delay are connected."""
    loop = asyncio.get_running_loop()
    outcome.before = machine.holdings()
    watcher = Watcher(outcome.stores, loop.time)
    stores = [
        use_websocket(url + "/v1/ws", message_type=str, **options) for _ in range(outcome.stores)
    ]
    await _connect(stores, watcher)
    outcome.connected, outcome.timers = machine.holdings(), machine.timers(loop)
    watcher.armed = True
    _command(server, f"restart {downtime}")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(watcher.all_back.wait(), PATIENCE)
    watcher.armed = False
    watcher.tell(outcome)
    await asyncio.gather(*(store.aclose() for store in stores))
    stores.clear()
    await asyncio.sleep(0.1)
    outcome.after, outcome.timers_after = machine.holdings(), machine.timers(loop)


async def _connect(stores: Sequence[WebSocketStore[str]], watcher: Watcher) -> None:
    for store in stores:
        store.transitions.subscribe(watcher)
    for start in range(0, len(stores), BATCH):
        batch = stores[start : start + BATCH]
        for store in batch:
            store.connect()
        await asyncio.gather(*(store.wait_connected(PATIENCE) for store in batch))
    await asyncio.sleep(0.1)


def _command(server: subprocess.Popen[str], line: str) -> None:
    assert server.stdin is not None
    server.stdin.write(line + "\n")
    server.stdin.flush()


@contextlib.contextmanager
def _server(descriptors: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the server in a process of its own; give it and its URL."""
    program = [sys.executable, "-m", "benchmarks.restart_server", str(descriptors)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.stdin.close()


def _fixed(_: RetryContext) -> float:
    return FIXED


def _policies(initial: float) -> dict[str, tuple[str, OptionsDict]]:
    cap = 4 * initial
    return {
        "backoff": (
            f"Backoff(initial={initial:g}, cap={cap:g}), full jitter",
            {"reconnect_delay": Backoff(initial=initial, cap=cap)},
        ),
        "default": ("the default, 3 s with up to 20 % jitter", {}),
        "fixed": ("3 s for everybody, without jitter", {"reconnect_delay": _fixed}),
    }


def _affordable(stores: int) -> int:
    """Return how many stores the limit of open files lets this process have."""
    limit = machine.raise_descriptor_limit(stores + SPARE)
    if limit >= stores + SPARE:
        return stores
    print(f"only {limit} files may be open here: {limit - SPARE} stores instead of {stores}")
    return limit - SPARE


async def _run(options: argparse.Namespace) -> list[Outcome]:
    stores = _affordable(options.stores)
    policies = _policies(options.initial)
    outcomes = []
    with _server(stores + SPARE) as (server, url):
        for policy in options.policy or policies:
            name, chosen = policies[policy]
            outcome = Outcome(name, stores)
            if policy == "backoff":
                outcome.limit = bound(stores, options.initial)
            await restart(server, url, outcome, {**COMMON, **chosen}, options.downtime)
            outcomes.append(outcome)
            print(show(outcome), end="\n\n", flush=True)
    return outcomes


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restart", description=__doc__)
    parser.add_argument("--stores", type=int, default=1000)
    parser.add_argument("--policy", action="append", choices=list(_policies(1.0)))
    parser.add_argument("--initial", type=float, default=2.0, help="of the Backoff, in seconds")
    parser.add_argument("--downtime", type=float, default=0.5, help="of the server, in seconds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--png", type=Path, metavar="FILE")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it from the command line; return 1 where something does not hold."""
    options = _parse(arguments)
    logging.getLogger("heimdall_reactive").setLevel(logging.CRITICAL)
    print(machine.describe())
    outcomes = asyncio.run(_run(options))
    if options.json is not None:
        results: list[dict[str, Any]] = [outcome.to_json() for outcome in outcomes]
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.png is not None:
        draw(outcomes, options.png)
    return 1 if any(outcome.broken for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
