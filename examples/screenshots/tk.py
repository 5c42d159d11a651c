"""Makes `docs/images/ui-tk.png`: `python -m examples.screenshots.tk`, on a display of its own."""

from __future__ import annotations

import os
import subprocess
import time
import tkinter as tk
from collections.abc import Callable
from pathlib import Path

from examples.live.feed import market
from examples.live.tk_app import window

__all__ = ["display", "take"]

PICTURE = Path("docs/images/ui-tk.png")
POINTS = 60  # of the plot


def display() -> str:
    """Start an X server without a screen, and return the `DISPLAY` that leads to it.

    It ends with this process: Tk keeps its connection until then, also without a window, and Xlib
    ends a process whose server is gone.

    Raises:
        RuntimeError: Xvfb did not start.
    """
    reader, writer = os.pipe()
    command = f"Xvfb -displayfd {writer} -terminate -nolisten tcp -screen 0 800x600x24"
    with os.fdopen(reader) as numbers:
        try:
            subprocess.run(
                ["sh", "-c", f"{command} >/dev/null 2>&1 &"], pass_fds=[writer], check=True
            )
        finally:
            os.close(writer)
        number = numbers.readline().strip()  # a free one, as soon as it listens
    if not number:
        raise RuntimeError("Xvfb did not start; is it installed?")
    return f":{number}"


def take(path: Path = PICTURE) -> None:
    """Add a row, let the plot begin, drop the connection, and take the countdown."""
    os.environ["DISPLAY"] = where = display()
    with market() as live:
        root = window(live)
        frame = root.winfo_children()[0]
        status, box, plot = (frame.nametowidget(name) for name in ("status", "box", "plot"))
        until(root, lambda: not box.instate(["disabled"]))
        box.insert(0, "MINE")
        box.focus_force()
        until(root, lambda: root.focus_get() is box)
        box.event_generate("<Return>")
        until(root, lambda: len(live.minute.value.x) > POINTS, 30)
        live.drop()
        until(root, lambda: "reconnecting in 2 s" in status.cget("text"))
        plot.update()
        subprocess.run(
            ["import", "-display", where, "-window", str(root.winfo_id()), str(path)], check=True
        )
        root.destroy()


def until(root: tk.Tk, condition: Callable[[], bool], timeout: float = 10.0) -> None:
    """Let Tk go on until a condition holds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        root.update()
        time.sleep(0.005)


if __name__ == "__main__":
    take()
