"""A program in a terminal of its own, and what its screen shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import pyte

__all__ = ["Terminal"]

MODE = re.compile(rb"\x1b\[\?(\d+(?:;\d+)*)([hl])")
USUAL = (b"7", b"25")  # set in a terminal that nobody has changed: lines wrap, the cursor shows


class Terminal:
    """Runs a program as a user would, on a pseudo-terminal; closes as a context manager.

    Args:
        command: the program and its arguments.
        columns: of the screen.
        lines: of the screen.
        **options: as for `subprocess.Popen`, such as `env` and `cwd`.
    """

    def __init__(self, command: Sequence[str], columns: int, lines: int, **options: Any) -> None:
        self._screen = cast(Any, pyte.Screen(columns, lines))
        self._stream = pyte.ByteStream(self._screen)
        self._master, self._slave = pty.openpty()
        self._poll = select.poll()  # not `select`, which takes no descriptor from 1,024 on
        self._poll.register(self._master, select.POLLIN)
        # Where a program asks for the cursor, it is told.
        self._screen.write_process_input = self.type
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
        self._before = termios.tcgetattr(self._slave)
        self._modes: dict[bytes, bool] = {}
        given = {**options.get("env", os.environ), "TERM": "xterm-256color"}
        # Where they are set, some libraries believe them more than the terminal.
        options["env"] = {k: v for k, v in given.items() if k not in ("COLUMNS", "LINES")}
        # The first terminal that the leader of a session opens is its own: Ctrl-C reaches it.
        opening = ["sh", "-c", 'exec "$@" <"$0" >"$0" 2>&1', os.ttyname(self._slave), *command]
        self.process = subprocess.Popen(opening, start_new_session=True, **options)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def lines(self, seconds: float = 0.0) -> list[str]:
        """Read for so long at least; return the lines that the screen shows."""
        end = time.monotonic() + seconds
        while self._poll.poll(1000 * max(0.0, end - time.monotonic())):
            self._read()
            if time.monotonic() > end:
                break
        return [line.rstrip() for line in self._screen.display]

    def cells(self) -> list[list[Any]]:
        """Return what pyte has for each place of the screen: its character, colours and style."""
        buffer = self._screen.buffer
        return [
            [buffer[line][column] for column in range(self._screen.columns)]
            for line in range(self._screen.lines)
        ]

    def until(self, condition: Callable[[list[str]], bool], timeout: float = 20.0) -> list[str]:
        """Read until the lines fulfil a condition; return them.

        Raises:
            TimeoutError: they did not; with what the screen shows.
        """
        end = time.monotonic() + timeout
        while not condition(shown := self.lines(0.02)):
            if time.monotonic() > end:
                raise TimeoutError("\n".join(shown))
        return shown

    def end(self, timeout: float = 20.0) -> int:
        """Read until the program ends; return its exit code.

        Raises:
            TimeoutError: it did not end; with what the screen shows.
        """
        self.until(lambda _: self.process.poll() is not None, timeout)
        self.lines()
        return self.process.returncode

    def left(self) -> set[str]:
        """Return what the program has changed on the terminal and not set back."""
        modes = {name.decode() for name, on in self._modes.items() if on != (name in USUAL)}
        settings = {"settings"} if termios.tcgetattr(self._slave) != self._before else set()
        return modes | settings

    def _read(self) -> None:
        data = os.read(self._master, 65536)
        for names, end in MODE.findall(data):
            for name in names.split(b";"):
                self._modes[name] = end == b"h"
        self._stream.feed(data)
