"""The frame: what one whole WebSocket message is on the wire, and what may become one."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

__all__ = ["Frame", "LaterFrame", "ValueFrame"]


class Frame(NamedTuple):
    """The raw payload of one whole WebSocket message, and whether it is text or binary."""

    data: bytes
    text: bool


class LaterFrame(Frame):
    """A frame of a unit behind its first: it follows at once, also where that filled the socket."""


class ValueFrame(Frame):
    """A send that a protocol of one's own encodes when it is written; `data` bounds its size."""

    value: Any
    on_key: Callable[[Hashable], None] | None

    @classmethod
    def of(
        cls, value: Any, size_of: Frame, on_key: Callable[[Hashable], None] | None = None
    ) -> ValueFrame:
        """Return the frame of a value.

        Args:
            value: what the protocol prepares and encodes.
            size_of: counts in the bounds of the outbox.
            on_key: is told the key of the request, when it is written.
        """
        frame = cls(*size_of)
        frame.value, frame.on_key = value, on_key
        return frame
