"""Channels: what one more message costs where many are subscribed."""

from __future__ import annotations

import asyncio
import functools
from time import perf_counter
from typing import Any, Final

from reactivex import operators as ops
from reactivex.subject import Subject

from heimdall_reactive import ChannelMessage, use_websocket

from .measuring import Case, Measure, Stage, Step

__all__ = ["channels"]

CHANNELS: Final = {"1": 1, "100": 100, "10,000": 10_000}
MESSAGES: Final = 20_000
BY_HAND_LIMIT: Final = 100  # a filter for each channel looks at every message
NOWHERE: Final = "ws://127.0.0.1:9"  # is never connected to


def channels(stage: Stage) -> Case:
    """Build the case of messages to one of many channels, each with one observer."""
    steps = []
    for column, number in CHANNELS.items():
        count = stage.count(MESSAGES)
        store = functools.partial(_store_dispatches, number, count)
        steps.append(Step("store.channel(name)", _filling(column, store)))
        if number <= BY_HAND_LIMIT:
            by_hand = functools.partial(_filters_dispatch, number, count)
            steps.append(Step("a filter for each channel", _filling(column, by_hand)))
    return Case("channels", "A message to one of many channels", "µs each", "channels", steps)


def _filling(column: str, measure: Any) -> Measure:
    return lambda: {column: measure() * 1e6}


def _look(_: object) -> None:
    """Observe."""


def _messages(number: int) -> list[ChannelMessage]:
    return [ChannelMessage(channel=f"user:{n}", data="[1]") for n in range(min(number, 100))]


def _store_dispatches(number: int, count: int) -> float:
    async def main() -> float:
        async with use_websocket(NOWHERE, immediate=False) as store:
            for n in range(number):
                store.channel(f"user:{n}").subscribe(_look)
            await asyncio.sleep(0)  # the store compares what is wanted
            return _seconds(store._core.publisher.on_incoming, _messages(number), count)

    return asyncio.run(main())


def _filters_dispatch(number: int, count: int) -> float:
    subject: Subject[Any] = Subject()
    for n in range(number):
        name = f"user:{n}"
        subject.pipe(ops.filter(lambda m, name=name: m.channel == name)).subscribe(_look)  # type: ignore[misc]
    return _seconds(subject.on_next, _messages(number), count)


def _seconds(emit: Any, messages: list[ChannelMessage], count: int) -> float:
    rounds = max(1, count // len(messages))
    began = perf_counter()
    for _ in range(rounds):
        for message in messages:
            emit(message)
    return (perf_counter() - began) / (rounds * len(messages))
