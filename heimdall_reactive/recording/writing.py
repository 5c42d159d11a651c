"""`record`: write down what a store goes through."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, TypeAlias

from heimdall_reactive.base.exceptions import RecordingError
from heimdall_reactive.base.frames import Frame
from heimdall_reactive.base.glance import glance
from heimdall_reactive.base.masking import Mask
from heimdall_reactive.base.state import ConnectionState
from heimdall_reactive.connecting.lifecycle import Closable
from heimdall_reactive.connecting.runtime import running_loop
from heimdall_reactive.store import WebSocketStore

from .cleaning import Cleaner
from .file import FileWriter
from .lines import Header, RecordingEntry, SendTotals, write_entry, write_header
from .tap import SessionTap

__all__ = ["Recorder", "record"]

Note: TypeAlias = Header | Mask | RecordingEntry

FLUSH: Final = 0.1  # seconds between two writes; a crash loses no more
BURST: Final = 2**18  # bytes that are written at once
WAITING: Final = 16 * 2**20  # bytes that may wait for a slow disk
OVERHEAD: Final = 200  # bytes of a line beside its payload, about


def record(store: WebSocketStore[Any], path: str | os.PathLike[str]) -> Recorder:
    """Record a store from now on: states, frames both ways, gaps, errors and latencies.

    The file gets one JSON object a line. Secrets of the store's sessions are masked, wherever
    they appear. Where the file cannot be written, for instance on a full disk, `store.errors`
    has a `RecordingError`, the recording stops, and the connection lives on.

    Args:
        store: may be connected already, and be used from any thread.
        path: of the file, which is replaced; only its owner may read it.

    Returns:
        What ends the recording: `close()`, `with` or `async with`. The store's end does it too.

    Raises:
        RecordingError: the file cannot be opened.

    Examples:
        >>> with record(store, "session.jsonl"):
        ...     ...
    """
    return Recorder(store, Path(path))


class Recorder(Closable):
    """A recording that is being made, see `record`.

    Args:
        store: what is recorded.
        path: of the file.

    Attributes:
        error: what the recording stopped of, else None.
    """

    def __init__(self, store: WebSocketStore[Any], path: Path) -> None:
        self.error: RecordingError | None = None
        self._store = store
        self._path = path
        self._cleaner = Cleaner()
        self._file: FileWriter[Note] = FileWriter(path, self._encode, WAITING, self._fail)
        self._clock: Callable[[], float] = time.monotonic
        self._began = 0.0
        self._unwritten = 0
        self._totals = SendTotals()  # as they were written last
        self._timer: asyncio.TimerHandle | None = None
        self._tap: SessionTap | None = None
        self._over = False
        self._mask: Mask | None = None
        self._subscriptions: list[Any] = []
        self._file.put(Header(store._core.name, _library(), time.time()), OVERHEAD)
        store._life.call(self._attach)

    def close(self) -> None:
        """End the recording, and return when the file is complete. Idempotent, from any thread."""
        self._end()
        self._file.join()

    async def aclose(self) -> None:
        """End the recording, and return when the file is complete."""
        self._end()
        await asyncio.get_running_loop().run_in_executor(None, self._file.join)

    def __repr__(self) -> str:
        how = "recording" if not self._over else f"ended: {self.error or 'complete'}"
        return glance(self, f"{self._path.name} of {self._store._core.name}, {how}")

    dispose = close  # as a disposable of Rx has it

    # On the thread of the store's event loop

    def _attach(self) -> None:
        if self._over:
            return
        loop = running_loop()
        self._clock = self._clock if loop is None else loop.time
        self._began = self._clock()
        store = self._store
        self._subscriptions += (
            store.state.subscribe(self._on_state),
            store.latency.subscribe(partial(self._note, "latency")),
            store.gaps.subscribe(partial(self._note, "gap")),
            store.errors.subscribe(partial(self._note, "error"), on_completed=self._end),
        )

    def _on_state(self, state: ConnectionState) -> None:
        session = self._store._core.connection.sessions.current
        if state.is_connected and session is not None and not self._taps(session):
            self._untap()
            told = partial(self._on_frame, "received"), partial(self._on_frame, "sent")
            self._tap = SessionTap(session, *told)
        self._note_sends()
        self._note("state", state)

    def _taps(self, session: object) -> bool:
        return self._tap is not None and self._tap.session is session

    def _on_frame(self, event: str, frame: Frame) -> None:
        session = self._store._core.connection.sessions.current
        if session is not None and session.mask is not self._mask:  # of a session, or a new token
            self._mask = session.mask
            self._file.put(self._mask, 0)
        self._note(event, frame, len(frame.data))

    def _note(self, event: str, value: Any, size: int = 0) -> None:
        if self._over or value is None:
            return
        self._file.put(RecordingEntry(self._clock() - self._began, event, value), size + OVERHEAD)
        self._unwritten += size + OVERHEAD
        if self._unwritten > BURST:
            self._flush()
        elif self._timer is None and running_loop() is not None:
            self._timer = self._store._life.call_later(FLUSH, self._flush)

    def _flush(self) -> None:
        self._stop_timer()
        self._note_sends()
        self._unwritten = 0
        self._file.flush()

    def _detach(self) -> None:
        self._stop_timer()
        self._untap()
        for subscription in self._subscriptions:
            subscription.dispose()

    def _untap(self) -> None:
        if self._tap is not None:
            self._tap.remove()
            self._tap = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # On any thread

    def _note_sends(self) -> None:
        """Note what became of the sends, where it has changed; a single send costs nothing."""
        stats = self._store.stats
        totals = SendTotals(*(getattr(stats, name) for name in SendTotals._fields))
        if totals != self._totals:
            self._totals = totals
            self._file.put(RecordingEntry(self._passed(), "sends", totals), OVERHEAD)

    def _passed(self) -> float:
        return max(0.0, self._clock() - self._began)

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._note_sends()
            self._file.put(RecordingEntry(self._passed(), "end", None), OVERHEAD)
            self._file.close()
            self._store._life.call(self._detach)

    def _fail(self, text: str) -> None:
        self.error = error = RecordingError(text)
        self._over = True

        def report() -> None:
            self._detach()
            self._store._seat.reporter.error(error)

        self._store._life.call(report)

    def _encode(self, note: Note) -> bytes:
        if isinstance(note, Mask):
            self._cleaner.add(note)
            return b""
        return write_header(note) if isinstance(note, Header) else write_entry(note, self._cleaner)


def _library() -> str:
    try:
        return version("heimdall-reactive")
    except PackageNotFoundError:  # run from its sources
        return "unknown"
