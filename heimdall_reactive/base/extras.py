"""What an import says where the library of an extra is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["of_extra"]


@contextmanager
def of_extra(extra: str) -> Iterator[None]:
    """Have what cannot be imported here say what to install.

    Raises:
        ModuleNotFoundError: as without this, in other words.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        text = f"{error.msg}: pip install 'heimdall-reactive[{extra}]'"
        raise ModuleNotFoundError(text, name=error.name, path=error.path) from None
