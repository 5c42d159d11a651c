"""One direction of a connection through the proxy: bytes move, shaped by faults."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from .faults import Placed
from .frames import FrameScanner
from .handshake import HEAD_END, HEAD_LIMIT
from .sockets import Side

__all__ = ["Flow", "Shape"]

_TICKS = 20  # a slow direction moves so many times in a second, at most


@dataclass
class Shape:
    """What both directions of a connection have in common.

    Attributes:
        random: where the jitter comes from.
        gate: cleared while nothing may pass.
        delay: seconds from arrival to departure.
        jitter: at most so many seconds more.
        rate: bytes per second; None is as fast as it goes.
        muted: whether close frames are swallowed.
    """

    random: random.Random
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    delay: float = 0.0
    jitter: float = 0.0
    rate: float | None = None
    muted: bool = False


class Flow:
    """Move bytes from a source to a sink.

    Attributes:
        head: bytes of the HTTP head that went through.
        opened: whether the head is complete, so that what follows is frames.
        count: bytes sent into the sink.
        scanner: where in the frames the flow is.
    """

    def __init__(
        self,
        source: Side,
        sink: Side,
        shape: Shape,
        on_head: Callable[[bytes], None],
        strike: Callable[[Placed], None],
        moved: Callable[[Flow, int], None],
    ) -> None:
        self.source = source
        self.sink = sink
        self.head = b""
        self.opened = False
        self.count = 0
        self.scanner = FrameScanner()
        self._shape = shape
        self._on_head = on_head
        self._strike = strike
        self._moved = moved
        self._marks: list[tuple[int, Placed]] = []
        self._between: list[Callable[[], None]] = []
        self._flip = 0

    def mark(self, position: int, fault: Placed) -> None:
        """Let a fault strike when `count` has reached the position."""
        self._marks.append((position, fault))
        self._marks.sort(key=lambda mark: mark[0])

    def settle(self) -> None:
        """Let the faults strike whose position is reached."""
        while self._marks and self._marks[0][0] <= self.count:
            self._strike(self._marks.pop(0)[1])
        while self._between and self.opened and self.scanner.boundary:
            self._between.pop(0)()

    def between_frames(self, action: Callable[[], None]) -> None:
        """Do something at once if the flow is between two frames, else when it is."""
        self._between.append(action)
        if len(self._between) == 1 and self.opened and self.scanner.boundary:
            self._between.pop(0)()

    def flip(self, bits: int) -> None:
        """Invert these bits of the next byte."""
        self._flip ^= bits

    async def run(self) -> None:
        """Move bytes until the source ends, then end the sink the same way."""
        while (arrival := await self.source.read()) is not None:
            at, data = arrival
            try:
                await self._late(at)
                while data:
                    await self._shape.gate.wait()
                    size = self._portion(data)
                    piece, data = data[:size], data[size:]
                    await self._forward(piece)
            finally:
                if data:
                    self.source.push_back(data)
        await self._shape.gate.wait()
        if self.source.error is not None:
            self.sink.reset()
        else:
            self.sink.finish()

    async def _late(self, arrived: float) -> None:
        shape = self._shape
        if shape.delay or shape.jitter:
            due = arrived + shape.delay + shape.random.random() * shape.jitter
            await asyncio.sleep(due - asyncio.get_running_loop().time())

    def _portion(self, data: bytes) -> int:
        """Return how much may go in one piece: up to what happens next."""
        size = len(data)
        if self._shape.rate is not None:
            size = min(size, max(1, int(self._shape.rate / _TICKS)))
        if self._marks:
            size = min(size, self._marks[0][0] - self.count)
        if self._between and self.opened and not self.scanner.boundary:
            size = min(size, self.scanner.reach(data))
        if not self.opened:
            end = (self.head + data).find(HEAD_END)
            if end >= 0:
                size = min(size, end + len(HEAD_END) - len(self.head))
        return max(size, 1)

    async def _forward(self, piece: bytes) -> None:
        if self._flip:
            piece = bytes([piece[0] ^ self._flip]) + piece[1:]
            self._flip = 0
        self.count += len(piece)
        if self.opened:
            self.sink.write(self.scanner.feed(piece, self._shape.muted))
        else:
            self.sink.write(piece)
            self._take_head(piece)
        await self.sink.drain()
        self._moved(self, len(piece))
        self.settle()
        if self._shape.rate is not None:
            await asyncio.sleep(len(piece) / self._shape.rate)

    def _take_head(self, piece: bytes) -> None:
        if len(self.head) <= HEAD_LIMIT:
            self.head += piece
            if self.head.endswith(HEAD_END):
                self.opened = True
                self._on_head(self.head)
