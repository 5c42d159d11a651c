"""The store's end of a connection in memory: asyncio's transport without a socket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

__all__ = ["FIN", "Arrival", "Dropped", "MemoryTransport"]

Arrival: TypeAlias = bytes | Exception
"""What arrives from the peer: bytes, none of them for a FIN, or the error that the socket has."""

FIN: Final = b""


class Dropped(ConnectionError):
    """The peer ended the socket; the message is the reason that a store finds."""


class MemoryTransport(asyncio.Transport):
    """Hand over what a protocol writes, and hand it what arrives, like asyncio's own.

    Each arrival is one callback of the event loop. What is written goes to the peer at once,
    except while the peer does not read: then the buffers are full.

    Args:
        protocol: the store's wire.
        take: is called with what is written.
        ended: is called when the socket is closed.

    Attributes:
        open: whether the socket is there; a closing handshake may be under way.
    """

    def __init__(
        self, protocol: asyncio.Protocol, take: Callable[[bytes], None], ended: Callable[[], None]
    ) -> None:
        super().__init__()
        self.open = True
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._take = take
        self._ended = ended
        self._arrived: deque[Arrival] = deque()
        self._unsent: list[bytes] = []
        self._reading = True
        self._full = False
        self._paused = False  # as the protocol was told
        protocol.connection_made(self)

    # From the peer

    def arrive(self, *arrivals: Arrival) -> None:
        """Let something arrive, a turn of the event loop later."""
        self._arrived.extend(arrivals)
        for _ in arrivals:
            self._loop.call_soon(self._read)

    def stall(self) -> None:
        """Fill the buffers: what is written from now on stays here."""
        self._full = True
        if not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def resume(self) -> list[bytes]:
        """Empty the buffers, and return what was written into them."""
        self._full = False
        self._loop.call_soon(self._resume_writing)
        unsent, self._unsent = self._unsent, []
        return unsent

    def lose(self, error: Exception | None) -> None:
        """Close the socket; an error of it is told as the reason."""
        if not self.open:
            return
        self.open = False
        with suppress(RuntimeError):  # the event loop is closed: nobody is left to be told
            self._loop.call_soon(self._protocol.connection_lost, error)
        self._ended()

    def _read(self) -> None:
        if not (self.open and self._reading and self._arrived):
            return
        arrival = self._arrived.popleft()
        if isinstance(arrival, Exception):
            self.lose(arrival)
        elif arrival:
            self._protocol.data_received(arrival)
        else:
            self._protocol.eof_received()
            self.close()

    def _resume_writing(self) -> None:
        if self._paused and not self._full and self.open:
            self._paused = False
            self._protocol.resume_writing()

    # asyncio.Transport

    def is_closing(self) -> bool:
        """Return whether the socket is closed."""
        return not self.open

    def pause_reading(self) -> None:
        """Leave what arrives where it is."""
        self._reading = False

    def resume_reading(self) -> None:
        """Read on, beginning with what has arrived."""
        self._reading = True
        for _ in self._arrived:
            self._loop.call_soon(self._read)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: the buffers are either empty or full."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are in the full buffers."""
        return sum(map(len, self._unsent))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        if not self.open:
            return
        if self._full:
            self._unsent.append(bytes(data))
        else:
            self._take(bytes(data))

    def can_write_eof(self) -> bool:
        """Return that a FIN can be sent."""
        return True

    def write_eof(self) -> None:
        """Do nothing: a client sends its FIN behind the peer's, when the socket is closed."""

    def close(self) -> None:
        """Close the socket."""
        self.lose(None)

    abort = close
