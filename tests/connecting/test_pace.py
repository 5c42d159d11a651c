"""At most so many sends in so many seconds, and one timer at most."""

from __future__ import annotations

import asyncio

import pytest

from heimdall_reactive.connecting.pace import SLACK, Pace
from tests.virtual import loop

pytestmark = pytest.mark.heimdall_virtual_time


async def test_a_window_slides_over_the_last_sends() -> None:
    pace, calls = Pace((2, 10.0), loop()), list[float]()

    def again() -> None:
        calls.append(loop().time())

    assert pace.allows(again)
    pace.count()
    await asyncio.sleep(4)
    assert pace.allows(again)
    pace.count()
    assert not pace.allows(again)
    assert not pace.allows(again)
    assert len(loop().timers) == 1
    await asyncio.sleep(6)
    assert calls == [10.0]
    assert pace.allows(again)  # that of 0 s has left the window
    pace.count()
    assert not pace.allows(again)
    await asyncio.sleep(10)
    assert calls == [10.0, 14.0]


async def test_a_timer_that_comes_a_little_early_is_in_time() -> None:
    pace = Pace((1, 10.0), loop())
    pace.count()
    await asyncio.sleep(10 - 2 * SLACK)
    assert not pace.allows(lambda: None)
    pace.stop()
    await asyncio.sleep(1.5 * SLACK)
    assert pace.allows(lambda: None)


async def test_after_the_stop_nothing_is_called_until_somebody_asks_again() -> None:
    pace, calls = Pace((1, 10.0), loop()), list[str]()
    pace.stop()
    pace.count()
    assert not pace.allows(lambda: calls.append("first"))
    pace.stop()
    assert loop().timers == []
    assert not pace.allows(lambda: calls.append("second"))
    await asyncio.sleep(60)
    assert calls == ["second"]
