"""`MessageFeed`: the newest messages, states, errors and sends, bounded for each kind. Pure."""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel

from heimdall_reactive import ChannelMessage

__all__ = ["LONGEST", "Line", "LineTone", "MessageFeed", "kind_of", "text_of"]

LineTone: TypeAlias = Literal["in", "out", "state", "error"]

KEPT: Final = 200  # lines of a kind: a flood of one kind leaves the others
KINDS: Final = 40  # more of them are `other`
LONGEST: Final = 4096  # characters of a line that are kept, and of a text that is read for its kind
NAME: Final = 40  # characters of a kind
OTHER: Final = "other"
LAST: Final = ("timestamp", "type")  # fields of a model: the kind and the time are shown before it


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened.

    Attributes:
        number: counts up over the whole feed.
        at: seconds since the epoch.
        where: name of the connection.
        kind: the message's channel or `type`, or one of `state`, `error`, `sent`, `text`,
            `binary`, `json`.
        text: at most 4,096 characters.
        tone: whether it came in, went out, or is about the connection.
        size: characters or bytes of the whole.
    """

    number: int
    at: float
    where: str
    kind: str
    text: str
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

    def add(self, at: float, where: str, kind: str, text: str, tone: LineTone = "in") -> None:
        """Add a line."""
        # By tone as well: what a server calls `error` may not push out the errors.
        if (tone, kind) not in self._kept:
            if tone == "in" and sum(other == "in" for other, _ in self._kept) >= KINDS:
                kind = OTHER
            self._kept.setdefault((tone, kind), deque(maxlen=KEPT))
        self.number += 1
        self.counts[kind] = self.counts.get(kind, 0) + 1
        line = Line(self.number, at, where, kind, text[:LONGEST], tone, len(text))
        self._kept[tone, kind].append(line)

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


def kind_of(message: Any) -> str:
    """Return the kind of a message: its channel or its `type`, where it has one."""
    if isinstance(message, ChannelMessage):
        return f"#{message.channel}"[:NAME]
    if isinstance(message, bytes):
        return "binary"
    if isinstance(message, str):
        try:
            message = json.loads(message) if len(message) <= LONGEST else ""
        except (ValueError, RecursionError):
            return "text"
    if message == "":
        return "text"
    kind = message.get("type") if isinstance(message, dict) else getattr(message, "type", None)
    return kind[:NAME] if isinstance(kind, str) and kind else "json"


def text_of(message: Any) -> str:
    """Return a message as text: models as their JSON, binary ones as their beginning."""
    if isinstance(message, str):
        return message
    if isinstance(message, bytes):
        return f"{len(message)} bytes: {message[:64].hex(' ')}"
    if isinstance(message, ChannelMessage):
        return message.data
    if isinstance(message, BaseModel):
        message = message.model_dump(mode="json", by_alias=True, exclude_none=True)
        message |= {name: message.pop(name) for name in LAST if name in message}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
