"""What a `repr` and a notebook show of an object: its kind, and in a few words how it is."""

from __future__ import annotations

from typing import Final

from .exceptions import HeimdallError
from .printable import cut, printable

__all__ = ["VALUE", "glance", "glance_html", "shortly", "told_shortly"]

WIDTH: Final = 240  # columns of all
VALUE: Final = 80  # columns of a value in it
# A shape beside each colour, for eyes that do not tell these apart. The colours have a contrast of
# 3:1 against white and against black, which is what signs need (WCAG 1.4.11); words have the
# notebook's own colour.
SIGNS: Final = {
    "good": ("●", "#16916c"),
    "busy": ("◐", "#b07a00"),
    "idle": ("○", "#78818f"),
    "bad": ("✕", "#dc4a34"),
}


def glance(thing: object, words: str) -> str:
    """Return the `repr` of a thing: one line of at most some 300 columns that steers no terminal.

    Args:
        thing: whose class comes first.
        words: how it is; they hold no secret.
    """
    return f"<{shortly(type(thing).__name__, 40)} {shortly(words, WIDTH)}>"


def shortly(text: str, width: int = VALUE) -> str:
    """Return a text as a part of such a line."""
    return cut(printable(text[: width + 1]), width)


def told_shortly(error: BaseException) -> str:
    """Return why something failed; of errors that are not ours, whose text may be secret, the kind.

    Args:
        error: of the state, or of a receipt.
    """
    return shortly((isinstance(error, HeimdallError) and str(error)) or type(error).__name__, 400)


def glance_html(tone: str, title: str, *lines: str) -> str:
    """Return the same for a notebook, light or dark: HTML without scripts and links.

    Args:
        tone: `good`, `busy`, `idle` or `bad`.
        title: how it is.
        lines: more of it; empty ones are left out. They are texts, and are escaped.
    """
    from html import escape  # few programs need it

    sign, colour = SIGNS[tone]
    rest = "".join(
        f'<div style="opacity:.85">{escape(shortly(line, WIDTH))}</div>' for line in lines if line
    )
    return (
        '<div style="line-height:1.5;overflow-wrap:anywhere">'
        f'<span style="color:{colour}" aria-hidden="true">{sign}</span> '
        f"<strong>{escape(shortly(title))}</strong>{rest}</div>"
    )
