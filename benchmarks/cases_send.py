"""Out: what a message costs that is sent until the peer has them all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Final

from . import machine
from .measuring import LIMIT, Case, Measure, Stage, Step
from .payloads import REQUEST, SIZES
from .sending import RIVALS, Message, Out, Sending, blocking_client, store

__all__ = ["awaited", "bursts", "from_thread", "large"]

SENDS: Final = {"0.1 KB": 15_000, "1 KB": 10_000}
BLOCKING: Final = 5  # those of websocket-client are as many times fewer
LARGE: Final = 400  # messages of 1 MB


def bursts(stage: Stage) -> Case:
    """Build the case of bursts that nobody awaits."""
    return _case(stage, "send", "From the loop to the peer, 64 in a turn", "bursts")


def awaited(stage: Stage) -> Case:
    """Build the case of sends that are awaited one by one."""
    return _case(stage, "send awaited", "The same, each awaited", "awaited")


def from_thread(stage: Stage) -> Case:
    """Build the case of sends from another thread."""
    return _case(stage, "send thread", "The same from another thread", "thread")


def large(stage: Stage) -> Case:
    """Build the case of large messages."""
    machine.warm()
    data, count = bytes(1_000_000), stage.count(LARGE)
    steps = [
        Step(entry, _measure(sending, "1 MB binary", Out(stage.url, data, count)))
        for entry, sending in {"store": store, **RIVALS}.items()
    ]
    return Case("send large", "Large messages, sent", "µs a message", "size", steps)


def _case(stage: Stage, name: str, title: str, way: str) -> Case:
    entries = {"store": store} | {f"{one} + json.dumps": RIVALS[one] for one in RIVALS}
    if way != "bursts":  # it has no loop that turns
        entries["websocket-client + json.dumps"] = blocking_client
    steps = []
    for size, full in SENDS.items():
        text = "x" * (SIZES[size] - len(json.dumps(REQUEST)) - 12)
        message: Message = {**REQUEST, "text": text}
        for entry, sending in entries.items():
            count = stage.count(full) // (BLOCKING if sending is blocking_client else 1)
            steps.append(Step(entry, _measure(sending, size, Out(stage.url, message, count, way))))
    return Case(name, title, "µs a message", "size", steps)


def _measure(sending: Sending, column: str, out: Out) -> Measure:
    def measure() -> Mapping[str, float]:
        spent = asyncio.run(asyncio.wait_for(sending(out), LIMIT))
        return spent.columns(column, out.count)

    return measure
