"""The thread of the stores, where somebody has replaced the event loops of the process."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator

import pytest

from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import serve_in_thread

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # policies, since Python 3.14
    if not hasattr(asyncio, "DefaultEventLoopPolicy"):  # since Python 3.16
        pytest.skip("this Python has no event loop policies", allow_module_level=True)
    Default = asyncio.DefaultEventLoopPolicy
    get_policy, set_policy = asyncio.get_event_loop_policy, asyncio.set_event_loop_policy


class OfTheGui(Default):
    """As `qasync.run` and `QtAsyncio.run` install it: its loops work on one thread only."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        raise AssertionError("a loop of the user interface, on a thread that is not its own")

    def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        raise AssertionError("the loop of the user interface is replaced")


@pytest.fixture
def policy_of_a_gui() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        before = get_policy()
        set_policy(OfTheGui())
        yield
        set_policy(before)


@pytest.mark.usefixtures("policy_of_a_gui")
def test_the_thread_has_a_loop_of_asyncio_itself() -> None:
    with serve_in_thread(require_token=False) as server:
        store = use_websocket(f"{server.url}/v1/ws", loop="thread")
        with store:
            assert store.send("hello").result(8).state == "written"
