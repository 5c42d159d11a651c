"""Virtual time: the clock jumps, threads are waited for, and nothing hangs or stays behind."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from heimdall_reactive import ConfigurationError, Status, TokenError, use_websocket
from heimdall_reactive.testing import Deadlock, ScriptedPeer, Unreachable, VirtualTimeLoop, run
from tests.support import record

URL = "ws://localhost/v1/ws"


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    loop = VirtualTimeLoop()
    yield loop
    loop.close()


class TestClock:
    def test_hours_pass_in_no_time_and_timers_fire_in_order(self) -> None:
        async def main() -> list[tuple[str, float]]:
            seen: list[tuple[str, float]] = []

            async def note(name: str, seconds: float) -> None:
                await asyncio.sleep(seconds)
                seen.append((name, now()))

            await asyncio.gather(note("late", 3000.5), note("soon", 0.1), note("day", 3 * 86400))
            return seen

        began = time.process_time()
        assert run(main, timeout=None) == [("soon", 0.1), ("late", 3000.5), ("day", 259200.0)]
        assert time.process_time() - began < 1

    def test_a_coroutine_is_run_as_well_as_a_function(self) -> None:
        async def main() -> int:
            return 1

        assert run(main()) == 1

    @pytest.mark.heimdall_virtual_time
    async def test_a_wait_inside_still_times_out_in_virtual_time(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(90):
                await asyncio.Event().wait()
        assert now() == 90

    def test_idle_returns_before_time_passes(self, loop: VirtualTimeLoop) -> None:
        seen: list[str] = []

        async def main() -> None:
            loop.call_later(5, seen.append, "timer")
            loop.call_soon(lambda: loop.call_soon(seen.append, "soon"))
            await loop.idle()
            assert seen == ["soon"]
            assert now() == 0

        loop.run_until_complete(main())

    def test_a_test_without_coroutines_steps_the_clock(self, loop: VirtualTimeLoop) -> None:
        peer = ScriptedPeer()
        store = use_websocket(URL, loop=loop, transport=peer, reconnect_delay=10)
        loop.advance()
        assert store.connected
        assert peer.link is not None
        peer.link.drop()
        loop.advance()
        assert store.state.value.status is Status.WAITING
        loop.advance(9.5)
        assert store.state.value.status is Status.WAITING
        loop.advance(2.5)  # with the delay's jitter of 20 %
        assert store.state.value.session == 2
        loop.run_until_complete(store.aclose())
        assert loop.timers == []

    def test_the_timers_that_are_set_can_be_seen(self, loop: VirtualTimeLoop) -> None:
        second = loop.call_later(2, print)
        first = loop.call_later(1, print)
        loop.call_later(3, print).cancel()
        assert loop.timers == [first, second]

    @pytest.mark.heimdall_virtual_time
    async def test_sockets_are_refused_in_words_that_help(self) -> None:
        async with use_websocket(URL) as store:
            state = await store.wait_for(lambda s: s.status is Status.FAILED)
            assert isinstance(state.error, ConfigurationError)
            assert "transport=ScriptedPeer()" in str(state.error)


class TestWallClock:
    @pytest.mark.heimdall_virtual_time
    async def test_the_times_of_a_store_are_by_the_virtual_wall_clock(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        peer = ScriptedPeer(Unreachable())
        async with use_websocket(URL, transport=peer, reconnect_delay=lambda _: 90) as store:
            state = await store.wait_for(lambda s: s.status is Status.WAITING)
            assert state.retry_at == loop.wall() + 90
            state = await store.wait_connected()
            assert state.connected_at == loop.wall()
            assert now() == 90

    @pytest.mark.heimdall_virtual_time
    async def test_a_machine_that_slept_through_a_delay_dials_soon(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        peer = ScriptedPeer(Unreachable())
        async with use_websocket(URL, transport=peer, reconnect_delay=3000) as store:
            await store.wait_for(lambda s: s.status is Status.WAITING)
            loop.suspend(8 * 3600)
            assert now() == 0
            await store.wait_connected()
            assert now() < 5

    @pytest.mark.heimdall_virtual_time
    async def test_a_link_that_died_in_sleep_is_found_soon(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        peer = ScriptedPeer()
        options: dict[str, Any] = {"ping_interval": 600, "ping_timeout": 600}
        async with use_websocket(URL, transport=peer, **options) as store:
            await store.wait_connected()
            (await peer.accepted()).silence()
            loop.suspend(8 * 3600)
            await store.wait_for(lambda s: s.session == 2)
            assert now() < 30


class TestEnd:
    def test_a_deadlock_is_an_error_that_names_who_waits_and_where(self) -> None:
        async def stuck() -> None:
            await asyncio.Event().wait()

        async def main() -> None:
            await asyncio.create_task(stuck(), name="the-stuck-one")

        with pytest.raises(Deadlock, match=r"nothing will ever happen.*the-stuck-one in .*stuck"):
            run(main)

    def test_a_timer_that_never_comes_is_no_reason_to_go_on(self) -> None:
        with pytest.raises(Deadlock):
            run(lambda: asyncio.sleep(float("inf")))

    def test_a_test_that_takes_too_long_is_ended_and_cleans_up(self) -> None:
        cleaned: list[float] = []

        async def main() -> None:
            try:
                while True:
                    await asyncio.wait_for(asyncio.sleep(7), None)
            finally:
                await asyncio.sleep(100)
                cleaned.append(now())

        with pytest.raises(TimeoutError, match=r"not done at 60 virtual seconds.* in .*main"):
            run(main, timeout=60)
        assert cleaned == [156.0]

    def test_a_task_that_is_left_fails_the_test(self) -> None:
        left: list[asyncio.Task[Any]] = []

        async def main() -> None:
            left.append(asyncio.create_task(asyncio.sleep(1), name="left-behind"))

        with pytest.raises(AssertionError, match=r"tasks left.*left-behind"):
            run(main)
        assert left[0].cancelled()

    def test_a_task_that_ends_by_itself_at_once_is_none_that_is_left(self) -> None:
        tasks: list[asyncio.Task[Any]] = []

        async def main() -> None:
            tasks.append(asyncio.create_task(asyncio.sleep(0)))

        run(main)

    def test_what_a_callback_raises_fails_the_test(self) -> None:
        async def main() -> None:
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
            await asyncio.sleep(1)

        with pytest.raises(AssertionError, match="ZeroDivisionError") as caught:
            run(main)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)

    def test_what_a_callback_raised_is_noted_on_the_error_that_it_led_to(self) -> None:
        async def main() -> None:
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
            await asyncio.Event().wait()

        with pytest.raises(Deadlock) as caught:
            run(main)
        assert "ZeroDivisionError" in caught.value.__notes__[0]

    def test_the_error_of_the_test_itself_comes_out(self) -> None:
        async def main() -> None:
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            run(main)


class TestThreads:
    def test_the_clock_stands_still_while_a_provider_runs(self) -> None:
        def provide() -> str:
            time.sleep(0.03)  # its work: no synchronisation
            return "t0ken"

        async def main() -> None:
            peer = ScriptedPeer()
            async with use_websocket(URL, transport=peer, access_token=provide) as store:
                asyncio.get_running_loop().call_later(0.001, lambda: None)
                await store.wait_connected()
                assert now() == 0
                assert peer.dials[0].token == "t0ken"

        run(main)

    def test_a_provider_that_hangs_times_out_in_virtual_time(self) -> None:
        release = threading.Event()

        def provide() -> str:
            release.wait(20)
            return "late"

        async def main() -> None:
            options: dict[str, Any] = {"token_timeout": 3000, "reconnect_delay": lambda _: None}
            async with use_websocket(
                URL, transport=ScriptedPeer(), access_token=provide, **options
            ) as store:
                errors = record(store.errors)
                await store.wait_for(lambda s: s.status is Status.FAILED)
                assert isinstance(errors[0], TokenError)
                assert now() == 3000

        began = time.monotonic()
        try:
            run(main, grace=0.1)
        finally:
            release.set()
        assert 0.1 <= time.monotonic() - began < 5

    @pytest.mark.heimdall_virtual_time
    async def test_the_clock_stands_still_while_an_executor_works(self) -> None:
        asyncio.get_running_loop().call_later(0.001, lambda: None)
        await asyncio.to_thread(time.sleep, 0.03)
        assert now() == 0
        await asyncio.sleep(1)  # its idle thread does not hold the clock
        assert now() == 1

    def test_a_thread_from_before_can_still_save_the_program(self) -> None:
        loops: list[asyncio.AbstractEventLoop] = []
        ready, done = threading.Event(), asyncio.Event()

        def post() -> None:
            ready.wait(5)
            time.sleep(0.03)  # so that the loop waits already
            loops[0].call_soon_threadsafe(done.set)

        async def main() -> None:
            loops.append(asyncio.get_running_loop())
            ready.set()
            await done.wait()

        thread = threading.Thread(target=post)
        thread.start()
        run(main)
        thread.join(5)

    def test_with_a_thread_that_does_nothing_a_deadlock_is_found_after_the_grace(self) -> None:
        release = threading.Event()
        thread = threading.Thread(target=release.wait, args=(20,))
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(Deadlock):
                run(lambda: asyncio.Event().wait(), grace=0.1)
        finally:
            release.set()
            thread.join(5)
        assert 0.1 <= time.monotonic() - began < 5
