"""Judges the sends of one store: by its receipts, what it wrote, and what the server got. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from heimdall_reactive import Receipt

from .words import Ended, Got, Sent, Wrote

__all__ = ["NEVER_WRITTEN", "UpLedger"]

NEVER_WRITTEN = ("dropped", "expired", "rejected")


@dataclass
class _Send:
    """One numbered send that is not judged yet."""

    receipt: Receipt | None = None
    dial: int = 0
    got: bool = False
    acknowledged: bool = False
    lost_by: str = ""


@dataclass
class _Line:
    """What was written on the connection of one dial, and read from it."""

    written: deque[int] = field(default_factory=deque)
    last_got: int = 0
    read_to_its_end: bool = False
    by_server: bool = False
    left: bool = False


class UpLedger:
    """Handle events in the order in which they happened; count results and broken promises.

    On each connection the server must get a prefix of what was written on it: in order, nothing
    twice, no hole. What is missing behind the prefix is lost with the connection, and somebody
    must be to blame for that connection's end.

    Args:
        blame: returns for a dial who ended its connection, or "" where nobody did.

    Attributes:
        states: receipts by their final state.
        lost: sends by who is to blame; their receipts do not say `in_doubt`, as they must.
        doubted: the same for receipts that say `in_doubt`.
        confirmed: sends that the server got.
        late: sends that came after those of a later connection, held up on the way.
        broken: broken promises.
    """

    def __init__(self, blame: Callable[[int, bool], str]) -> None:
        self.states: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.doubted: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.late = 0
        self.confirmed = 0
        self._blame = blame
        self._sends: dict[int, _Send] = {}
        self._pending: deque[int] = deque()
        self._lines: dict[int, _Line] = {}
        self._last_written = 0
        self._newest_got = 0
        self._highest: dict[int, tuple[int, int]] = {}

    @property
    def open(self) -> int:
        """How many sends are not judged yet."""
        return len(self._sends)

    def settled(self) -> list[int]:
        """Return the oldest sends whose receipts have their final state.

        To be asked before the events are taken: what a receipt says was noted before it said so.
        """
        found = []
        for number in self._pending:
            receipt = self._sends[number].receipt
            if receipt is None or receipt.state == "queued":
                break
            found.append(number)
        return found

    def sent(self, event: Sent) -> None:
        """Handle an accepted or refused send."""
        self._send(event.number).receipt = event.receipt
        self._pending.append(event.number)

    def wrote(self, event: Wrote) -> None:
        """Handle a write to a socket."""
        line = self._lines.setdefault(event.dial, _Line())
        if event.undone:
            line.written.pop()
            self._last_written = event.number - 1
            self._send(event.number).dial = 0
            return
        if event.number <= self._last_written:
            self.broken["sends written twice, or out of order"] += 1
        self._last_written = max(self._last_written, event.number)
        line.written.append(event.number)
        self._send(event.number).dial = event.dial

    def left(self, dial: int) -> None:
        """Handle the end of a session as the store tells it."""
        self._lines.setdefault(dial, _Line()).left = True
        for old in [each for each in self._lines if each < dial - WINDOW]:
            if not self._lines[old].written:  # it never became a session, or the server's
                del self._lines[old]
        self._close(dial)

    def acknowledged(self, number: int) -> None:
        """Handle the server's acknowledgement."""
        if number in self._sends:
            self._sends[number].acknowledged = True

    def got(self, event: Got) -> None:
        """Handle what the server has read."""
        number, line = event.number, self._lines.setdefault(event.dial, _Line())
        self._order_over_all(event)
        if line.written and line.written[0] == number:
            line.written.popleft()
        elif number in line.written:
            while (hole := line.written.popleft()) != number:
                self._lose(hole, "a hole in a living connection")
        elif number == line.last_got:
            self.broken["sends duplicated"] += 1
        elif number < line.last_got:
            self.broken["sends duplicated, or reordered within a connection"] += 1
        else:
            self.broken["sends that were never written, yet arrived"] += 1
        line.last_got = max(line.last_got, number)
        if number in self._sends:
            self._sends[number].got = True

    def ended(self, event: Ended) -> None:
        """Handle the end of a connection as the server tells it."""
        line = self._lines.setdefault(event.dial, _Line())
        line.read_to_its_end, line.by_server = True, event.by_server
        self._close(event.dial)

    def judge(self, settled: list[int]) -> None:
        """Judge the sends that were settled before the last events were taken."""
        waiting = []
        for number in settled:
            self._pending.popleft()
            waiting.append(number)
        for number in reversed(waiting):
            if not self._judge(number):
                self._pending.appendleft(number)

    def finish(self) -> None:
        """Judge what is left at the end: nothing may be undecided."""
        for send in self._sends.values():
            state = "nothing" if send.receipt is None else send.receipt.state
            self.broken[f"sends without an end (receipt {state})"] += 1

    def _judge(self, number: int) -> bool:
        send = self._sends[number]
        assert send.receipt is not None
        state = send.receipt.state
        if state in NEVER_WRITTEN:
            if send.dial or send.got:
                self.broken[f"receipt {state}, yet written"] += 1
        elif not send.dial:
            self.broken[f"receipt {state}, but never written"] += 1
        elif not send.got and not send.lost_by:
            return False
        elif not send.got and send.acknowledged:
            self.broken["acknowledged by the server, but not in its log"] += 1
        if send.lost_by and not send.got:
            self._count_loss(state, send.lost_by)
        self.confirmed += send.got
        self.states[state] += 1
        del self._sends[number]
        return True

    def _count_loss(self, state: str, blamed: str) -> None:
        hole = blamed.startswith("a hole")
        if hole or blamed == NOBODY:
            self.broken["sends lost without a fault"] += 1
        if state == "in_doubt":
            self.doubted[blamed] += 1
            return
        self.lost[blamed] += 1
        if not hole:  # the receipts of a connection that lives have no end yet
            self.broken[f"sends lost with their connection, yet {state}"] += 1

    def _order_over_all(self, event: Got) -> None:
        """By the order of the connections: what a slow network holds up is its own affair."""
        dial, number = event
        if dial < self._newest_got:
            self.late += 1
        self._newest_got = max(self._newest_got, dial)
        low, high = self._highest.get(dial, (number, number))
        self._highest[dial] = min(low, number), max(high, number)
        for other, (lowest, highest) in self._highest.items():
            if (other < dial and highest >= number) or (other > dial and lowest <= number):
                self.broken["sends reordered over all, or sent on two connections"] += 1
        while len(self._highest) > WINDOW:
            del self._highest[min(self._highest)]

    def _close(self, dial: int) -> None:
        line = self._lines[dial]
        if not (line.left and line.read_to_its_end):
            return
        if line.written:
            blamed = self._blame(dial, line.by_server) or NOBODY
            for number in line.written:
                self._lose(number, blamed)
        del self._lines[dial]

    def _lose(self, number: int, blamed: str) -> None:
        if number in self._sends:
            self._sends[number].lost_by = blamed

    def _send(self, number: int) -> _Send:
        return self._sends.setdefault(number, _Send())


NOBODY = "nobody"
WINDOW = 32  # connections whose numbers are compared with those of each other
