"""One posted call for all that asks for it until it runs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heimdall_reactive.base.wake_up import WakeUp
from heimdall_reactive.consuming.hops import QueueHop


def test_all_that_ask_before_it_runs_share_one_call() -> None:
    posted: list[Callable[[], None]] = []
    ran: list[str] = []
    wake = WakeUp(lambda: ran.append("ran"), posted.append)
    wake.call()
    wake.call()
    assert len(posted) == 1
    assert ran == []
    posted[0]()
    assert ran == ["ran"]


def test_what_asks_while_the_call_runs_gets_another_one() -> None:
    posted: list[Callable[[], None]] = []
    wake = WakeUp(lambda: wake.call(), posted.append)
    wake.call()
    posted[0]()
    assert len(posted) == 2


def test_a_call_that_raises_is_not_pending_any_more() -> None:
    posted: list[Callable[[], None]] = []

    def fail() -> None:
        raise ValueError

    wake = WakeUp(fail, posted.append)
    wake.call()
    with pytest.raises(ValueError):
        posted[0]()
    wake.call()
    assert len(posted) == 2


def test_a_post_that_raises_leaves_nothing_pending() -> None:
    tries: list[Callable[[], None]] = []

    def post(call: Callable[[], None]) -> None:
        tries.append(call)
        raise RuntimeError("the event loop is closed")

    wake = WakeUp(lambda: None, post)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            wake.call()
    assert len(tries) == 2


def test_a_call_that_was_lost_is_posted_again_after_a_reset_and_may_still_come() -> None:
    posted: list[Callable[[], None]] = []
    ran: list[None] = []
    wake = WakeUp(lambda: ran.append(None), posted.append)
    wake.call()
    wake.reset()
    wake.call()
    assert len(posted) == 2
    posted[0]()  # late: it does not make room for a second one beside the new
    wake.call()
    assert len(posted) == 2
    posted[1]()
    assert len(ran) == 2


def test_a_post_may_run_the_call_in_place() -> None:
    ran: list[None] = []
    wake = WakeUp(lambda: ran.append(None), lambda call: call())
    wake.call()
    wake.call()
    assert len(ran) == 2


@given(st.lists(st.sampled_from(["ask", "run", "reset"])))
def test_one_call_is_pending_where_somebody_has_asked_since_it_ran(steps: list[str]) -> None:
    posted: deque[Callable[[], None]] = deque()
    waiting = False
    wake = WakeUp(lambda: None, posted.append)
    for step in steps:
        if step == "ask":
            wake.call()
            waiting = True
        elif step == "run":
            if posted:
                posted.popleft()()
            waiting = False
        else:
            posted.clear()  # the event loop is gone, with what was posted to it
            wake.reset()
            waiting = False
        assert len(posted) == waiting


def test_threads_never_have_two_calls_pending_and_nothing_is_left_behind() -> None:
    asking, each = 4, 2000
    hop = QueueHop()
    queued: deque[int] = deque()
    seen: list[int] = []
    pending = most = 0
    counting = threading.Lock()

    def post(call: Callable[[], None]) -> None:
        nonlocal pending, most
        with counting:
            pending += 1
            most = max(most, pending)
        hop(lambda: begin(call))

    def begin(call: Callable[[], None]) -> None:
        nonlocal pending
        with counting:
            pending -= 1
        call()

    def take() -> None:
        while queued:
            seen.append(queued.popleft())
        if len(seen) == asking * each:
            hop.stop()

    wake = WakeUp(take, post)

    def ask() -> None:
        for number in range(each):
            queued.append(number)
            wake.call()

    threads = [threading.Thread(target=ask) for _ in range(asking)]
    for thread in threads:
        thread.start()
    hop.run()  # returns when all was seen
    for thread in threads:
        thread.join()
    assert most == 1
    assert sorted(seen) == sorted([*range(each)] * asking)
