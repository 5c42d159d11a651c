from __future__ import annotations

import asyncio
import threading

import pytest

from heimdall_reactive import QueueHop, loop_hop


def test_what_is_posted_to_a_queue_runs_when_its_thread_says_so_and_in_order() -> None:
    hop = QueueHop()
    seen: list[int] = []
    for n in range(3):
        hop(lambda n=n: seen.append(n))  # type: ignore[misc]
    hop(lambda: hop(lambda: seen.append(4)))
    assert seen == []
    assert hop.run_pending() == 4
    assert seen == [0, 1, 2]
    assert hop.run_pending() == 1
    assert hop.run_pending() == 0
    assert seen == [0, 1, 2, 4]


def test_a_thread_runs_a_queue_until_it_is_stopped() -> None:
    hop = QueueHop()
    seen: list[str] = []
    thread = threading.Thread(target=hop.run, name="window")
    thread.start()
    hop(lambda: seen.append(threading.current_thread().name))
    hop.stop()
    thread.join(8)
    assert seen == ["window"]
    hop.stop()
    assert hop.run_pending() == 0


def test_a_loop_is_reached_from_a_thread() -> None:
    async def main() -> None:
        hop = loop_hop()
        came = asyncio.Event()
        thread = threading.Thread(target=hop, args=(came.set,))
        thread.start()
        await asyncio.wait_for(came.wait(), 8)
        thread.join()

    asyncio.run(main())


def test_there_is_no_loop_to_hop_to_where_none_runs() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        loop_hop()
