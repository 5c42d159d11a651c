"""What tells one message from all others, and the window of recent ids by which repeats go. Pure.

Why a window, and never `seq > last`: two copies of an ingest interleave, so an id below the newest
may still be the first of its kind; the comparison dropped 4 to 5 messages of every channel.
Why no hash of the payload: two genuine messages may be equal, and one of them would be dropped.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Hashable
from hashlib import sha256
from typing import Any, Final, TypeAlias

from heimdall_reactive import ConfigurationError

__all__ = [
    "FIELDS", "IdRule", "NoMessageId", "RecentIds", "id_rule", "number_of", "number_rule",
    "plain_id",
]  # fmt: skip

FIELDS: Final = ("id", "seq")
"""The fields of a JSON object that are looked for where no id rule is given."""

MAX_ID: Final = 128  # characters of an id that is kept as it is
PLAIN: Final = re.compile(rf"[!-~]{{1,{MAX_ID}}}").fullmatch
NUMBER: Final = re.compile("-?[0-9]{1,19}").fullmatch

IdRule: TypeAlias = str | Callable[[Any], str | int | None]
"""The name of a field, or a function of the message that returns its id; None leaves it out."""


class NoMessageId(ConfigurationError):
    """A message without an id, of a feed that several copies may hold."""

    def __init__(self, channel: str, fields: str) -> None:
        super().__init__(
            f"a message of the channel {channel!r} has no {fields}: without an id, redundant "
            "copies repeat every message. Give id= the name of a field or a function of the "
            "message (which returns None for what is to be left out); or single=True where one "
            "copy at a time holds the feed"
        )


class RecentIds:
    """The newest ids, by which a repeat is known.

    Args:
        limit: different ids that are kept; more than any repeat may come late by.

    Attributes:
        repeats: how often an id came that was there.

    Raises:
        ConfigurationError: the limit is below 1.
    """

    __slots__ = ("_known", "_limit", "_order", "repeats")

    def __init__(self, limit: int = 100_000) -> None:
        if limit < 1:
            raise ConfigurationError(f"a window of ids must hold 1 or more, not {limit}")
        self._limit = limit
        self._known: set[Hashable] = set()
        self._order: deque[Hashable] = deque()
        self.repeats = 0

    def add(self, own: Hashable) -> bool:
        """Handle an id; return whether it is new, and False for a repeat."""
        if own in self._known:
            self.repeats += 1
            return False
        self._known.add(own)
        self._order.append(own)
        if len(self._order) > self._limit:
            self._known.discard(self._order.popleft())
        return True

    def __contains__(self, own: object) -> bool:
        return own in self._known

    def __len__(self) -> int:
        return len(self._order)


def id_rule(rule: IdRule | None) -> Callable[[Any], str | None]:
    """Return the function that reads the id of a message, None where it has none.

    Args:
        rule: a field, a function, or None for the first of `FIELDS` that is there.
    """
    if callable(rule):
        return lambda message: plain_id(rule(message))
    names = FIELDS if rule is None else (rule,)

    def read(message: Any) -> str | None:
        if isinstance(message, dict):
            for name in names:
                if (found := plain_id(message.get(name))) is not None:
                    return found
        return None

    return read


def number_rule(rule: IdRule | None) -> Callable[[Any], int | None]:
    """Return the function that reads the offset of a message, None where it has none."""
    read = id_rule(rule)
    return lambda message: number_of(read(message))


def number_of(own: str | None) -> int | None:
    """Return an id as a whole number, None where it is none, or does not fit 64 bits."""
    return int(own) if own is not None and NUMBER(own) else None


def plain_id(value: Any) -> str | None:
    """Return an id as text that may stand in a header; None for what is not an id.

    A long id, or one of other characters than visible ASCII, is replaced by its SHA-256: equal
    ids stay equal, and a server cannot write headers of its own into the log.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        return None
    text = str(value)
    if PLAIN(text):
        return text
    return f"sha256:{sha256(text.encode(errors='surrogatepass')).hexdigest()}"
