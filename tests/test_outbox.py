"""Bounds and order of what waits, and the truth about each send."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heimdall_reactive.exceptions import SendError, WaitTimeout
from heimdall_reactive.messages import Frame
from heimdall_reactive.outbox import Outbox, Receipt, reject

from .support import run


def frame(data: bytes = b"x") -> Frame:
    return Frame(data, True)


def test_sends_leave_in_order_and_one_at_a_time() -> None:
    box = Outbox(10, 100)
    receipts = [box.put(frame(data)) for data in (b"a", b"b", b"c")]
    left = []
    while (entry := box.peek()) is not None:
        assert box.peek() is entry  # it stays until it was written
        left.append((entry.frame.data, entry.receipt))
        box.pop()
    assert left == list(zip((b"a", b"b", b"c"), receipts, strict=True))
    assert (len(box), box.high_water, box.rejected) == (0, 3, 0)


def test_the_count_is_bounded() -> None:
    box = Outbox(2, 100)
    states = [box.put(frame()).state for _ in range(3)]
    assert states == ["queued", "queued", "rejected"]
    box.pop()
    assert box.put(frame()).state == "queued"
    assert (len(box), box.high_water, box.rejected) == (2, 2, 1)


def test_the_bytes_are_bounded_and_given_back() -> None:
    box = Outbox(100, 10)
    assert box.put(frame(b"x" * 11)).state == "rejected"
    assert box.put(frame(b"x" * 6)).state == "queued"
    refused = box.put(frame(b"x" * 5))
    assert isinstance(refused.error, SendError)
    assert (refused.state, refused.error.state) == ("rejected", "rejected")
    assert "outbox_bytes" in str(refused.error)
    box.pop()
    assert box.put(frame(b"x" * 10)).state == "queued"
    box.clear("test")
    assert box.put(frame(b"x" * 10)).state == "queued"


def test_clearing_drops_every_receipt_with_the_reason() -> None:
    box = Outbox(10, 100)
    receipts = [box.put(frame()) for _ in range(3)]
    assert (box.clear("disconnect() was called"), box.clear("again"), len(box)) == (3, 0, 0)
    for receipt in receipts:
        assert receipt.state == "dropped"
        assert isinstance(receipt.error, SendError)
        assert str(receipt.error) == "not sent: disconnect() was called"
        assert receipt.error.state == "dropped"
    assert box.peek() is None


@given(st.lists(st.one_of(st.binary(max_size=6), st.sampled_from(["pop", "clear"]))))
def test_the_outbox_is_a_bounded_queue(steps: list[bytes | str]) -> None:
    box, model = Outbox(4, 12), list[bytes]()
    for step in steps:
        if isinstance(step, bytes):
            fits = len(model) < 4 and sum(map(len, model)) + len(step) <= 12
            assert (box.put(frame(step)).state == "queued") is fits
            model += [step] if fits else []
        elif step == "clear":
            assert box.clear("test") == len(model)
            model.clear()
        elif model:
            entry = box.peek()
            assert entry is not None
            assert entry.frame.data == model.pop(0)
            box.pop()
        assert len(box) == len(model)


def test_threads_that_put_at_once_keep_the_counts() -> None:
    box = Outbox(500, 10_000)
    ready = threading.Barrier(4)

    def produce() -> None:
        ready.wait(5)
        for _ in range(200):
            box.put(frame())

    threads = [threading.Thread(target=produce) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert (len(box), box.high_water, box.rejected) == (500, 500, 300)
    assert box.clear("test") == 500
    assert box.put(frame(b"x" * 10_000)).state == "queued"  # no byte was miscounted


# Receipts


def dropped() -> SendError:
    return SendError("not sent: test", "dropped")


def test_a_receipt_can_be_awaited_before_and_after() -> None:
    async def body() -> None:
        receipt = Receipt()
        waits = [asyncio.ensure_future(receipt) for _ in range(2)]
        await asyncio.sleep(0)
        receipt.settle("written")
        assert await asyncio.gather(*waits) == [receipt, receipt]
        assert await receipt is receipt
        assert (receipt.state, receipt.error, repr(receipt)) == (
            "written", None, "<Receipt written>",
        )  # fmt: skip

    run(body)


def test_awaiting_a_send_that_failed_raises_before_and_after() -> None:
    async def body() -> None:
        receipt = Receipt()
        wait = asyncio.ensure_future(receipt)
        await asyncio.sleep(0)
        error = dropped()
        receipt.settle("dropped", error)
        for waiting in (wait, receipt):
            with pytest.raises(SendError) as caught:
                await waiting
            assert caught.value is error

    run(body)


def test_a_cancelled_wait_does_not_cancel_the_others() -> None:
    async def body() -> None:
        receipt = Receipt()
        impatient, patient = asyncio.ensure_future(receipt), asyncio.ensure_future(receipt)
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.sleep(0)
        assert impatient.cancelled()
        receipt.settle("written")
        assert await patient is receipt

    run(body)


def test_a_thread_waits_for_the_result() -> None:
    written, lost = Receipt(), Receipt()
    results: list[object] = []

    def wait() -> None:
        results.append(written.result(5))
        try:
            lost.result()
        except SendError as error:
            results.append(error.state)

    thread = threading.Thread(target=wait)
    thread.start()
    written.settle("written")
    lost.settle("dropped", dropped())
    thread.join(5)
    assert results == [written, "dropped"]


def test_a_result_that_does_not_come_times_out_and_can_be_asked_for_again() -> None:
    receipt = Receipt()
    with pytest.raises(WaitTimeout, match="still queued"):
        receipt.result(0)
    receipt.settle("written")
    assert receipt.result(0) is receipt


def test_a_result_is_refused_where_it_would_block_an_event_loop() -> None:
    async def body() -> None:
        receipt = Receipt()
        with pytest.raises(RuntimeError, match="await the receipt"):
            receipt.result(5)
        receipt.settle("written")
        assert receipt.result() is receipt  # nothing to wait for

    run(body)


def test_a_failed_receipt_that_nobody_waits_for_warns_of_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def body() -> None:
        for waited in (False, True):
            receipt = Receipt()
            if waited:
                wait = asyncio.ensure_future(receipt)
                await asyncio.sleep(0)
                wait.cancel()
                await asyncio.sleep(0)
            receipt.settle("dropped", dropped())
            await asyncio.sleep(0)
            del receipt
            gc.collect()

    with caplog.at_level(logging.DEBUG):
        run(body)
    assert [r for r in caplog.records if r.levelno > logging.DEBUG] == []


def test_a_receipt_may_be_settled_after_the_loop_of_a_wait_has_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receipt = Receipt()

    async def body() -> None:
        wait = asyncio.ensure_future(receipt)
        await asyncio.sleep(0)
        wait.cancel()
        await asyncio.sleep(0)

    run(body)
    with caplog.at_level(logging.INFO):
        receipt.settle("dropped", dropped())
    assert (receipt.state, caplog.records) == ("dropped", [])


def test_settling_twice_keeps_what_the_waiters_were_told() -> None:
    receipt = Receipt()
    with pytest.raises(WaitTimeout):
        receipt.result(0)
    receipt.settle("written")
    receipt.settle("written")
    assert receipt.result(0) is receipt


def test_a_rejection_says_why() -> None:
    receipt = Receipt()
    reject(receipt, "too late")
    assert (receipt.state, str(receipt.error)) == ("rejected", "not sent: too late")


def test_a_frame_that_can_never_fit_is_not_waited_for() -> None:
    box = Outbox(1, 10)
    started = time.monotonic()
    box.wait_for_room(11, timeout=30.0)
    assert time.monotonic() - started < 10.0
