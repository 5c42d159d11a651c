"""What the commands write, and how they end: lines, errors, broken pipes and signals."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from .text import preview, printable

__all__ = ["CommandError", "Output", "UsageError", "run"]

# What the library's errors advise, and what does that here.
_OPTIONS: Final = (
    ("pass ssl= with a context that trusts it", "--cacert FILE trusts it, -k accepts any"),
    ("pass access_token=", "pass --token or --auth"),
    ("allow_insecure_token=True", "--allow-insecure-token"),
)


class CommandError(Exception):
    """A command failed; the text is one line for the user."""


class UsageError(Exception):
    """The command line is wrong; the text is one line for the user."""


class Output:
    """The standard streams of one command.

    A reader that goes away (`| head`) ends the command quietly, wherever the line came from:
    also from an observer, where an exception would only be reported to the store.

    Args:
        secrets: texts that no error may show.

    Attributes:
        failure: what writing failed of.
        on_failure: called once when it did.
    """

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self.failure: OSError | None = None
        self.on_failure: Callable[[], object] = lambda: None
        self._secrets = secrets
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal that knows few characters
                stream.reconfigure(errors="backslashreplace")

    def line(self, text: str = "") -> None:
        """Write a line at once."""
        self._guard(lambda: print(text, flush=True))

    def raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._guard(lambda: (sys.stdout.buffer.write(data), sys.stdout.flush()))

    def message(self, data: str | bytes) -> None:
        """Write a message: as it came, but a terminal gets neither control characters nor bytes."""
        if sys.stdout is not None and sys.stdout.isatty():
            self.line(preview(data))
        elif isinstance(data, str):
            self.line(data)
        else:
            self.raw(data)

    def status(self, text: str) -> None:
        """Write one line to standard error."""
        for secret in self._secrets:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
        with contextlib.suppress(OSError):
            print(printable(text), file=sys.stderr, flush=True)

    def error(self, text: str) -> None:
        """Write what went wrong as one line to standard error."""
        for option, here in _OPTIONS:
            text = text.replace(option, here)
        self.status(f"heimdall-reactive: error: {text}")

    def _guard(self, write: Callable[[], object]) -> None:
        if self.failure is not None:
            return
        try:
            write()
        except OSError as error:
            self.failure = error
            _discard_stdout()
            self.on_failure()


def _discard_stdout() -> None:
    """Let what is still buffered go nowhere: the interpreter would complain at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def run(command: Coroutine[Any, Any, int], out: Output, interrupted: int | None) -> int:
    """Run a command's coroutine until it ends, or until Ctrl-C or SIGTERM cancels it.

    Args:
        command: returns the exit code.
        out: a failure to write cancels the command.
        interrupted: exit code after a signal; None is 128 and the signal's number.

    Raises:
        CommandError: the output could not be written, other than by a closed pipe.
    """
    received = [signal.SIGINT]

    async def cancellable() -> int:
        task = asyncio.current_task()
        assert task is not None
        out.on_failure = task.cancel

        def terminate() -> None:
            received[0] = signal.SIGTERM
            task.cancel()

        # Not on Windows, and not outside the main thread.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        return await command

    code = 0
    try:
        code = asyncio.run(cancellable())
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 128 + received[0] if interrupted is None else interrupted
    if out.failure is None:
        return code
    if isinstance(out.failure, BrokenPipeError):
        return 0
    raise CommandError(f"cannot write the output: {out.failure.strerror}")
