"""`Splitter`: cuts a stream at its frames, so that a whole message takes a short way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, Protocol

__all__ = ["Splits", "Splitter"]

TEXT: Final = 0x81  # the first byte of a text frame that is a whole message, not compressed
WHOLE: Final = frozenset((TEXT, 0x82))  # those, and binary ones
OPCODES: Final = frozenset((0x0, 0x1, 0x2, 0x8, 0x9, 0xA))
FOR_EVER: Final = sys.maxsize


class Splits(Protocol):
    """What cuts a stream."""

    def stop(self) -> None:
        """Push nothing more."""

    def feed(self, data: bytes, push: Callable[[bytes, bool], None]) -> None:
        """Handle any part of the stream; push the payloads of whole messages, and their kinds."""


class Splitter:
    """Hands frames that are whole messages on, and everything else to the parser.

    The parser of `websockets` is a chain of generators and takes 3 us a frame; a small message
    needs 0.4 us of that work. What is not the plain case is the parser's as it is: it always gets
    whole frames, or what there is of one, so that both agree where the next one begins.

    Args:
        parse: takes bytes of all other frames.
        is_plain: returns whether a message may take the short way now: no fragmented message is
            open, and no close frame has come.
        limit: bytes of the largest payload that may.
    """

    def __init__(
        self, parse: Callable[[bytes], None], is_plain: Callable[[], bool], limit: int
    ) -> None:
        self._parse = parse
        self._is_plain = is_plain
        self._limit = limit
        self._left = b""  # the beginning of a head
        self._owed = 0  # bytes of a frame that the parser has the beginning of

    def stop(self) -> None:
        """Hand everything to the parser from now on."""
        self._owed = FOR_EVER

    def feed(self, data: bytes, push: Callable[[bytes, bool], None]) -> None:
        """Handle what came from the socket.

        Args:
            data: any part of the stream.
            push: takes the payload of a message, and whether it is text.
        """
        if self._owed or self._left:
            data = self._go_on(data)
        start, end = 0, len(data)
        plain = self._is_plain()
        while end - start > 1:
            first, size, body = data[start], data[start + 1], start + 2
            if size > 125:
                body += 2 if size == 126 else 8
                if size > 127 or first & 0xF not in OPCODES:
                    self.stop()  # the parser will say what is wrong with it
                    self._parse(data[start:])
                    return
                if end < body:
                    break
                size = int.from_bytes(data[start + 2 : body])
            stop = body + size
            if plain and first in WHOLE and stop <= end and size <= self._limit:
                try:
                    push(data[body:stop], first == TEXT)
                except BaseException:  # an interruption: the other frames are still to come
                    self._left = data[stop:]
                    raise
                if self._owed:  # stopped meanwhile
                    self._parse(data[stop:])
                    return
            else:
                self._owed = max(self._owed, stop - end, 0)
                self._parse(data[start : min(stop, end)])
                plain = self._is_plain()
            start = stop
        if start < end:
            self._left = data[start:]

    def _go_on(self, data: bytes) -> bytes:
        """Go on with the frame that the last bytes were the beginning of."""
        data, self._left = self._left + data, b""
        if due := min(self._owed, len(data)):
            self._owed -= due if self._owed != FOR_EVER else 0
            self._parse(data[:due])
        return data[due:]
