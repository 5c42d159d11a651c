"""The soak and the restart run and keep their promises; and the ledgers see a promise broken."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.machine import slope
from benchmarks.restart_report import Outcome, bound
from benchmarks.soak.down import DownLedger
from benchmarks.soak.guests import KINDS
from benchmarks.soak.report import Report
from benchmarks.soak.simple import PATIENCE, Order, Sends
from benchmarks.soak.up import UpLedger
from benchmarks.soak.words import Ended, Got, Heard, Published, Sent, Wrote
from heimdall_reactive import ConnectionState, Receipt
from heimdall_reactive.base.receipt import ReceiptState
from heimdall_reactive.base.state import Gap

ROOT = Path(__file__).parent.parent


def program(name: str, *arguments: str, file: Path) -> Any:
    """Run a program of the benchmarks; it has to succeed; return its JSON."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, "--json", str(file)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text(encoding="utf-8"))


def test_a_short_soak_keeps_every_promise(tmp_path: Path) -> None:
    found = program("soak", "--minutes", "0.05", "--stores", "8", file=tmp_path / "soak.json")
    assert found["broken"] == {}
    assert found["reconnections"] == found["gaps"] > 5
    assert sum(found["faults"].values()) > 5
    assert found["sends"]["written"] > 100
    assert found["confirmed"] > 100
    assert found["messages"] > 100
    assert set(found["guests"]) == set(KINDS)
    assert all(guest["messages"] and guest["delivered"] for guest in found["guests"].values())
    assert found["end"]["tasks"] == found["start"]["tasks"] == 0
    assert found["end"]["threads"] == found["start"]["threads"]


def test_stores_do_not_come_back_as_a_herd(tmp_path: Path) -> None:
    backoff = ("--policy", "backoff", "--initial", "0.8", "--downtime", "0.1")
    (found,) = program("restart", "--stores", "150", *backoff, file=tmp_path / "restart.json")
    assert found["stores"] == 150
    assert found["broken"] == []
    assert sum(found["buckets"]) >= 150
    assert found["largest"] < found["limit"] < 0.5
    assert found["connected"]["tasks"] == found["after"]["tasks"] == found["timers_after"] == 0
    assert found["timers"] >= 150


# What the ledger of the sends sees


def written(
    ledger: UpLedger, *numbers: int, dial: int = 1, state: ReceiptState = "written"
) -> None:
    for number in numbers:
        receipt = Receipt()
        receipt.settle(state)
        ledger.sent(Sent(number, receipt))
        ledger.wrote(Wrote(dial, number))


def end(ledger: UpLedger, dial: int = 1) -> None:
    ledger.left(dial)
    ledger.ended(Ended(dial, by_server=False))


def judged(*faults: str, steps: Callable[[UpLedger], None]) -> UpLedger:
    ledger = UpLedger(lambda _, __: " ".join(faults))
    steps(ledger)
    ledger.judge(ledger.settled())
    return ledger


def all_is_well(ledger: UpLedger) -> None:
    written(ledger, 1, 2)
    ledger.got(Got(1, 1))
    ledger.got(Got(1, 2))
    end(ledger)
    written(ledger, 3, dial=2)
    ledger.got(Got(2, 3))


def one_is_lost(ledger: UpLedger) -> None:
    written(ledger, 1, state="delivered")
    written(ledger, 2, state="in_doubt")
    ledger.got(Got(1, 1))
    end(ledger)


def a_hole(ledger: UpLedger) -> None:
    written(ledger, 1, 2)
    ledger.got(Got(1, 2))


def twice(ledger: UpLedger) -> None:
    written(ledger, 1)
    ledger.got(Got(1, 1))
    ledger.got(Got(1, 1))


def out_of_order(ledger: UpLedger) -> None:
    written(ledger, 2, 1)


def again_on_the_next(ledger: UpLedger) -> None:
    written(ledger, 1)
    ledger.wrote(Wrote(2, 1))


def acknowledged_but_lost(ledger: UpLedger) -> None:
    written(ledger, 1, state="in_doubt")
    ledger.acknowledged(1)
    end(ledger)


def expired_but_written(ledger: UpLedger) -> None:
    written(ledger, 1, state="expired")
    ledger.got(Got(1, 1))


