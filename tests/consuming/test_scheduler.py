from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import reactivex as rx
from reactivex import operators as ops
from reactivex.disposable import Disposable

from heimdall_reactive import ObserverError, use_websocket
from heimdall_reactive.devserver import serve_in_thread
from heimdall_reactive.testing import ScriptedPeer
from tests.support import record

URL = "ws://localhost/v1/ws"


async def feed(peer: ScriptedPeer, at: list[float]) -> None:
    """Send 0, 1, 2 ... at seconds after the session began."""
    link = await peer.accepted()
    passed = 0.0
    for n, moment in enumerate(at):
        await asyncio.sleep(moment - passed)
        passed = moment
        link.send(n)
    await asyncio.sleep(20)


@pytest.mark.parametrize(
    ("operator", "seen"),
    [
        (lambda s: ops.debounce(1.0, scheduler=s), [(1, 1.1), (3, 6.5), (4, 9.0)]),
        (lambda s: ops.throttle_first(1.0, scheduler=s), [(0, 0.0), (2, 5.0), (4, 8.0)]),
        (lambda s: ops.delay(2.0, scheduler=s), [(0, 2), (1, 2.1), (2, 7), (3, 7.5), (4, 10)]),
        (
            lambda s: ops.buffer_with_time(5.2, scheduler=s),
            [([0, 1, 2], 5.2), ([3, 4], 10.4), ([], 15.6)],
        ),
    ],
)
@pytest.mark.heimdall_virtual_time
async def test_time_operators_keep_the_time_of_the_stores_loop(operator: Any, seen: Any) -> None:
    peer = ScriptedPeer()
    clock = asyncio.get_running_loop().time
    async with use_websocket(URL, transport=peer) as store:
        began = clock()
        got: list[tuple[Any, float]] = []
        names: set[str] = set()

        def note(value: Any) -> None:
            got.append((value, clock() - began))
            names.add(threading.current_thread().name)

        store.messages.pipe(operator(store.scheduler)).subscribe(note)
        await feed(peer, [0.0, 0.1, 5.0, 5.5, 8.0])
        assert [value for value, _ in got[: len(seen)]] == [value for value, _ in seen]
        moments = [moment for _, moment in got[: len(seen)]]
        assert moments == pytest.approx([moment for _, moment in seen], abs=0.1)
        assert names == {"MainThread"}


@pytest.mark.heimdall_virtual_time
async def test_a_time_out_comes_over_a_reconnection_and_not_before() -> None:
    peer = ScriptedPeer()
    async with use_websocket(URL, transport=peer, reconnect_delay=1) as store:
        errors: list[Exception] = []
        quiet = store.messages.pipe(ops.timeout(5.0, scheduler=store.scheduler))
        quiet.subscribe(lambda _: None, errors.append)
        link = await peer.accepted()
        link.send(1)
        await asyncio.sleep(3)
        link.drop()
        (await peer.accepted()).send(2)
        await asyncio.sleep(4)
        assert errors == []
        await asyncio.sleep(2)
        assert len(errors) == 1


@pytest.mark.heimdall_virtual_time
async def test_an_interval_ends_with_its_subscription_and_with_the_store() -> None:
    store = use_websocket(URL, transport=ScriptedPeer())
    scheduler = store.scheduler
    first: list[int] = []
    second = record(rx.interval(1.0, scheduler=scheduler))
    subscription = rx.interval(1.0, scheduler=scheduler).subscribe(first.append)
    await asyncio.sleep(3.5)
    subscription.dispose()
    await asyncio.sleep(2)
    await store.aclose()
    assert not scheduler.timers
    scheduler.schedule(lambda *_: second.append(-1))
    await asyncio.sleep(5)
    assert (first, second) == ([0, 1, 2], [0, 1, 2, 3, 4])


def test_actions_of_a_thread_run_on_the_loop_and_what_it_disposed_of_does_not() -> None:
    with (
        serve_in_thread() as server,
        use_websocket(f"{server.url}/v1/ws/status", loop="thread") as store,
    ):
        done = threading.Event()
        seen: list[Any] = []

        def act(_: Any, state: Any = None) -> None:
            seen.append((state, threading.current_thread().name))
            if state == "last":
                done.set()

        began = time.monotonic()
        store.scheduler.schedule(act, "soon")
        store.scheduler.schedule_relative(0.02, act, "never").dispose()
        store.scheduler.schedule_relative(30.0, act, "late")
        store.scheduler.schedule_relative(timedelta(seconds=0.05), act, "last")
        assert done.wait(8)
        assert time.monotonic() - began >= 0.05
        assert seen == [("soon", "heimdall-reactive"), ("last", "heimdall-reactive")]


def test_disposing_from_another_running_loop_does_not_wait() -> None:
    with (
        serve_in_thread() as server,
        use_websocket(f"{server.url}/v1/ws/status", loop="thread") as store,
    ):
        busy, free = threading.Event(), threading.Event()

        def block(*_: Any) -> None:
            busy.set()
            free.wait(8)

        async def main() -> None:
            timer = store.scheduler.schedule_relative(10.0, block)
            store.scheduler.schedule(block)
            assert busy.wait(8)
            timer.dispose()
            free.set()

        asyncio.run(main())


@pytest.mark.heimdall_virtual_time(timeout=36000)
async def test_now_is_utc_and_follows_the_loop() -> None:
    async with use_websocket(URL, transport=ScriptedPeer()) as store:
        scheduler = store.scheduler
        before = scheduler.now
        assert abs(before - datetime.now(UTC)) < timedelta(seconds=5)
        await asyncio.sleep(60)
        assert (scheduler.now - before).total_seconds() == pytest.approx(60)
        seen: list[datetime] = []
        due = scheduler.now + timedelta(hours=1)
        scheduler.schedule_absolute(due, lambda s, _: seen.append(s.now))
        await asyncio.sleep(7200)
        assert abs(seen[0] - due) < timedelta(milliseconds=1)


@pytest.mark.heimdall_virtual_time
@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_what_an_action_raises_is_reported(error: type[BaseException]) -> None:
    async with use_websocket(URL, transport=ScriptedPeer()) as store:
        errors = record(store.errors)

        def fail(*_: Any) -> None:
            raise error

        store.scheduler.schedule(fail)
        await asyncio.sleep(1)
        (report,) = errors
        assert isinstance(report, ObserverError)
        assert (report.subject, report.ended) == ("scheduler", True)


@pytest.mark.heimdall_virtual_time
async def test_what_an_action_returns_is_disposed_of_with_it() -> None:
    async with use_websocket(URL, transport=ScriptedPeer()) as store:
        gone: list[int] = []
        timer = store.scheduler.schedule(lambda *_: Disposable(lambda: gone.append(1)))
        await asyncio.sleep(1)
        assert gone == []
        timer.dispose()
        assert gone == [1]
