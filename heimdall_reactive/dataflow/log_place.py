"""Where in the log reading begins, and how far it has come. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from heimdall_reactive import ConfigurationError

__all__ = ["Place", "Start", "checked_start", "lost_unread"]

Start: TypeAlias = Literal["new", "first", "last"] | int | datetime
"""`new`: what is written from now on; `first`: all that is kept; `last`: the newest record of each
channel, then what follows; a sequence; a time."""


def checked_start(start: Any) -> Start:
    """Return where to begin.

    Raises:
        ConfigurationError: nobody can begin there.
    """
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise ConfigurationError("start= needs a time with a time zone")
        return start
    if isinstance(start, int) and not isinstance(start, bool) and start >= 1:
        return start
    if isinstance(start, str) and start in ("new", "first", "last"):
        words: dict[str, Start] = {"new": "new", "first": "first", "last": "last"}
        return words[start]
    raise ConfigurationError(
        f"start must be 'new', 'first', 'last', a sequence of 1 or more, or a time, not {start!r}"
    )


def lost_unread(first: int, last: int) -> str:
    """Return what is notified of sequences that the stream dropped before they were read."""
    return f"the stream keeps {first} to {last} no more; raise its max_age or max_bytes"


@dataclass(slots=True)
class Place:
    """How far a reader has come.

    Attributes:
        start: where it began.
        position: sequence of the last record that was read, or that is not wanted; 0 while there
            is none.
        old: sequence up to which only the last messages are wanted, for `last`.
        created: when the stream was made that it is in, empty before the first session.
    """

    start: Start
    position: int = 0
    old: int = 0
    created: str = ""

    def enter(self, first: int, last: int, created: str = "") -> str:
        """Settle the place in a stream before a session; return what was lost of it, or nothing.

        Args:
            first: sequence of the oldest record that the stream has.
            last: sequence of the newest one, 0 where it never had any.
            created: when the stream was made, which tells it from another of its name.
        """
        before, self.created = self.created, created
        if before not in ("", created):
            read, self.start, self.position, self.old = self.position, "first", 0, 0
            return f"the stream was recreated, and {read} was read; it is read from its beginning"
        wanted = self.position + 1 if self.position else self.start
        if not isinstance(wanted, int):
            if wanted == "new":
                self.position = last
                self.start = last + 1
            elif wanted == "last":
                self.old = last
            return ""
        if wanted > last + 1:
            text = f"the stream was recreated: it ends at {last}, and {wanted - 1} was read"
            self.start, self.position = "first", 0
            return f"{text}; it is read from its beginning"
        if wanted < first:
            return lost_unread(wanted, first - 1)
        return ""

    def policy(self) -> dict[str, Any]:
        """Return how a consumer is made that begins here, in the words of JetStream."""
        wanted = self.position + 1 if self.position else self.start
        match wanted:
            case datetime():
                began = wanted.astimezone(UTC).isoformat().replace("+00:00", "Z")
                return {"deliver_policy": "by_start_time", "opt_start_time": began}
            case "last":
                return {"deliver_policy": "last_per_subject"}
            case "first" | "new":  # `new` in a stream that had nothing
                return {"deliver_policy": "all"}
            case _:
                return {"deliver_policy": "by_start_sequence", "opt_start_seq": wanted}
