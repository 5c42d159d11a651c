"""The file of a recording: written by short-lived threads, read line by line."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, Generic, TypeVar

from heimdall_reactive.base.browser_limits import IN_BROWSER
from heimdall_reactive.base.exceptions import RecordingError, one_line

from .lines import Header, RecordingEntry, read_entry, read_header

__all__ = ["FileWriter", "read", "read_first"]

T = TypeVar("T")

REPLACE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)


class FileWriter(Generic[T]):
    """Writes what it is given, in order, on a thread that lives while there is something to write.

    Args:
        path: of the file, which is replaced.
        encode: makes the bytes of a thing, on that thread.
        limit: bytes that may wait.
        failed: is told once, on any thread, why nothing more is written.

    Raises:
        RecordingError: the file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        encode: Callable[[T], bytes],
        limit: int,
        failed: Callable[[str], None],
    ) -> None:
        try:
            # Messages are in it: nobody else may read it.
            self._file = os.fdopen(os.open(path, REPLACE, 0o600), "wb")
        except OSError as error:
            raise RecordingError(f"cannot write {_shown(path)}: {error.strerror}") from None
        self._path = path
        self._encode = encode
        self._limit = limit
        self._failed = failed
        self._lock = threading.Lock()
        self._waiting: list[T] = []
        self._size = 0
        self._over = False
        self._thread: threading.Thread | None = None

    def put(self, thing: T, size: int) -> None:
        """Let something be written at the next flush.

        Args:
            thing: what.
            size: about how many bytes it holds.
        """
        with self._lock:
            if self._over:
                return
            self._waiting.append(thing)
            self._size += size
            fits = self._size <= self._limit
        if not fits:
            self._fail("there was more than could be written in time")

    def flush(self) -> None:
        """Write what waits; returns at once."""
        if IN_BROWSER:  # where files are in memory, and there are no threads
            self._write()
            return
        with self._lock:
            if self._thread is None and not self._file.closed:
                self._thread = threading.Thread(target=self._write, name="heimdall-recording")
                self._thread.start()

    def close(self) -> None:
        """Write what waits and close the file; returns at once."""
        with self._lock:
            self._over = True
        self.flush()

    def join(self) -> None:
        """Return when nothing is being written."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _write(self) -> None:
        while things := self._take():
            try:
                self._file.write(b"".join(map(self._encode, things)))
                self._file.flush()
            except OSError as error:
                self._fail(str(error.strerror))
            except Exception as error:
                self._fail(f"{type(error).__name__} in a line")

    def _take(self) -> list[T]:
        with self._lock:
            things, self._waiting = self._waiting, []
            self._size = 0
            if not things:
                self._thread = None
                if self._over:
                    with contextlib.suppress(OSError):  # what is left in its buffer, again
                        self._file.close()
        return things

    def _fail(self, why: str) -> None:
        with self._lock:
            first, self._over = not self._over, True
            self._waiting.clear()
        if first:
            self._failed(f"cannot write {_shown(self._path)}: {why}; the recording has stopped")
        self.flush()


def read_first(path: Path) -> Header:
    """Read the header of a recording.

    Raises:
        RecordingError: there is no recording that can be read.
    """
    try:
        with path.open("rb") as file:
            return read_header(file.readline())
    except OSError as error:
        raise RecordingError(f"cannot read {_shown(path)}: {error.strerror}") from None


def read(path: Path) -> Generator[RecordingEntry, None, None]:
    """Read the entries of a recording, one at a time.

    A last line that is cut off, as after a crash, is an entry with the error.

    Raises:
        RecordingError: a line is none of a recording, or the file cannot be read.
    """
    at = 0.0
    try:
        with path.open("rb") as file:
            read_header(file.readline())
            for number, line in enumerate(file, 2):
                if not line.endswith(b"\n"):
                    cut = RecordingError("it is cut off, and the recording ends there", number)
                    yield RecordingEntry(at, "error", cut)
                    return
                entry = read_entry(line, number)
                at = entry.at
                yield entry
    except OSError as error:
        raise RecordingError(f"cannot read {_shown(path)}: {error.strerror}") from None


def _shown(path: Path) -> str:
    return repr(one_line(str(path), 200))
