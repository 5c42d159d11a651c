"""What of a value is shown, and whether it differs from what is shown already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

__all__ = ["Selecting", "distinct_by_default", "same"]

NOTHING: Final = object()  # no value yet


def same(one: object, other: object) -> bool:
    """Return whether two values are equal; without an answer, as with arrays, they differ."""
    try:
        return one is other or bool(one == other)
    except Exception:
        return False


def distinct_by_default(select: object, buffer: int) -> bool:
    """Return whether equal values are left out where nobody said so.

    A selection of the newest value is a state: an equal one changes nothing that is seen. Without
    a selection the source knows best: `is_connected` is distinct, and two equal messages are two.
    With a buffer every value counts.
    """
    return select is not None and buffer == 1


class Selecting:
    """Selects from values, and remembers the last selection.

    Args:
        select: a pure function of the value, None for the value itself.
        distinct: leave out a selection that equals the one before.

    Attributes:
        shown: the last selection.
    """

    __slots__ = ("_distinct", "_select", "shown")

    def __init__(self, select: Callable[[Any], Any] | None, distinct: bool) -> None:
        self._select = select
        self._distinct = distinct
        self.shown: Any = NOTHING

    def changed(self, value: Any) -> bool:
        """Handle the next value; return whether `shown` has to be shown again."""
        selected = value if self._select is None else self._select(value)
        if self._distinct and self.shown is not NOTHING and same(selected, self.shown):
            return False
        self.shown = selected
        return True
