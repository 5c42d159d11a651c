"""The roots of the error tree: an error's text is one bounded line, and errors can be pickled."""

from __future__ import annotations

from typing import Any, Final, TypeVar

__all__ = ["MAX_TEXT", "HeimdallError", "StoreError", "one_line"]

E = TypeVar("E", bound=BaseException)
MAX_TEXT: Final = 1000  # characters of an error


class HeimdallError(Exception):
    """Root of every error of this library; its text is one line."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(one_line(a, MAX_TEXT) if isinstance(a, str) else a for a in args))

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors take other arguments than the text that Python would pickle and copy.
        return _rebuild, (type(self), self.args, self.__dict__)


class StoreError(HeimdallError):
    """What a store reports on `errors`, or keeps as `state.error`."""


def _rebuild(kind: type[E], args: tuple[Any, ...], fields: dict[str, Any]) -> E:
    error = kind.__new__(kind, *args)
    error.args = args  # an `OSError` takes none from `__new__`
    error.__dict__.update(fields)
    return error


def one_line(text: str, limit: int) -> str:
    """Bound a text that the wire chose, and replace what could forge a log line.

    Args:
        text: any text.
        limit: characters that are kept.
    """
    return "".join(c if c.isprintable() else "?" for c in text[:limit])