def never_written(ledger: UpLedger) -> None:
    receipt = Receipt()
    receipt.settle("written")
    ledger.sent(Sent(1, receipt))


def test_the_ledger_passes_what_is_well() -> None:
    ledger = judged(steps=all_is_well)
    assert not ledger.broken
    assert ledger.states == {"written": 3}
    assert ledger.confirmed == 3
    assert not ledger.open


def test_a_loss_by_a_fault_is_counted_and_breaks_nothing() -> None:
    ledger = judged("a cut", steps=one_is_lost)
    assert not ledger.broken
    assert (ledger.doubted, ledger.lost) == ({"a cut": 1}, {})


@pytest.mark.parametrize("state", ["written", "delivered"])
def test_the_ledger_sees_a_lost_send_whose_receipt_does_not_doubt_it(state: ReceiptState) -> None:
    def lost(ledger: UpLedger) -> None:
        written(ledger, 1, state=state)
        end(ledger)

    ledger = judged("a cut", steps=lost)
    assert ledger.broken == {f"sends lost with their connection, yet {state}": 1}


@pytest.mark.parametrize(
    ("steps", "promise"),
    [
        (one_is_lost, "sends lost without a fault"),
        (a_hole, "sends lost without a fault"),
        (twice, "sends duplicated"),
        (out_of_order, "sends written twice, or out of order"),
        (again_on_the_next, "sends written twice, or out of order"),
        (expired_but_written, "receipt expired, yet written"),
        (never_written, "receipt written, but never written"),
    ],
)
def test_the_ledger_sees_a_broken_promise(steps: Callable[[UpLedger], None], promise: str) -> None:
    assert judged(steps=steps).broken[promise] == 1


def test_the_ledger_sees_what_was_acknowledged_and_is_not_in_the_log() -> None:
    ledger = judged("a cut", steps=acknowledged_but_lost)
    assert ledger.broken == {"acknowledged by the server, but not in its log": 1}


def test_the_ledger_sees_a_send_without_an_end() -> None:
    ledger = UpLedger(lambda _, __: "")
    ledger.sent(Sent(1, Receipt()))
    ledger.judge(ledger.settled())
    ledger.finish()
    assert ledger.broken == {"sends without an end (receipt queued)": 1}


# What the ledger of the messages sees


def hears(numbers: list[int], gap: Gap | None, then: list[int]) -> dict[str, int]:
    """Send 1 to 9 at seconds 1 to 9; hear some, lose the connection, and hear more from 6.5 on."""
    ledger, first = DownLedger(), ConnectionState().connecting(0).connected(0.5)
    for number in range(1, 10):
        ledger.published(Published(number, float(number)))
    ledger.moved(first)
    for number in numbers:
        ledger.hear(Heard(f"d{number}:{number}.0", number + 0.1))
    waiting = first.waiting(1, 6.0, None, None)
    for state in (waiting, waiting.connecting(1), waiting.connecting(1).connected(6.5)):
        ledger.moved(state)
    if gap is not None:
        ledger.skipped(gap, slowed=False)
    for number in then:
        ledger.hear(Heard(f"d{number}:{number}.0", number + 0.1))
    ledger.finish()
    return dict(ledger.broken)


GAP = Gap(3.1, 6.5, 2)


def test_the_ledger_passes_messages_that_are_missing_in_a_gap() -> None:
    assert hears([1, 2, 3], GAP, [7, 8, 9]) == {}


@pytest.mark.parametrize(
    ("before", "gap", "after", "promise"),
    [
        ([1, 3], GAP, [7], "messages missing within a session"),
        ([1, 2, 2], GAP, [7], "messages duplicated or reordered"),
        ([1, 2, 3], GAP, [3, 7], "messages duplicated or reordered"),
        ([1, 2, 3], GAP, [8], "messages missing outside of a gap"),
        ([1, 2], Gap(5.0, 6.5, 2), [7], "messages missing outside of a gap"),
        ([1, 2, 3], None, [7], "sessions without a gap"),
        ([1, 2, 3], None, [], "sessions without a gap"),
        ([1, 2, 3], Gap(3.1, 6.5, 3), [7], "gaps without a new session"),
        ([1, 2, 3], Gap(3.1, 6.0, 2), [7], "gaps with wrong times"),
    ],
)
def test_the_ledger_sees_messages_go_wrong(
    before: list[int], gap: Gap | None, after: list[int], promise: str
) -> None:
    assert hears(before, gap, after)[promise] >= 1


