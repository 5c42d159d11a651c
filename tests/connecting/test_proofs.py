"""What is known of the sends of one session, held against a model of the peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heimdall_reactive import SendError
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.receipt import Receipt
from heimdall_reactive.base.stats import SendCounters
from heimdall_reactive.connecting import proofs as module
from heimdall_reactive.connecting.outbox import Outbox, QueuedSend
from heimdall_reactive.connecting.proofs import Proofs


def now(call: Callable[[], None]) -> None:
    call()


def entry(number: int = 1) -> QueuedSend:
    return QueuedSend(Frame(b"x", True), Receipt(), number, None)


class Asked:
    """Proofs of a session that counts how often the peer was asked."""

    def __init__(self, keeper: Any = None) -> None:
        self.asked = 0
        self.counters = SendCounters()
        self.proofs = Proofs(self.counters, self.ask, now, keeper)

    def ask(self) -> None:
        self.asked += 1

    def write(self, *, landed: bool = True, key: Any = None) -> Receipt:
        sent = entry()
        self.proofs.write(sent, landed, key)
        return sent.receipt


def states(*receipts: Receipt) -> list[str]:
    return [receipt.state for receipt in receipts]


def test_a_pong_proves_what_was_written_before_its_ping_and_nothing_later() -> None:
    session = Asked()
    first, second = session.write(), session.write()
    session.proofs.on_ping()
    third = session.write()
    session.proofs.on_pong()
    assert states(first, second, third) == ["delivered", "delivered", "written"]
    assert (session.counters.delivered, session.asked) == (2, 0)
    assert session.proofs.end() == (1, [])
    assert session.proofs.end() == (0, [])
    assert states(first, second, third) == ["delivered", "delivered", "in_doubt"]
    assert isinstance(third.error, SendError)
    assert third.error.state == "in_doubt"
    assert third.error is third.error
    assert first.error is None
    assert third.result(0) is third  # it was written


def test_what_is_in_flight_is_queued_until_it_lands_and_in_doubt_where_it_never_does() -> None:
    session = Asked()
    flying = session.write(landed=False)
    assert states(flying) == ["queued"]
    session.proofs.land()
    assert states(flying) == ["written"]
    lost = session.write(landed=False)
    assert session.proofs.end() == (2, [])
    assert states(flying, lost) == ["in_doubt", "in_doubt"]
    with pytest.raises(SendError, match="delivery is unknown"):
        lost.result(0)


def test_a_pong_lands_what_the_wire_has_not_reported_yet() -> None:
    session = Asked()
    flying = session.write(landed=False)
    session.proofs.on_ping()
    session.proofs.on_pong()
    assert flying.state == "delivered"


def test_the_peer_is_asked_only_where_somebody_waits_and_again_for_what_came_later() -> None:
    session = Asked()
    first = session.write()
    assert session.asked == 0
    wait = first.delivered()
    assert session.asked == 1
    session.proofs.on_ping()
    second = session.write()
    told: list[str] = []
    second.delivered().add_done_callback(lambda receipt: told.append(receipt.state))
    assert session.asked == 2  # the wire shares the ping that is under way
    session.proofs.on_pong()
    assert wait.result(0) is first
    assert (session.asked, told) == (3, [])
    session.proofs.on_ping()
    session.proofs.on_pong()
    assert told == ["delivered"]
    assert session.asked == 3


def test_whoever_waits_before_it_is_written_is_told_too() -> None:
    session, sent = Asked(), entry()
    wait = sent.receipt.delivered()
    session.proofs.write(sent, True)
    assert session.asked == 1
    session.proofs.end()
    with pytest.raises(SendError):
        wait.result(0)
    never = entry().receipt
    unsent = never.delivered()
    never.settle("expired", SendError("too late", "expired"))
    with pytest.raises(SendError, match="too late"):
        unsent.result(0)


def test_a_send_that_is_answered_by_itself_is_not_proved_by_a_pong() -> None:
    session = Asked()
    keyed, plain = session.write(key=7), session.write()
    wait = keyed.delivered()
    session.proofs.on_ping()
    session.proofs.on_pong()
    assert states(keyed, plain) == ["written", "delivered"]
    assert session.counters.delivered == 1
    session.proofs.on_answer("another")
    session.proofs.on_answer(7)
    session.proofs.on_answer(7)
    assert wait.result(0).state == "delivered"
    assert (session.counters.delivered, session.asked) == (2, 0)
    assert session.proofs.end() == (0, [])


def test_an_answer_proves_what_was_written_before_it() -> None:
    session = Asked()
    plain, keyed, later = session.write(), session.write(key="k"), session.write()
    unanswered = session.write(key="u")
    session.proofs.on_answer("k")
    assert states(plain, keyed, later) == ["delivered", "delivered", "written"]
    waits = unanswered.delivered()
    assert session.proofs.end() == (2, [])
    with pytest.raises(SendError):
        waits.result(0)


def test_an_answer_proves_also_where_a_pong_would_do() -> None:
    session = Asked()
    first, second = entry(1), entry(2)
    for key, each in enumerate((first, second)):
        session.proofs.write(each, True, key, False)
    session.proofs.on_answer(0)
    assert states(first.receipt, second.receipt) == ["delivered", "written"]
    session.proofs.on_ping()
    session.proofs.on_pong()
    session.proofs.on_answer(1)
    assert session.counters.delivered == 2
    assert session.proofs.end() == (0, [])


def test_an_answer_proves_no_more_than_the_first_of_several_with_its_key() -> None:
    session = Asked()
    first, between, second = session.write(key="k"), session.write(), session.write(key="k")
    session.proofs.on_answer("k")
    assert states(first, between, second) == ["delivered", "written", "written"]
    session.proofs.on_answer("k")
    assert states(first, between, second) == ["delivered", "delivered", "delivered"]
    session.proofs.on_answer("k")
    assert session.proofs.end() == (0, [])


def test_answers_that_never_come_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    session = Asked()
    receipts = [session.write(key=n) for n in range(5)]
    assert states(*receipts) == ["in_doubt"] * 2 + ["written"] * 3
    session.proofs.on_answer(0)  # too late
    assert states(*receipts) == ["in_doubt"] * 2 + ["written"] * 3
    assert session.proofs.end() == (5, [])


def test_what_is_turned_down_was_never_sent() -> None:
    session = Asked()
    receipt = session.write(landed=False)
    assert session.proofs.turn_down() is receipt
    assert session.proofs.turn_down() is None
    assert session.proofs.end() == (0, [])


def test_what_is_turned_down_is_not_kept_to_be_sent_again() -> None:
    box = Outbox(1, 100)
    session = Asked(keeper=box)
    for number in range(3):
        session.proofs.write(entry(number), landed=False)
        assert session.proofs.turn_down() is not None
    assert session.proofs.end() == (0, [])
    assert box.put(Frame(b"x" * 100, True)).state == "queued"  # there is room for all of it


def test_what_is_kept_counts_against_the_outbox_until_it_is_proved() -> None:
    box = Outbox(2, 100)
    session = Asked(keeper=box)
    first, second = entry(1), entry(2)
    for each in (first, second):
        session.proofs.write(each, True)
    assert box.put(Frame(b"y", True)).state == "rejected"
    session.proofs.on_ping()
    session.proofs.on_pong()
    kept = box.put(Frame(b"y", True))
    assert kept.state == "queued"
    third = entry(3)
    wait = third.receipt.delivered()
    session.proofs.write(third, False)
    doubted, again = session.proofs.end()
    assert (doubted, again) == (0, [third])
    assert third.receipt.state == "queued"
    following = Asked(keeper=box)
    following.proofs.write(third, True)
    following.proofs.on_ping()
    following.proofs.on_pong()
    assert wait.result(0) is third.receipt
    assert (third.receipt.attempts, following.counters.resent) == (2, 1)


class Peer:
    """A session whose peer reads sends and pings in their order, some way behind.

    Args:
        read: how much of the stream it reads before it dies.
        keeps: whether the session keeps what is not proved.
    """

    def __init__(self, read: int, keeps: bool) -> None:
        self.session = Asked(keeper=Outbox(1000, 10**6) if keeps else None)
        self.read = read
        self.stream: list[Any] = []  # numbers of sends, and "ping"
        self.sent: list[QueuedSend] = []
        self.keys: list[int] = []
        self.stuck = False

    def step(self, step: str) -> None:
        proofs = self.session.proofs
        if step in ("send", "keyed", "stuck") and not self.stuck:
            self.send(step)
        elif step == "land":
            self.stuck = False
            proofs.land()
        elif step == "ping":
            proofs.on_ping()
            self.stream.append("ping")
        elif step == "pong" and self.answers_the_newest_ping():
            self.stuck = self.stuck and self.stream[-1] != "ping"
            proofs.on_pong()
        elif step == "answer" and self.keys and self.has(self.keys[0]):
            proofs.on_answer(self.keys.pop(0))
        elif step == "wait" and self.sent:
            self.sent[-1].receipt.delivered()

    def send(self, step: str) -> None:
        number = len(self.sent)
        self.stuck = step == "stuck"
        self.sent.append(entry(number))
        self.stream.append(number)
        if step == "keyed":
            self.keys.append(number)
        self.session.proofs.write(
            self.sent[-1], not self.stuck, number if step == "keyed" else None
        )

    def answers_the_newest_ping(self) -> bool:
        places = [place for place, what in enumerate(self.stream) if what == "ping"]
        return bool(places) and places[-1] < self.read

    def has(self, number: int) -> bool:
        return number in self.stream[: self.read]

    def proved(self) -> list[int]:
        return [n for n, each in enumerate(self.sent) if each.receipt.state == "delivered"]


STEPS = st.sampled_from(["send", "keyed", "stuck", "land", "ping", "pong", "answer", "wait"])


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEPS, max_size=60), keeps=st.booleans(), read=st.integers(0, 60))
def test_whatever_happens_no_receipt_says_more_than_the_peer_has(
    steps: list[str], keeps: bool, read: int
) -> None:
    peer = Peer(read, keeps)
    for step in steps:
        peer.step(step)
        assert all(peer.has(number) for number in peer.proved())
    proved, session = peer.proved(), peer.session
    assert session.counters.delivered == len(proved) == session.proofs.delivered
    left = [each for number, each in enumerate(peer.sent) if number not in proved]
    assert proved == peer.proved()
    assert session.proofs.end() == ((0, left) if keeps else (len(left), []))
    if not keeps:
        assert proved == peer.proved()
    assert {each.receipt.state for each in left} <= {"queued" if keeps else "in_doubt"}
