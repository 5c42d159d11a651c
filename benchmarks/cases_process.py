"""What needs no wire: the fan-out to observers, and what the state costs."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from reactivex.subject import BehaviorSubject, Subject

from heimdall_reactive import ConnectionState, Status, WebSocketStore, use_websocket

from .measuring import Case, Measure, Stage, Step
from .payloads import SIZES, payload
from .receiving import Flood, on_loop, store_client

__all__ = ["fan_out", "state"]

OBSERVERS: Final = {"1": 1, "10": 10, "100": 100, "1,000": 1000}
DELIVERIES: Final = 300_000
TRANSITIONS: Final = 30_000  # deliveries of states
NOWHERE: Final = "ws://127.0.0.1:9"  # is never connected to


def fan_out(stage: Stage) -> Case:
    """Build the case of one emission to many observers."""
    steps = []
    for column, observers in OBSERVERS.items():
        count = stage.count(DELIVERIES) // max(observers, 3)
        for entry, measure in (
            ("store", lambda n, c: asyncio.run(_store_emits(n, c))),
            ("stock Subject", functools.partial(_stock_emits, Subject)),
            ("stock BehaviorSubject", functools.partial(_stock_emits, _behavior_subject)),
        ):
            steps.append(Step(entry, _an_observer(column, observers, count, measure)))
    return Case("fan-out", "One emission to many", "ns an observer", "observers", steps)


def state(stage: Stage) -> Case:
    """Build the case of a state with observers and without."""
    text, steps = payload(SIZES["0.1 KB"]), []
    for column, observers in {"0": 0, "1": 1, "100": 100}.items():
        received = on_loop(store_client(functools.partial(_watch, observers=observers)))
        flood = Flood(stage.url, text, stage.count(30_000))
        changes = stage.count(TRANSITIONS) // max(observers, 3)
        steps += [
            Step(
                "a message from the wire",
                lambda c=column, r=received, f=flood: {c: r(f) * 1e6},  # type: ignore[misc]
            ),
            Step(
                "a transition of the store",
                lambda c=column, o=observers, n=changes: {c: asyncio.run(_moves(o, n)) * 1e6},  # type: ignore[misc]
            ),
            Step(
                "a stock BehaviorSubject of snapshots",
                lambda c=column, o=observers, n=changes: {c: _stock_moves(o, n) * 1e6},  # type: ignore[misc]
            ),
        ]
    return Case("state", "Who looks at the state", "µs each", "observers of the state", steps)


def _an_observer(
    column: str, observers: int, count: int, measure: Callable[[int, int], float]
) -> Measure:
    return lambda: {column: measure(observers, count) / observers * 1e9}


def _look(_: object) -> None:
    """Observe."""


async def _store_emits(observers: int, count: int) -> float:
    """Return seconds an emission; inside a loop, as messages come."""
    async with use_websocket(NOWHERE, immediate=False, message_type=int) as store:
        for _ in range(observers):
            store.messages.subscribe(_look)
        return _seconds(store._core.publisher.on_incoming, count)


def _behavior_subject() -> Subject[Any]:
    return BehaviorSubject(None)


def _stock_emits(make: Callable[[], Subject[Any]], observers: int, count: int) -> float:
    subject = make()
    for _ in range(observers):
        subject.subscribe(_look)
    return _seconds(subject.on_next, count)


def _seconds(emit: Callable[[Any], object], count: int) -> float:
    began = perf_counter()
    for value in range(count):
        emit(value)
    return (perf_counter() - began) / count


def _watch(store: WebSocketStore[Any], observers: int) -> None:
    for _ in range(observers):
        store.state.subscribe(_look)


SNAPSHOTS: Final = (ConnectionState(status=Status.CONNECTING), ConnectionState())


async def _moves(observers: int, count: int) -> float:
    async with use_websocket(NOWHERE, immediate=False, message_type=int) as store:
        _watch(store, observers)
        return _seconds(lambda number: store._core.publisher.on_state(SNAPSHOTS[number % 2]), count)


def _stock_moves(observers: int, count: int) -> float:
    subject: BehaviorSubject[ConnectionState] = BehaviorSubject(ConnectionState())
    for _ in range(observers):
        subject.subscribe(_look)
    return _seconds(lambda number: subject.on_next(SNAPSHOTS[number % 2]), count)
