"""`Splitter`: cuts a stream at its frames, so that a whole message takes a short way. Pure."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, NamedTuple

__all__ = ["Outlets", "Push", "Splitter"]

TEXT: Final = 0x81  # the first byte of a text frame that is a whole message, not compressed
WHOLE: Final = frozenset((TEXT, 0x82))  # those, and binary ones
PACKED_TEXT: Final = 0xC1  # the same, compressed (RFC 7692 section 6)
PACKED: Final = frozenset((PACKED_TEXT, 0xC2))
PING: Final = 0x89
CONTROL: Final = frozenset((PING, 0x8A))  # those that end nothing
OPCODES: Final = frozenset((0x0, 0x1, 0x2, 0x8, 0x9, 0xA))
FOR_EVER: Final = sys.maxsize
IN_PLACE: Final = range(1 << 16, (1 << 22) + 1)  # sizes that are read where they stay
LOOK: Final = 7  # every eighth frame: whether the turn has taken long enough

# One buffer for all that was read in place: a new one would be filled with zeros each time.
_spare: Final[list[bytearray]] = []

Push = Callable[[bytes, bool], None]


class Outlets(NamedTuple):
    """Where the parts of a stream go, but for whole messages.

    Attributes:
        parse: takes bytes of all other frames.
        is_plain: returns whether a message may take the short way now: no fragmented message is
            open, and no close frame has come.
        inflate: takes the payload of a whole compressed message, and whether it is text; None
            where nothing may be compressed.
        on_ping: takes the payload of a ping.
        on_pong: takes the payload of a pong.
    """

    parse: Callable[[bytes], None]
    is_plain: Callable[[], bool]
    inflate: Push | None = None
    on_ping: Callable[[bytes], None] | None = None
    on_pong: Callable[[bytes], None] | None = None


class Splitter:
    """Hands frames that are whole messages on, and everything else to the parser.

    The parser of `websockets` is a chain of generators and takes 3 us a frame; a small message
    needs 0.4 us of that work. What is not the plain case is the parser's as it is: it always gets
    whole frames, or what there is of one, so that both agree where the next one begins.

    Args:
        outlets: where what is not a plain message goes.
        limit: bytes of the largest payload that may take the short way.
        packed: bytes of the largest compressed one; -1 where nothing may be compressed.

    Attributes:
        behind: whether frames are left that a turn of the event loop had no time for.
        was_large: whether a payload that was read in place came last, so that the next frame
            begins with the next byte, and is probably another one.
    """

    __slots__ = (
        "_buffer", "_filled", "_first", "_inflate", "_is_plain", "_large", "_left", "_limit",
        "_on_ping", "_on_pong", "_owed", "_packed", "_parse", "behind", "was_large",
    )  # fmt: skip

    def __init__(self, outlets: Outlets, limit: int, packed: int = -1) -> None:
        self._parse, self._is_plain, self._inflate, self._on_ping, self._on_pong = outlets
        self._limit = limit
        self._packed = packed
        self._left = b""  # the beginning of a frame, or frames that are left
        self._owed = 0  # bytes of a frame that the parser has the beginning of
        self._large: memoryview | None = None  # a payload that is read in place
        self._buffer = bytearray()  # that it is in
        self._filled = 0
        self._first = 0  # its frame's first byte
        self.behind = False
        self.was_large = False

    def stop(self) -> None:
        """Hand everything to the parser from now on."""
        self._owed = FOR_EVER
        self._large = None
        self.behind = False

    @property
    def room(self) -> memoryview | None:
        """Where the next bytes of a large payload go; None where `feed` takes them."""
        return None if self._large is None else self._large[self._filled :]

    def fill(self, size: int, push: Push) -> None:
        """Handle bytes that were written into `room`."""
        self._filled += size
        large = self._large
        if large is not None and self._filled == len(large):
            payload, self._large, self.was_large = bytes(large), None, True
            if not _spare:
                _spare.append(self._buffer)
            self._buffer = bytearray()
            self._hand_on(self._first, payload, push)

    # A call more for each frame would be a tenth of its time: hence its length.
    def feed(  # noqa: C901
        self, data: bytes, push: Push, is_late: Callable[[], bool] | None = None
    ) -> None:
        """Handle what came from the socket.

        Args:
            data: any part of the stream.
            push: takes the payload of a message, and whether it is text.
            is_late: tells whether the rest has to wait, which is `behind` then.
        """
        if self._large is not None:
            data = self._fill_with(data, push)
        if self._owed or self._left:
            data = self._go_on(data)
        self.was_large = False
        start, end, count = 0, len(data), 0
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
            if plain and (
                (first in WHOLE and size <= self._limit)
                or (first in PACKED and size <= self._packed)
                or (first in CONTROL and size <= 125 and self._on_ping is not None)
            ):
                if stop > end:
                    if size in IN_PLACE:
                        self._begin_large(first, size, memoryview(data)[body:])
                        return
                    break
                try:
                    if first in WHOLE:
                        push(data[body:stop], first == TEXT)
                    else:
                        self._hand_on(first, data[body:stop], push)
                except BaseException:  # an interruption: the other frames are still to come
                    self._left = data[stop:]
                    raise
                if self._owed:  # stopped by now
                    self._parse(data[stop:])
                    return
            else:
                self._owed = max(self._owed, stop - end, 0)
                self._parse(data[start : min(stop, end)])
                plain = self._is_plain()
            start = stop
            count += 1
            if not count & LOOK and start < end and is_late is not None and is_late():
                self.behind = True
                break
        if start < end:
            self._left = data[start:]

    def _fill_with(self, data: bytes, push: Push) -> bytes:
        """Go on with a large payload; return what is behind it."""
        room = self.room
        assert room is not None
        part = data[: len(room)]
        room[: len(part)] = part
        behind = data[len(part) :]
        try:
            self.fill(len(part), push)
        except BaseException:  # an interruption: the frames behind it are still to come
            self._left = behind
            raise
        return behind

    def _hand_on(self, first: int, payload: bytes, push: Push) -> None:
        if first in WHOLE:
            push(payload, first == TEXT)
        elif first in PACKED:
            assert self._inflate is not None
            self._inflate(payload, first == PACKED_TEXT)
        elif first == PING and self._on_ping is not None:
            self._on_ping(payload)
        elif self._on_pong is not None:
            self._on_pong(payload)

    def _begin_large(self, first: int, size: int, begun: memoryview) -> None:
        try:
            buffer = _spare.pop()
        except IndexError:
            buffer = bytearray()
        self._buffer = buffer if len(buffer) >= size else bytearray(size)
        self._first, self._filled = first, len(begun)
        self._large = memoryview(self._buffer)[:size]
        self._large[: len(begun)] = begun

    def _go_on(self, data: bytes) -> bytes:
        """Go on with the frame that the last bytes were the beginning of."""
        data, self._left = self._left + data, b""
        self.behind = False
        if due := min(self._owed, len(data)):
            self._owed -= due if self._owed != FOR_EVER else 0
            self._parse(data[:due])
        return data[due:]
