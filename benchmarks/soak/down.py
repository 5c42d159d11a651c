"""Judges the messages that one store gets: their order, its gaps, and what lies outside. Pure."""

from __future__ import annotations

from collections import Counter, deque

from heimdall_reactive import ConnectionState, Status
from heimdall_reactive.base.state import Gap

from .words import Heard, Published, number_of

__all__ = ["OUTSIDE", "SLACK", "DownLedger"]

OUTSIDE = "messages missing outside of a gap"
SLACK = 0.15  # seconds


class DownLedger:
    """Handle events in the order in which an observer got them; count what breaks a promise.

    Within a session the numbers are contiguous. What is missing between two sessions was sent
    within a gap; or so shortly before it that it was still on its way when the last byte came.

    Attributes:
        heard: messages.
        missed: messages that no session got.
        early: those of them that were sent before their gap's `since`, still on their way then.
        earliest: seconds, the most that one of them was sent before.
        sessions: connections.
        slack: seconds that a message may have been on its way, beyond what was measured.
        gaps: reports of a gap.
        broken: broken promises.
    """

    def __init__(self) -> None:
        self.heard = 0
        self.missed = 0
        self.early = 0
        self.earliest = 0.0
        self.sessions = 0
        self.gaps = 0
        self.slack = SLACK
        self.broken: Counter[str] = Counter()
        self._published: deque[Published] = deque()
        self._last = 0
        self._lag = 0.0
        self._heard_at = 0.0
        self._fresh = False
        self._began = 0.0
        self._silent_since: float | None = None
        self._state = ConnectionState()
        self._open: list[tuple[Gap, float]] = []
        self._reported = True

    def published(self, event: Published) -> None:
        """Handle what the server sends."""
        self._published.append(event)

    def moved(self, state: ConnectionState) -> None:
        """Handle a state."""
        before, self._state = self._state, state
        if state.status is Status.CONNECTED and before.status is not Status.CONNECTED:
            if not self._reported:
                self.broken["sessions without a gap"] += 1
            self.sessions += 1
            self._reported = state.session == 1
            self._silent_since = self._began if self._fresh else None
            self._began, self._fresh = state.connected_at or 0.0, True

    def skipped(self, gap: Gap, slowed: bool) -> None:
        """Handle a gap, and whether a fault had slowed the session before it."""
        self.gaps += 1
        state = self._state
        if self._reported or gap.session != state.session:
            self.broken["gaps without a new session"] += 1
        if gap.until != state.connected_at or not gap.since <= gap.until:
            self.broken["gaps with wrong times"] += 1
        self._reported = True
        # Where the session before got no message, nothing has measured how slow its way was.
        unmeasured = 0.0 if self._silent_since is None else gap.since - self._silent_since
        on_its_way = max(self._lag, unmeasured)
        if slowed:  # what a fault has held up since the last message may be all that was sent
            on_its_way = max(on_its_way, self._lag + gap.since - self._heard_at)
        self._open.append((gap, on_its_way + self.slack))

    def hear(self, event: Heard) -> None:
        """Handle a numbered message."""
        number, sent_at = number_of(event.text), float(event.text.partition(":")[2])
        self.heard += 1
        if self._state.status not in (Status.CONNECTED, Status.DISCONNECTING):
            self.broken["messages outside of a session"] += 1
        if not self._reported:
            self.broken["sessions without a gap"] += 1
            self._reported = True
        if number <= self._last:
            self.broken["messages duplicated or reordered"] += 1
            return
        if not self._fresh and number != self._last + 1:
            self.broken["messages missing within a session"] += 1
        elif self._last:
            self._miss(number)
        self._forget(number)
        self._last, self._fresh = number, False
        self._lag, self._heard_at = event.at - sent_at, event.at
        self._open.clear()

    def finish(self) -> None:
        """Look at the last session."""
        if not self._reported:
            self.broken["sessions without a gap"] += 1

    def _miss(self, until: int) -> None:
        for published in self._published:
            if self._last < published.number < until:
                self.missed += 1
                self._place(published.at)

    def _place(self, at: float) -> None:
        """Find the gap that a message was lost in."""
        for gap, _ in self._open:
            if gap.since <= at <= gap.until:
                return
        for gap, on_its_way in self._open:
            if gap.since - on_its_way <= at < gap.since:
                self.early += 1
                self.earliest = max(self.earliest, gap.since - at)
                return
        self.broken[OUTSIDE] += 1

    def _forget(self, number: int) -> None:
        while self._published and self._published[0].number <= number:
            self._published.popleft()
