"""The keyword options of the bindings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

__all__ = ["BindOptions", "OnError"]

OnError = Callable[[Exception], object]


class BindOptions(TypedDict, total=False):
    """The keyword options of `bind` beside `select`; `bind` documents them."""

    distinct: bool | None
    every: float | None
    buffer: int
    immediate: bool
    on_error: OnError | None
    on_done: Callable[[], object] | None
