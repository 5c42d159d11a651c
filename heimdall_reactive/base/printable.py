"""Texts of the wire on one line: nothing in them steers a terminal or turns the text around."""

from __future__ import annotations

from datetime import datetime
from itertools import accumulate

__all__ = ["clock", "count_of", "cut", "printable"]


def clock(at: float | None = None) -> str:
    """Return a time of the day, by default now, such as `12:34:56.789`."""
    moment = datetime.now() if at is None else datetime.fromtimestamp(at)
    return moment.strftime("%H:%M:%S.%f")[:-3]


def printable(text: str) -> str:
    r"""Write out every control and bidi character, such as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def cut(text: str, width: int) -> str:
    """Return a text that takes at most so many columns, with an ellipsis where some is missing.

    Args:
        text: printable.
        width: 1 or more; a wide character, such as those of Chinese, takes two columns.
    """
    if len(text) <= width and text.isascii():
        return text
    ends = list(accumulate(map(_columns, text[: width + 1])))
    if len(text) <= width and ends[-1] <= width:
        return text
    return text[: sum(end < width for end in ends)] + "…"


def _columns(character: str) -> int:
    from unicodedata import east_asian_width  # few programs need it

    return 2 if east_asian_width(character) in "WF" else 1


def count_of(count: int, noun: str) -> str:
    """Return such as `1 observer`, `2 observers`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
