"""One call of a provider at a time, however often an attempt gives up."""

from __future__ import annotations

import asyncio
import threading

import pytest

from heimdall_reactive.connecting.providers import ProviderCalls
from tests.support import no_more_threads, run

GIVEN_UP = (None, "gave no answer within 0.01 s")


def test_a_provider_that_blocks_costs_one_thread_and_its_late_answer_goes_to_nobody() -> None:
    called: list[threading.Thread] = []
    over = threading.Event()

    def provider() -> int:
        called.append(threading.current_thread())
        assert over.wait(8)
        return len(called)

    async def main() -> None:
        calls = ProviderCalls()
        assert [await calls.within(provider, 0.01) for _ in range(3)] == [GIVEN_UP] * 3
        assert len(called) == 1
        waits = asyncio.ensure_future(calls.within(provider, 8))
        over.set()
        assert await waits == (2, None)
        await calls.aclose(8)

    run(main)
    for thread in called:
        thread.join(8)


def test_a_provider_that_blocks_does_not_hold_up_another_one() -> None:
    over, called = threading.Event(), list[str]()

    def blocks() -> None:
        called.append("blocks")
        assert over.wait(8)

    async def answers() -> str:
        return "token"

    async def main() -> None:
        calls = ProviderCalls()
        for _ in range(3):
            assert await calls.within(blocks, 0.01) == GIVEN_UP
            assert await calls.within(answers, 8) == ("token", None)
            assert await calls.within(lambda: "another", 8) == ("another", None)
        assert called == ["blocks"]
        over.set()
        await calls.aclose(8)

    run(main)


async def test_a_provider_that_refuses_to_be_cancelled_is_not_called_beside_itself() -> None:
    called: list[int] = []
    over = asyncio.Event()

    async def provider() -> int:
        called.append(len(called))
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue
        return len(called)

    calls = ProviderCalls()
    assert [await calls.within(provider, 0.01) for _ in range(3)] == [GIVEN_UP] * 3
    assert called == [0]
    waits = asyncio.ensure_future(calls.within(provider, 8))
    over.set()
    assert await waits == (2, None)
    await calls.aclose(8)


def test_what_ran_on_a_loop_that_was_closed_is_not_waited_for() -> None:
    over = threading.Event()
    called: list[threading.Thread] = []
    calls = ProviderCalls()

    def blocks() -> None:
        called.append(threading.current_thread())
        over.wait(8)

    async def give_up() -> None:
        assert await calls.within(blocks, 0.01) == GIVEN_UP
        await calls.aclose(8)

    async def ask_elsewhere() -> None:
        calls.forget()
        assert await calls.within(lambda: "fresh", 8) == ("fresh", None)

    run(give_up)
    run(ask_elsewhere)
    over.set()
    for thread in called:
        thread.join(8)


def test_a_provider_that_cancels_itself_is_named() -> None:
    async def cancels() -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        calls = ProviderCalls()
        assert await calls.within(cancels, 8) == (None, "was cancelled")
        assert await calls.within(lambda: "fresh", 8) == ("fresh", None)
        assert not list(calls._tasks)

    run(main)


def test_a_thread_of_a_provider_has_a_name_and_keeps_no_program_from_ending() -> None:
    async def main() -> tuple[str, bool]:
        def provider() -> tuple[str, bool]:
            here = threading.current_thread()
            return here.name, here.daemon

        answer, failure = await ProviderCalls().within(provider, 8)
        assert failure is None
        found: tuple[str, bool] = answer
        return found

    assert run(main) == ("heimdall-provider", True)


@pytest.mark.parametrize("raised", [SystemExit("secret"), KeyboardInterrupt("secret")])
def test_a_provider_that_wants_to_exit_ends_nothing(raised: BaseException) -> None:
    def provider() -> None:
        raise raised

    async def main() -> None:
        assert await ProviderCalls().within(provider, 8) == (None, "raised RuntimeError")

    run(main)


async def test_where_no_thread_can_start_a_provider_is_asked_on_this_one() -> None:
    calls = ProviderCalls()

    def fail() -> str:
        raise OSError("no")

    with no_more_threads():
        assert await calls.within(lambda: threading.current_thread().name, 8) == (
            threading.current_thread().name,
            None,
        )
        assert await calls.within(fail, 8) == (None, "raised OSError")
    await calls.aclose(8)
