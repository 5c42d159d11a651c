"""`MessageFeed`: the newest messages, states, errors and sends, bounded for each kind. Pure."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from heimdall_reactive.connecting.lines import message_parts

__all__ = ["LONGEST", "Line", "LineTone", "MessageFeed"]

LineTone: TypeAlias = Literal["in", "out", "state", "error"]

KEPT: Final = 200  # lines of a kind: a flood of one kind leaves the others
KINDS: Final = 40  # more of them are `other`
LONGEST: Final = 4096  # characters of a message that are kept
PREVIEW: Final = 240  # characters of its line
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened.

    Attributes:
        number: counts up over the whole feed.
        at: seconds since the epoch.
        where: name of the connection.
        kind: the message's channel or `type`, or one of `state`, `error`, `sent`, `text`,
            `binary`, `json`.
        text: what of it stands on the line, at most 240 characters.
        whole: all of it, at most 4,096 characters.
        tone: whether it came in, went out, or is about the connection.
        size: characters or bytes of the whole.
    """

    number: int
    at: float
    where: str
    kind: str
    text: str
    whole: str
    tone: LineTone
    size: int


class MessageFeed:
    """Keeps the newest 200 lines of each kind, and counts all.

    Attributes:
        number: of the newest line.
        counts: lines of each kind, those that are gone included.
    """

    def __init__(self) -> None:
        self.number = 0
        self.counts: dict[str, int] = {}
        self._kept: dict[tuple[LineTone, str], deque[Line]] = {}

    def add_message(self, at: float, where: str, message: Any) -> None:
        """Add a line for a message that came."""
        kind, text, whole, is_json = message_parts(message)
        kind = kind or ("json" if is_json or not isinstance(message, str) else "text")
        self.add(at, where, kind, whole, line=text)

    def add(
        self,
        at: float,
        where: str,
        kind: str,
        text: str,
        tone: LineTone = "in",
        line: str | None = None,
    ) -> None:
        """Add a line.

        Args:
            at: seconds since the epoch.
            where: name of the connection.
            kind: what it is.
            text: all of it.
            tone: whether it came in, went out, or is about the connection.
            line: what stands on the line; None is all of it.
        """
        # By tone as well: what a server calls `error` may not push out the errors.
        if (tone, kind) not in self._kept:
            if tone == "in" and sum(other == "in" for other, _ in self._kept) >= KINDS:
                kind = OTHER
            self._kept.setdefault((tone, kind), deque(maxlen=KEPT))
        self.number += 1
        self.counts[kind] = self.counts.get(kind, 0) + 1
        shown, whole = (text if line is None else line)[:PREVIEW], text[:LONGEST]
        self._kept[tone, kind].append(
            Line(self.number, at, where, kind, shown, whole, tone, len(text))
        )

    def newest(
        self,
        count: int,
        kinds: Collection[str] = (),
        where: str | None = None,
        holds: Callable[[Line], bool] = lambda _: True,
    ) -> list[Line]:
        """Return the newest lines, the newest first.

        Args:
            count: at most so many.
            kinds: only these; none is all.
            where: only of this connection.
            holds: only those of which this is true.
        """
        chosen = [
            reversed(kept) for (_, kind), kept in self._kept.items() if not kinds or kind in kinds
        ]
        merged = heapq.merge(*chosen, key=lambda line: -line.number)
        lines: list[Line] = []
        for line in merged:
            if len(lines) == count:
                break
            if where in (None, line.where) and holds(line):
                lines.append(line)
        return lines

    def line(self, number: int) -> Line | None:
        """Return a line that is still kept."""
        every = (line for kept in self._kept.values() for line in kept)
        return next((line for line in every if line.number == number), None)
