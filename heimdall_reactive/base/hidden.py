"""Texts that no `repr` shows: a small class of our own, and pydantic's where there is a token."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol

__all__ = ["Hidden", "SecretText", "secret_str"]

if TYPE_CHECKING:
    from pydantic import SecretStr as SecretText
else:

    class SecretText(Protocol):
        """Pydantic's `SecretStr`, in hints that are read at run time."""

        def get_secret_value(self) -> str:
            """Return the text."""


class Hidden:
    """A text that no `repr` shows.

    Args:
        text: it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "Hidden('**********')"


@cache
def secret_str() -> type[SecretText]:
    """Import pydantic's `SecretStr`, which takes 40 ms, where there is a token."""
    from pydantic import SecretStr

    return SecretStr
