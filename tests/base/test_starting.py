"""Tasks begin after their creator, with whatever task factory the event loop has."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from heimdall_reactive import use_websocket
from heimdall_reactive.base.starting import start_task
from heimdall_reactive.devserver import DevServer
from tests.support import run

Main = Callable[[], Awaitable[None]]


def plain(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    return asyncio.Task(work, loop=loop, **options)


FACTORIES: list[Any] = [None, plain]
if sys.version_info >= (3, 12):
    FACTORIES.append(asyncio.eager_task_factory)


@pytest.fixture(params=FACTORIES, ids=lambda factory: getattr(factory, "__name__", "none"))
def run_with(request: pytest.FixtureRequest) -> Callable[[Main], None]:
    """Run a test on a loop with a task factory."""

    def run_on(main: Main) -> None:
        async def on_such_a_loop() -> None:
            asyncio.get_running_loop().set_task_factory(request.param)
            await main()

        run(on_such_a_loop)

    return run_on


def test_a_task_begins_after_its_creator(run_with: Callable[[Main], None]) -> None:
    async def main() -> None:
        seen: list[object] = []

        async def work() -> int:
            seen.append(asyncio.current_task())
            return 1

        task = start_task(work(), "mine")
        assert (seen, task.get_name()) == ([], "mine")
        assert await task == 1
        assert seen == [task]

    run_with(main)


def test_a_task_that_is_cancelled_before_it_begins_leaves_nothing(
    run_with: Callable[[Main], None],
) -> None:
    async def main() -> None:
        async def work() -> None:
            raise AssertionError("it has begun")

        task = start_task(work())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_with(main)


async def test_a_custom_factory_makes_the_tasks() -> None:
    made: list[asyncio.Task[Any]] = []

    def noting(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **options)
        made.append(task)
        return task

    asyncio.get_running_loop().set_task_factory(noting)
    async with use_websocket("ws://127.0.0.1:9", auto_reconnect=False, loop="auto"):
        await asyncio.sleep(0)
    assert "heimdall-dial" in [task.get_name() for task in made]


def test_a_store_connects_tells_its_handlers_and_ends(run_with: Callable[[Main], None]) -> None:
    async def main() -> None:
        async with DevServer(require_token=False, echo=True) as server:
            url = f"{server.url}/v1/ws"
            store = use_websocket(url, share=True, share_linger=0.01, loop="auto")
            seen: asyncio.Queue[Any] = asyncio.Queue()
            statuses: list[str] = []
            store.state.subscribe(lambda state: statuses.append(state.status))
            store.on_message(seen.put)
            await store.wait_connected(5)
            store.send({"n": 1})
            async with asyncio.timeout(5):
                assert await seen.get() == {"n": 1}
            assert statuses == ["connecting", "connected"]
            await store.aclose()
            await server.wait_for_connections(0)

    run_with(main)
