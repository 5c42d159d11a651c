"""A display for the tests of Tk, and windows that die on their own thread."""

from __future__ import annotations

import os
import shutil
import time
import tkinter as tk
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from examples.screenshots.tk import display

from .support import wait_until

# One that another thread collects as garbage ends the process: `Tcl_AsyncDelete`.
INTERPRETERS: Final[list[object]] = []
DISPLAYS: Final[list[str]] = []


@contextmanager
def screen() -> Iterator[None]:
    """Have `DISPLAY` lead somewhere for the length of a block: an Xvfb where nothing is set."""
    if os.environ.get("DISPLAY") or os.name == "nt":
        yield from _warm()
        return
    if shutil.which("Xvfb") is None:
        pytest.skip("Tk needs a display: set DISPLAY, or install Xvfb, on Debian xvfb")
    if not DISPLAYS:
        DISPLAYS.append(display())  # for the whole process, as Tk's connection
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISPLAY", DISPLAYS[0])
        yield from _warm()


@contextmanager
def opened(make: Callable[[], tk.Tk] = tk.Tk) -> Iterator[tk.Tk]:
    """Yield a root that raises what its callbacks raise."""
    root = make()
    root.report_callback_exception = _raise
    INTERPRETERS.append(root.tk)
    try:
        yield root
    finally:
        if there(root):
            for job in root.tk.splitlist(root.tk.call("after", "info")):
                root.after_cancel(job)
            root.update_idletasks()
            root.destroy()


def _warm() -> Iterator[None]:
    with opened() as root:
        root.update()  # the pipe and the socket that Tcl keeps for the process
    yield


def _raise(_: object, error: BaseException, __: object) -> None:
    raise error


def there(widget: tk.Misc) -> bool:
    try:
        return bool(widget.winfo_exists())
    except tk.TclError:
        return False


def until(root: tk.Tk, condition: Callable[[], bool], timeout: float = 10.0) -> None:
    """Let Tk go on until a condition holds."""

    def turn() -> None:
        root.update()
        time.sleep(0.002)

    wait_until(condition, turn, timeout)


def jobs(root: tk.Tk) -> int:
    """Count the `after` callbacks that are due some time."""
    return len(root.tk.splitlist(root.tk.call("after", "info")))
