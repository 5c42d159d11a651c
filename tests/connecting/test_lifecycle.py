"""The end of a store goes to its end, whoever gives up waiting for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from heimdall_reactive import Status, StoreClosed, WaitTimeout
from heimdall_reactive.connecting.lifecycle import Lifecycle
from heimdall_reactive.connecting.runtime import Runtime
from heimdall_reactive.testing import ScriptedPeer
from tests.virtual import loop, store_of


def life_of(
    finish: Callable[[], Awaitable[object]], release: Callable[[], None] | None = None
) -> Lifecycle:
    async def finished() -> None:
        await finish()

    runtime = Runtime("auto", lambda: None, lambda: None)
    return Lifecycle(runtime, finished, lambda: None, 1.0, release)


async def test_an_end_that_nobody_waits_for_any_more_goes_on_and_releases() -> None:
    begun, gate, released = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def finish() -> None:
        begun.set()
        await gate.wait()

    life = life_of(finish, released.set)
    impatient = asyncio.ensure_future(life.aclose())
    await begun.wait()
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert (life.closed, life.ended, released.is_set()) == (True, False, False)
    gate.set()
    await asyncio.wait_for(released.wait(), 8)
    assert life.ended


async def test_whoever_gives_up_takes_the_end_from_nobody_else() -> None:
    begun: list[None] = []
    gate = asyncio.Event()

    async def finish() -> None:
        begun.append(None)
        await gate.wait()

    life = life_of(finish)
    impatient, patient = (asyncio.ensure_future(life.aclose()) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait({impatient})
    assert not patient.done()
    gate.set()
    await patient
    assert (life.ended, begun) == (True, [None])  # one end for both


@pytest.mark.heimdall_virtual_time
async def test_a_store_whose_aclose_was_cancelled_still_shakes_hands() -> None:
    peer = ScriptedPeer()
    store = store_of(peer, close_timeout=5)
    completed: list[str] = []
    store.messages.subscribe(on_completed=lambda: completed.append("messages"))
    await store.wait_connected()
    peer.links[0].mute_close()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(store.aclose(), 1)
    await loop().idle()
    assert (store.state.value.status, peer.links[0].live) == (Status.DISCONNECTING, True)
    await store.aclose()
    assert loop().time() == pytest.approx(5)
    assert (store.state.value.status, completed) == (Status.DISCONNECTED, ["messages"])


# Closing from elsewhere


def test_a_thread_that_waits_too_long_for_the_end_raises_and_the_end_still_comes() -> None:
    gate: list[asyncio.Event] = []
    released = threading.Event()

    async def finish() -> None:
        gate.append(asyncio.Event())
        await gate[0].wait()

    runtime = Runtime("thread", lambda: None, lambda: None)
    life = Lifecycle(runtime, finish, lambda: None, 0.0, released.set)
    life._grace = 0.01
    with pytest.raises(WaitTimeout, match=r"has not closed within 0\.01 s, and still will"):
        life.close()
    assert (life.closed, life.ended, released.is_set()) == (True, False, False)
    runtime.post(lambda: gate[0].set())
    assert released.wait(8)
    assert life.ended
    runtime.release()


async def test_an_end_that_has_come_is_released_for_whoever_closes_again() -> None:
    released: list[str] = []

    async def finish() -> None:
        released.append("finished")

    life = life_of(finish, lambda: released.append("released"))
    await life.aclose()
    await life.aclose()
    life.close()
    assert released == ["finished", "released", "released"]


async def test_a_closed_store_refuses_commands_and_performs_what_it_still_has_to() -> None:
    life, done = life_of(nothing), list[str]()
    life.refuse_closed()
    life.call(lambda: done.append("open"))
    await life.aclose()
    life.call(lambda: done.append("ended"))
    assert done == ["open", "ended"]
    with pytest.raises(StoreClosed) as caught:
        life.refuse_closed()
    assert str(caught.value) == "the store is closed; make a new one with use_websocket()"


async def nothing() -> None:
    """End at once."""


def test_a_store_whose_loop_never_ran_is_closed_by_running_it() -> None:
    loop_of_its_own = asyncio.new_event_loop()
    ended: list[str] = []

    async def finish() -> None:
        ended.append("finished")

    runtime = Runtime(loop_of_its_own, lambda: None, lambda: None)
    life = Lifecycle(runtime, finish, lambda: ended.append("completed"), 1.0)
    life.close()
    assert (life.ended, ended) == (True, ["finished", "completed"])
    loop_of_its_own.close()
    life.call(lambda: ended.append("performed"))
    assert ended[2:] == ["performed"]
