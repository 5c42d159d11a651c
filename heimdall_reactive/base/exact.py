"""JSON numbers with all their digits, for types that ask for `Decimal`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

__all__ = ["asks_for_decimals", "exact_json"]


class _Float(float):
    """A float like any other, which pydantic makes a `Decimal` of with the digits of the frame.

    pydantic's own JSON mode makes it of the float: 1.10 is `Decimal("1.1")` there. A `Decimal`
    instead of this would show in what is typed `Any`, and an `int` of 1e999999999 would be
    computed.
    """

    __slots__ = ("_text",)
    _text: str

    def __new__(cls, text: str) -> _Float:
        number = super().__new__(cls, text)
        number._text = text
        return number

    def __str__(self) -> str:
        return self._text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity (RFC 8259 6)


@cache
def _decode() -> Callable[[str], Any]:
    import json  # few programs need it

    return json.JSONDecoder(parse_float=_Float, parse_constant=_refuse).decode


def exact_json(text: str) -> Any:
    """Parse JSON; what is a float knows the digits it had."""
    return _decode()(text)


def asks_for_decimals(schema: Any) -> bool:
    """Return whether a core schema has a `Decimal`.

    False for strict types: in Python values they refuse what they take from JSON, a datetime.
    """
    found = False
    seen: set[int] = set()
    left = [schema]
    while left:
        part = left.pop()
        if not isinstance(part, (dict, list, tuple)) or id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            if part.get("strict") is True:
                return False
            found = found or part.get("type") == "decimal"
            part = part.values()
        left += part
    return found
