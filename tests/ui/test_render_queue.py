"""The hop to components that have no thread: what it does with calls that fail or are lost."""

from __future__ import annotations

import asyncio
import threading

import pytest

from heimdall_reactive.bindings.pages import WEB_FRAME
from heimdall_reactive.bindings.render_queue import FrameThread, RenderQueue, render_queue_of


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


def test_one_thread_paints_as_often_as_a_web_page() -> None:
    # A thread was made for each paint: 100 a second for five tabs.
    frames, threads, painted = FrameThread("frames"), set[threading.Thread](), threading.Event()

    def paint() -> None:
        threads.add(threading.current_thread())
        painted.set()

    for _ in range(4):
        painted.clear()
        frames(paint)
        assert painted.wait(5)
        threading.Event().wait(WEB_FRAME)  # what the test is about
    (thread,) = threads
    thread.join(5)
    assert not thread.is_alive()
