"""One timer for the sends that wait too long, and one report for those that expire together."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from heimdall_reactive import SendError
from heimdall_reactive.base.exceptions import StoreError
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.connecting.expiry import Expiry
from heimdall_reactive.connecting.outbox import Outbox
from heimdall_reactive.connecting.runtime import Runtime
from tests.virtual import loop

pytestmark = pytest.mark.heimdall_virtual_time


def made() -> tuple[Outbox, Expiry, list[tuple[float, StoreError]]]:
    outbox = Outbox(10, 100, ttl=5.0, clock=loop().time)
    reports: list[tuple[float, StoreError]] = []
    runtime = Runtime("auto", lambda: None, lambda: None)
    listener: Any = SimpleNamespace(on_error=lambda error: reports.append((loop().time(), error)))
    return outbox, Expiry(outbox, runtime, listener), reports


async def test_sends_expire_at_their_time_and_those_of_one_time_are_reported_together() -> None:
    outbox, expiry, reports = made()
    for pause, sends in ((2.0, 3), (60.0, 1), (60.0, 2)):
        for _ in range(sends):
            outbox.put(Frame(b"x", True))
            expiry.expect()
        assert len(loop().timers) <= 1 + (pause == 60.0)  # and that of this test
        await asyncio.sleep(pause)
    assert [(at, str(error)) for at, error in reports] == [
        (5.0, "not sent: 3 sends waited longer than send_ttl"),
        (7.0, "not sent: 1 send waited longer than send_ttl"),
        (67.0, "not sent: 2 sends waited longer than send_ttl"),
    ]
    assert all(isinstance(e, SendError) and e.state == "expired" for _, e in reports)
    assert loop().timers == []


async def test_what_was_stopped_expires_nothing_until_it_is_expected_again() -> None:
    outbox, expiry, reports = made()
    expiry.stop()
    receipt = outbox.put(Frame(b"x", True))
    expiry.expect()
    expiry.stop()
    assert loop().timers == []
    await asyncio.sleep(10)
    assert (receipt.state, reports) == ("queued", [])
    expiry.expect()
    await loop().idle()
    assert receipt.state == "expired"
    assert len(reports) == 1
