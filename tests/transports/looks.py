"""Time that passes by being looked at: what a turn of the event loop does is counted, not timed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Final

import pytest

__all__ = ["FRAMES_A_LOOK", "FRAMES_A_TURN", "LOOKS_A_TURN", "Looks"]

STEP: Final = 0.005  # seconds a look; a turn has 0.02
FRAMES_A_LOOK: Final = 8
FRAMES_A_TURN: Final = 5 * FRAMES_A_LOOK
LOOKS_A_TURN: Final = 6  # the first one begins it


class Looks:
    """The clock of the turns: each look at it takes 5 ms.

    Attributes:
        count: how often it was looked at.
        longest: the most looks between two callbacks of the event loop.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.longest = 0
        clock = SimpleNamespace(perf_counter=self)
        monkeypatch.setattr("heimdall_reactive.transports.turns.time", clock)

    def __call__(self) -> float:
        self.count += 1
        return self.count * STEP

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        """Count the looks between the callbacks of a program that wants every turn."""
        loop = asyncio.get_running_loop()
        before, counting = self.count, True

        def callback() -> None:
            nonlocal before
            self.longest = max(self.longest, self.count - before)
            before = self.count
            if counting:
                loop.call_soon(callback)

        loop.call_soon(callback)
        try:
            yield
        finally:
            counting = False
