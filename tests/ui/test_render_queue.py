"""The hop to components that have no thread: what it does with calls that fail or are lost."""

from __future__ import annotations

import asyncio

import pytest

from heimdall_reactive.bindings.render_queue import RenderQueue, render_queue_of


class Tree:
    """Renders are held back in it."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


async def test_a_call_that_raises_in_a_render_leaves_the_others_their_turn() -> None:
    tree, ran = Tree(), asyncio.Event()
    problems: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: problems.append(type(context["exception"]).__name__)
    )

    def fail() -> None:
        raise ValueError

    hop = render_queue_of(tree)
    hop(fail)
    hop(ran.set)
    await asyncio.wait_for(ran.wait(), 8)
    assert problems == ["ValueError"]


def test_every_call_to_a_closed_event_loop_raises() -> None:
    loop, tree = asyncio.new_event_loop(), Tree()

    async def make() -> RenderQueue:
        return render_queue_of(tree)

    hop = loop.run_until_complete(make())
    hop(lambda: None)  # pending when the loop is closed
    loop.close()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            hop(lambda: None)
