"""Bounds and order of what waits, and the truth about each send."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heimdall_reactive.base.exceptions import SendError, WaitTimeout
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.receipt import Receipt
from heimdall_reactive.base.stats import SendCounters
from heimdall_reactive.connecting.outbox import Outbox, QueuedSend, Unsendable
from tests.support import run, warnings_in


def frame(data: bytes = b"x") -> Frame:
    return Frame(data, True)


class Paper:
    """Where an outbox writes: takes `room` frames, and then no more."""

    batches = False

    def __init__(self, room: float = float("inf")) -> None:
        self.room = room
        self.written: list[bytes] = []
        self.receipts: list[Receipt] = []
        self.calls = 0  # of `write_all`

    @property
    def writable(self) -> bool:
        return self.room > 0

    @property
    def may_write(self) -> bool:
        return self.writable

    def write(self, frame: Frame) -> None:
        assert self.writable
        self.written.append(frame.data)
        self.room -= 1

    def wrote(self, entry: QueuedSend) -> None:
        self.receipts.append(entry.receipt)
        entry.receipt.settle("written")

    def write_all(self, frames: Sequence[Frame]) -> tuple[int, int]:
        begun = frames[: int(min(self.room, len(frames)))]
        for each in begun:
            self.write(each)
        self.calls += 1
        return len(begun), len(begun)

    def wrote_all(self, entries: Sequence[QueuedSend], taken: int) -> None:
        assert taken == len(entries)
        for entry in entries:
            self.wrote(entry)


def take(box: Outbox) -> bytes:
    """Write one send; tell which."""
    paper = Paper(1)
    box.flush(paper)
    paper.room = 1
    return paper.written[0]


def test_sends_leave_in_order_and_one_at_a_time() -> None:
    box, paper = Outbox(10, 100), Paper(2)
    receipts = [box.put(frame(data)) for data in (b"a", b"b", b"c")]
    box.flush(paper)
    assert paper.written == [b"a", b"b"]
    assert paper.receipts == receipts[:2]
    assert [receipt.state for receipt in receipts] == ["written", "written", "queued"]
    paper.room = 2
    box.flush(paper)
    assert paper.written == [b"a", b"b", b"c"]
    assert [receipt.state for receipt in receipts] == ["written"] * 3
    assert (len(box), box.counters) == (0, SendCounters(queue_high_water=3))


def test_a_write_that_raises_repeats_nothing_and_loses_nothing() -> None:
    class Broken(Paper):
        def write(self, frame: Frame) -> None:
            if len(self.written) == 1:
                raise OSError
            super().write(frame)

    box, broken, paper = Outbox(10, 100), Broken(), Paper()
    receipts = [box.put(frame(data)) for data in (b"a", b"b", b"c")]
    with pytest.raises(OSError):
        box.flush(broken)
    assert [receipt.state for receipt in receipts] == ["written", "queued", "queued"]
    box.flush(paper)
    assert broken.written + paper.written == [b"a", b"b", b"c"]


def test_a_send_that_was_put_back_takes_its_bytes_again() -> None:
    class Broken(Paper):
        def write(self, frame: Frame) -> None:
            raise OSError

    box, paper = Outbox(10, 10), Paper()
    box.put(frame(b"x" * 6))
    with pytest.raises(OSError):
        box.flush(Broken())
    assert box.put(frame(b"x" * 5)).state == "rejected"
    box.flush(paper)
    assert box.put(frame(b"x" * 10)).state == "queued"  # and gives them back once


# Together


class Batching(Paper):
    batches = True


def test_sends_go_out_together_and_what_was_not_begun_waits_again() -> None:
    box, paper = Outbox(10, 100), Batching(2)
    receipts = [box.put(frame(data)) for data in (b"a", b"b", b"c", b"d")]
    box.flush(paper)
    assert (paper.written, paper.calls, paper.receipts) == ([b"a", b"b"], 1, receipts[:2])
    assert [receipt.state for receipt in receipts[2:]] == ["queued"] * 2
    paper.room = 9
    box.flush(paper)
    assert (paper.written, paper.calls) == ([b"a", b"b", b"c", b"d"], 2)


def test_a_system_call_takes_no_more_than_64_kib_but_for_one_larger_send() -> None:
    box, paper = Outbox(100, 1 << 20), Batching()
    sizes = [30_000, 30_000, 30_000, 200_000, 10]
    for size in sizes:
        box.put(frame(b"x" * size))
    box.flush(paper)
    assert [len(data) for data in paper.written] == sizes
    assert paper.calls == 3


def test_what_is_put_ahead_goes_out_before_sends_that_go_together() -> None:
    box, paper = Outbox(10, 100), Batching()
    box.put(frame(b"a"))
    box.put(frame(b"b"))
    box.put_ahead("c", frame(b"c"))
    box.flush(paper)
    assert (paper.written, paper.calls) == ([b"c", b"a", b"b"], 1)


def test_a_batch_whose_write_raises_waits_again_as_a_whole() -> None:
    class Torn(Batching):
        def write_all(self, frames: Sequence[Frame]) -> tuple[int, int]:
            raise OSError

    box, paper = Outbox(10, 100), Batching()
    receipts = [box.put(frame(data)) for data in (b"a", b"b")]
    with pytest.raises(OSError):
        box.flush(Torn())
    assert [receipt.state for receipt in receipts] == ["queued"] * 2
    box.flush(paper)
    assert paper.written == [b"a", b"b"]


# Ahead of the sends: channels


def test_what_is_put_ahead_leaves_first_and_in_order() -> None:
    box, paper = Outbox(10, 100), Paper()
    box.put(frame(b"send"))
    box.put_ahead("a", frame(b"join a"))
    box.put_ahead("b", frame(b"join b"))
    box.flush(paper)
    assert paper.written == [b"join a", b"join b", b"send"]


def test_a_channel_that_is_left_before_its_frame_has_gone_says_nothing() -> None:
    box, paper = Outbox(10, 100), Paper(0)
    for words in (b"join", b"leave", b"join", b"leave"):
        box.put_ahead("a", frame(words))
    paper.room = 5
    box.flush(paper)
    assert paper.written == []
    box.put_ahead("a", frame(b"join"))
    box.flush(paper)
    box.put_ahead("a", frame(b"leave"))  # the other has gone: this one takes nothing back
    box.flush(paper)
    assert paper.written == [b"join", b"leave"]


def test_what_was_put_ahead_ends_with_its_session() -> None:
    box, paper = Outbox(10, 100), Paper()
    box.put_ahead("left", frame(b"join left"))
    box.put_ahead("kept", frame(b"join kept"))
    box.put(frame(b"send"))
    box.clear_ahead()
    box.put_ahead("kept", frame(b"join kept"))  # the next session asks, and takes nothing back
    box.flush(paper)
    assert paper.written == [b"join kept", b"send"]


def test_a_flush_within_a_write_keeps_the_order() -> None:
    class Eager(Paper):
        def write(self, frame: Frame) -> None:
            super().write(frame)
            box.flush(self)

    box, eager = Outbox(10, 100), Eager()
    for data in (b"a", b"b", b"c"):
        box.put(frame(data))
    box.flush(eager)
    assert eager.written == [b"a", b"b", b"c"]


# Time


def test_a_send_that_waits_too_long_expires_and_is_never_written() -> None:
    now = [10.0]
    box = Outbox(10, 100, ttl=5, clock=lambda: now[0])
    early = box.put(frame(b"a"))
    now[0] = 12.0
    late = box.put(frame(b"b"))
    assert box.next_deadline == 15.0
    now[0] = 14.9
    assert box.expire() == 0
    now[0] = 15.0
    paper = Paper()
    box.flush(paper)  # it is not written after its time, also where no timer came in between
    assert paper.written == [b"b"]
    assert [early.state, late.state] == ["expired", "written"]
    assert str(early.error) == "not sent: it waited longer than send_ttl=5 s"
    assert box.counters.expired == 1
    assert not box.next_deadline


# Overflow


def test_the_oldest_give_way_by_count_and_by_bytes() -> None:
    told: list[tuple[int, bool]] = []

    def tell(count: int, _: str, gave_way: bool) -> None:
        told.append((count, gave_way))

    box = Outbox(3, 10, overflow="drop_oldest", tell=tell)
    receipts = [box.put(frame(bytes(n))) for n in (4, 4, 1, 1)]
    assert [receipt.state for receipt in receipts] == ["dropped", "queued", "queued", "queued"]
    receipts.append(box.put(frame(bytes(9))))  # takes the place of as many as it needs
    assert [r.state for r in receipts] == ["dropped", "dropped", "dropped", "queued", "queued"]
    assert box.put(frame(bytes(11))).state == "rejected"  # it never fits: nobody gives way
    assert (len(box), box.counters.dropped, box.counters.rejected) == (2, 3, 1)
    assert "outbox_overflow" in str(receipts[0].error)
    assert told == [(1, True), (2, True)]
    assert (box.clear("the end"), box.clear("again")) == (2, 0)
    assert told[2:] == [(2, False)]


def test_the_newest_gives_way() -> None:
    box = Outbox(1, 10, overflow="drop_newest")
    assert [box.put(frame()).state for _ in range(3)] == ["queued", "dropped", "dropped"]
    assert (box.counters.dropped, box.counters.rejected) == (2, 0)


def test_the_count_is_bounded() -> None:
    box = Outbox(2, 100)
    states = [box.put(frame()).state for _ in range(3)]
    assert states == ["queued", "queued", "rejected"]
    take(box)
    assert box.put(frame()).state == "queued"
    assert (len(box), box.counters.queue_high_water, box.counters.rejected) == (2, 2, 1)


def test_the_bytes_are_bounded_and_given_back() -> None:
    box = Outbox(100, 10)
    assert box.put(frame(b"x" * 11)).state == "rejected"
    assert box.put(frame(b"x" * 6)).state == "queued"
    refused = box.put(frame(b"x" * 5))
    assert isinstance(refused.error, SendError)
    assert (refused.state, refused.error.state) == ("rejected", "rejected")
    assert "outbox_bytes" in str(refused.error)
    take(box)
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
    assert box.counters.dropped == 3


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
            assert take(box) == model.pop(0)
        assert len(box) == len(model)


def test_threads_that_put_at_once_keep_the_counts() -> None:
    box = Outbox(500, 10_000)
    ready = threading.Barrier(4)

    def produce() -> None:
        ready.wait(8)
        for _ in range(200):
            box.put(frame())

    threads = [threading.Thread(target=produce) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(8)
    assert (len(box), box.counters.queue_high_water, box.counters.rejected) == (500, 500, 300)
    assert box.clear("test") == 500
    assert box.put(frame(b"x" * 10_000)).state == "queued"  # no byte was miscounted


# Receipts


def test_a_thread_that_puts_while_a_send_is_kept_loses_no_bytes() -> None:
    box = Outbox(9, 100)
    puts = threading.Thread(target=lambda: box.put(Frame(b"x" * 60, True)))

    class Slow(bytes):
        def __len__(self) -> int:
            puts.start()
            puts.join(0.1)  # as if the other thread had its turn here
            return 30

    box.keep(QueuedSend(Frame(Slow(), True), Receipt(), 1, None))
    puts.join()
    assert box.put(Frame(b"x" * 11, True)).state == "rejected"
    assert box.put(Frame(b"x" * 10, True)).state == "queued"


def test_threads_that_are_refused_at_once_are_all_counted() -> None:
    box = Outbox(1, 100, "drop_newest")
    one = frame()
    box.put(one)
    ready = threading.Barrier(4)

    def produce() -> None:
        ready.wait(5)
        for _ in range(4_000):
            box.put(one)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=produce) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert box.counters.dropped == 16_000


def dropped() -> SendError:
    return SendError("not sent: test", "dropped")


async def test_a_receipt_can_be_awaited_before_and_after() -> None:
    receipt = Receipt()
    waits = [asyncio.ensure_future(receipt) for _ in range(2)]
    await asyncio.sleep(0)
    receipt.settle("written")
    assert await asyncio.gather(*waits) == [receipt, receipt]
    assert await receipt is receipt
    assert (receipt.state, receipt.error, repr(receipt)) == (
        "written", None, "<Receipt written>",
    )  # fmt: skip


async def test_awaiting_a_send_that_failed_raises_before_and_after() -> None:
    receipt = Receipt()
    wait = asyncio.ensure_future(receipt)
    await asyncio.sleep(0)
    error = dropped()
    receipt.settle("dropped", error)
    for waiting in (wait, receipt):
        with pytest.raises(SendError) as caught:
            await waiting
        assert caught.value is error


async def test_a_cancelled_wait_does_not_cancel_the_others() -> None:
    receipt = Receipt()
    impatient, patient = asyncio.ensure_future(receipt), asyncio.ensure_future(receipt)
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    assert impatient.cancelled()
    receipt.settle("written")
    assert await patient is receipt


def test_a_thread_waits_for_the_result() -> None:
    written, lost = Receipt(), Receipt()
    results: list[object] = []

    def wait() -> None:
        results.append(written.result(8))
        try:
            lost.result()
        except SendError as error:
            results.append(error.state)

    thread = threading.Thread(target=wait)
    thread.start()
    written.settle("written")
    lost.settle("dropped", dropped())
    thread.join(8)
    assert results == [written, "dropped"]


def test_a_result_that_does_not_come_times_out_and_can_be_asked_for_again() -> None:
    receipt = Receipt()
    with pytest.raises(WaitTimeout, match="still queued"):
        receipt.result(0)
    receipt.settle("written")
    assert receipt.result(0) is receipt


async def test_a_result_is_refused_where_it_would_block_an_event_loop() -> None:
    receipt = Receipt()
    with pytest.raises(RuntimeError, match="await the receipt"):
        receipt.result(5)
    receipt.settle("written")
    assert receipt.result() is receipt  # nothing to wait for


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
    assert warnings_in(caplog) == []


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


@pytest.mark.parametrize("ending", ["write", "expire", "clear", "close"])
def test_a_thread_that_waits_for_room_goes_on_when_there_is_some_and_at_the_end(
    ending: str,
) -> None:
    now = 0.0
    box = Outbox(2, 100, ttl=5, clock=lambda: now)
    for _ in range(2):
        box.put(frame())
    waiting = threading.Thread(target=box.wait_for_room, args=(1, 60))
    waiting.start()
    while True:  # it makes the condition and waits for it without letting the lock go
        with box._lock:
            if box._room is not None:
                break
    if ending == "write":
        take(box)  # half of it is free
    elif ending == "expire":
        now = 6.0
        assert box.expire() == 2
    elif ending == "clear":
        assert box.clear("test") == 2
    else:
        box.limit = 0  # no room, whatever is dropped
        box.close("test")
    waiting.join(8)
    assert not waiting.is_alive()


def test_a_refusal_says_which_bound_and_what_to_do() -> None:
    box = Outbox(1, 10)
    box.put(frame(b"x" * 6))
    told = {
        11: "the message is larger than outbox_bytes=10; raise that option",
        5: "outbox_bytes=10 wait already; wait, or raise that option",
        4: "outbox_limit=1 sends wait already; wait, or raise that option",
    }
    for size, reason in told.items():
        receipt = box.put(frame(b"x" * size))
        assert (receipt.state, str(receipt.error)) == ("rejected", f"not sent: {reason}")
        assert receipt.error is not None
        assert receipt.error.state == "rejected"
    assert box.counters.rejected == 3


def test_what_cannot_be_written_says_why_and_what_expired_how_long_it_waited() -> None:
    class Refusing(Paper):
        def write(self, frame: Frame) -> None:
            raise Unsendable("no form for it")

    now = 0.0
    box = Outbox(10, 100, ttl=5, clock=lambda: now)
    box.put_ahead("gps", frame(b"ask"))
    refused = box.put(frame())
    box.flush(Refusing())
    assert (refused.state, str(refused.error)) == ("rejected", "not sent: no form for it")
    late = box.put(frame())
    assert (box.next_deadline, box.expire()) == (5.0, 0)
    now = 5.0
    assert (box.expire(), box.next_deadline) == (1, None)
    assert (late.state, str(late.error)) == (
        "expired", "not sent: it waited longer than send_ttl=5 s",
    )  # fmt: skip
    assert Outbox(10, 100).expire() == 0


def test_a_mark_separates_what_was_queued_before_it() -> None:
    box = Outbox(10, 100)
    before = [box.put(frame()) for _ in range(2)]
    mark = box.mark()
    after = box.put(frame())
    assert (box.mark() - mark, box.clear("disconnect", mark)) == (1, 2)
    assert [receipt.state for receipt in (*before, after)] == ["dropped", "dropped", "queued"]


def test_leaving_and_asking_for_a_channel_again_takes_the_last_frame_back_only() -> None:
    box, paper = Outbox(10, 100), Paper()
    box.put_ahead("gps", frame(b"leave"), frame(b"join"))
    box.put_ahead("gps", frame(b"leave"))  # takes the join back
    box.flush(paper)
    assert paper.written == [b"leave"]


def test_a_callback_of_a_receipt_that_flushes_again_does_not_go_deeper() -> None:
    class Deep(Paper):
        depth = deepest = 0

        def write(self, frame: Frame) -> None:
            self.depth += 1
            self.deepest = max(self.deepest, self.depth)
            super().write(frame)
            box.flush(self)
            self.depth -= 1

    box, paper = Outbox(100, 1000), Deep()
    for _ in range(50):
        box.put(frame())
    box.flush(paper)
    assert (paper.deepest, len(paper.written)) == (1, 50)


def test_a_frame_that_can_never_fit_is_not_waited_for() -> None:
    box = Outbox(1, 10)
    started = time.monotonic()
    box.wait_for_room(11, timeout=30.0)
    assert time.monotonic() - started < 10.0
