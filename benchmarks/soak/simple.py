"""Judges a store of the soak by what observers can see alone: numbers, gaps, receipts. Pure."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from heimdall_reactive import ConnectionState, Receipt, Status

__all__ = ["Order", "Sends"]

PATIENCE = 2.0  # seconds for what was read to be told to us
WINDOW = 3000  # the newest numbers, of which it is known whether they were read
UNWRITTEN = ("dropped", "expired", "rejected")


class Order:
    """Judge the numbered messages of one observer; only a gap may explain a missing one.

    Attributes:
        heard: messages.
        again: those of them that both sessions of an overlap brought.
        missed: messages that are missing behind a gap.
        gaps: reports of a gap.
        broken: broken promises.
    """

    def __init__(self) -> None:
        self.heard = self.again = self.missed = self.gaps = 0
        self.broken: Counter[str] = Counter()
        self._last = 0
        self._gap = False
        self._two = False
        self._state = ConnectionState()

    def move(self, state: ConnectionState) -> None:
        """Handle a state: two sessions overlapped where the number grew while connected.

        A `disconnect()` may come in between. Then nobody waits for the rest of the first one, and
        the next gap, which reaches back to there, is told when it is connected again.
        """
        before, self._state = self._state, state
        both = before.status is state.status is Status.CONNECTED
        ends = state.status is Status.DISCONNECTING
        self._two = self._two or ends or (both and before.session != state.session)
        self._gap = self._gap or ends

    def skip(self) -> None:
        """Handle a gap."""
        self.gaps += 1
        self._gap = True

    def hear(self, number: int) -> None:
        """Handle a message."""
        self.heard += 1
        if number <= self._last:
            self.again += 1
            if not self._two:
                self.broken["messages repeated or reordered"] += 1
            return
        if self._last and number > self._last + 1:
            self.missed += number - self._last - 1
            if not self._gap:
                self.broken["messages missing without a gap"] += 1
        self._last, self._gap, self._two = number, False, False


class Sends:
    """Judge numbered sends: what their receipts say at last, and what the server has read.

    Args:
        resend: whether a send may be read twice, and must be delivered at the end.
        clock: seconds.

    Attributes:
        states: receipts by their final state.
        lost: sends whose receipts say `in_doubt`, and which the server never read.
        twice: sends that the server read more than once.
        broken: broken promises.
    """

    def __init__(self, resend: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.states: Counter[str] = Counter()
        self.lost = self.twice = 0
        self.broken: Counter[str] = Counter()
        self._resend = resend
        self._clock = clock
        self._open: dict[int, Receipt] = {}
        self._read: dict[int, None] = {}
        self._since: dict[int, float] = {}

    @property
    def open(self) -> int:
        """How many are not judged yet."""
        return len(self._open)

    def sent(self, number: int, receipt: Receipt) -> None:
        """Handle a send."""
        self._open[number] = receipt

    def read(self, number: int) -> None:
        """Handle what the server has read."""
        if number in self._read:
            self.twice += 1
            if not self._resend:
                self.broken["sends read twice"] += 1
        self._read[number] = None
        while len(self._read) > WINDOW:
            del self._read[next(iter(self._read))]

    def judge(self) -> None:
        """Judge those whose receipts have their final state."""
        for number, receipt in list(self._open.items()):
            state = receipt.state
            if state in ("queued", "written"):
                continue
            read = number in self._read
            proof = state == "delivered"
            if not read and state not in UNWRITTEN:
                if self._clock() - self._since.setdefault(number, self._clock()) < PATIENCE:
                    continue
                self.lost += not proof
            self._since.pop(number, None)
            if proof and not read:
                self.broken["delivered, but never read by the server"] += 1
            if read and state in UNWRITTEN:
                self.broken[f"receipt {state}, yet read by the server"] += 1
            if self._resend and not proof:
                self.broken[f"receipt {state}, with resend=True"] += 1
            self.states[state] += 1
            del self._open[number]

    def finish(self) -> None:
        """Judge what is left: each receipt must have its end."""
        for receipt in self._open.values():
            self.broken[f"sends without an end (receipt {receipt.state})"] += 1
