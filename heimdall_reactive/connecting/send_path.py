"""`SendPath`: how a frame gets from a store to the wire: at once, at the end of a turn, or later.

The first send of a turn of the event loop goes out at once, and those that follow in the same turn
together at its end: a system call for each takes most of their time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.receipt import Receipt
from heimdall_reactive.base.wake_up import WakeUp

from .connection import Connection
from .outbox import Outbox
from .runtime import Runtime, running_loop

__all__ = ["SendPath"]

PATIENCE: Final = 1.0  # seconds a thread's send waits for room while connected


class SendPath:
    """What a store's sends go through.

    Args:
        outbox: keeps what has to wait.
        connection: writes it.
        runtime: the event loop.
        blocks: whether a thread waits for room without end (`outbox_overflow="block"`).

    Attributes:
        catch_up: puts ahead what the channels have to tell the server before what is sent next;
            None as long as there are none.
    """

    __slots__ = (
        "_blocks", "_connection", "_outbox", "_runtime", "_sent_in_turn", "_turn_ends", "_wake_up",
        "catch_up",
    )  # fmt: skip

    def __init__(
        self,
        outbox: Outbox,
        connection: Connection,
        runtime: Runtime,
        blocks: bool,
    ) -> None:
        self._outbox = outbox
        self._connection = connection
        self._runtime = runtime
        self.catch_up: Callable[[], None] | None = None
        self._blocks = blocks
        self._sent_in_turn = False
        self._turn_ends = False  # whether `_end_turn` is going to be called
        self._wake_up: WakeUp | None = None  # before the first send of another thread

    def put(self, frame: Frame) -> Receipt:
        """Write a frame at once, or queue it; a thread waits for room as a socket's send would."""
        if not self._sent_in_turn and (receipt := self._write_at_once(frame)) is not None:
            return receipt
        if not self._runtime.here() and (self._blocks or self._connection.state.is_connected):
            self._wait_for_room(len(frame.data))
        receipt = self._outbox.put(frame)
        receipt._awaited = self._on_await
        return receipt

    def _write_at_once(self, frame: Frame) -> Receipt | None:
        """Write a frame past the outbox, where nothing waits: that is half of a small send."""
        if not self._runtime.here():
            return None
        if self.catch_up is not None:
            self.catch_up()
        session = self._connection.sessions.current
        if session is None or not self._connection.state.is_connected:
            return None
        if (receipt := session.write_at_once(frame)) is not None:
            self._begin_turn()
            receipt._awaited = self._on_await
        return receipt

    def _wait_for_room(self, size: int) -> None:
        if running_loop() is None:
            self._outbox.wait_for_room(size, None if self._blocks else PATIENCE)

    def flush(self) -> None:
        """Have what waits written: here, or soon on the event loop."""
        if not self._runtime.here():
            if self._wake_up is None or self._runtime.loop.is_closed():  # two threads may make two
                self._wake_up = WakeUp(self._connection.flush, self._runtime.post)
            self._wake_up.call()
        elif not self._sent_in_turn:
            self.flush_now()
            session = self._connection.sessions.current
            if session is not None and session.batches:
                self._begin_turn()

    def flush_now(self) -> None:
        """Have what waits written in this turn, where this thread is the event loop's."""
        if self._runtime.here():
            if self.catch_up is not None:
                self.catch_up()
            self._connection.flush()

    def _on_await(self) -> None:
        """Write what waits: who awaits each send gains nothing by the end of the turn."""
        if self._runtime.here():
            self._sent_in_turn = False
            if len(self._outbox):
                self.flush_now()

    def _begin_turn(self) -> None:
        self._sent_in_turn = True
        if not self._turn_ends:
            self._turn_ends = True
            self._runtime.loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._sent_in_turn = self._turn_ends = False
        if len(self._outbox):
            self.flush_now()

    def on_moved(self) -> None:
        """Forget what was to be called on a loop that has closed."""
        self._wake_up = None
        self._sent_in_turn = self._turn_ends = False