# What the simple judges see


def ordered(
    *numbers: int, gap_before: int = 0, overlap_before: int = 0, disconnect_before: int = 0
) -> Order:
    order, state = Order(), ConnectionState().connecting(0).connected(0.5)
    order.move(state)
    for number in numbers:
        if number == gap_before:
            order.skip()
        if number == overlap_before:
            state = state.connected(1.0)
            order.move(state)
        if number == disconnect_before:
            order.move(state.disconnecting())
        order.hear(number)
    return order


def test_the_simple_judge_of_order_passes_gaps_and_what_two_sessions_bring() -> None:
    missed = ordered(1, 2, 5, 6, gap_before=5)
    assert (dict(missed.broken), missed.missed, missed.heard, missed.gaps) == ({}, 2, 4, 1)
    again = ordered(1, 3, 2, 3, 4, gap_before=3, overlap_before=2)
    assert (dict(again.broken), again.again) == ({}, 2)
    ends = ordered(1, 2, 4, disconnect_before=4)
    assert (dict(ends.broken), ends.missed) == ({}, 1)


@pytest.mark.parametrize(
    ("numbers", "promise"),
    [
        ((1, 2, 4), "messages missing without a gap"),
        ((1, 2, 2), "messages repeated or reordered"),
        ((1, 3, 2), "messages repeated or reordered"),
    ],
)
def test_the_simple_judge_of_order_sees_a_broken_promise(
    numbers: tuple[int, ...], promise: str
) -> None:
    assert ordered(*numbers).broken[promise] == 1


def judged_sends(*states: ReceiptState, read: Sequence[int] = (), resend: bool = False) -> Sends:
    now = [0.0]
    sends = Sends(resend, lambda: now[0])
    for number, state in enumerate(states, 1):
        receipt = Receipt()
        if state != "queued":
            receipt.settle(state)
        sends.sent(number, receipt)
    for number in read:
        sends.read(number)
    sends.judge()
    now[0] += PATIENCE
    sends.judge()
    sends.finish()
    return sends


def test_the_simple_judge_of_sends_passes_what_is_well() -> None:
    sends = judged_sends("delivered", "in_doubt", "in_doubt", "dropped", read=[1, 2])
    assert not sends.broken
    assert sends.states == {"delivered": 1, "in_doubt": 2, "dropped": 1}
    assert (sends.lost, sends.open) == (1, 0)
    again = judged_sends("delivered", read=[1, 1], resend=True)
    assert (dict(again.broken), again.twice) == ({}, 1)


@pytest.mark.parametrize(
    ("state", "read", "resend", "promise"),
    [
        ("delivered", [], False, "delivered, but never read by the server"),
        ("delivered", [1, 1], False, "sends read twice"),
        ("dropped", [1], False, "receipt dropped, yet read by the server"),
        ("in_doubt", [1], True, "receipt in_doubt, with resend=True"),
        ("queued", [], False, "sends without an end (receipt queued)"),
    ],
)
def test_the_simple_judge_of_sends_sees_a_broken_promise(
    state: ReceiptState, read: list[int], resend: bool, promise: str
) -> None:
    assert judged_sends(state, read=read, resend=resend).broken == {promise: 1}


# What the reports see


def test_what_is_left_and_growth_break_a_promise() -> None:
    report = Report("a machine", "today", seed=0, stores=1, seconds=400.0)
    report.end = report.start._replace(tasks=2)
    report.samples = [(float(second), second / 20) for second in range(400)]
    assert report.growth == pytest.approx(3.0)
    report.conclude()
    assert report.broken == {"tasks left": 2, "memory grows by more than 1.0 MiB per minute": 1}
    assert slope([]) == 0.0


def test_a_herd_breaks_a_promise() -> None:
    outcome = Outcome("at once", 100, [0.0] * 100, all_back=0.1, limit=bound(100, 2.0))
    assert outcome.largest == 1.0
    assert len(outcome.broken) == 1
    assert outcome.broken[0].startswith("a herd: 100.0% in one bucket")
