"""Makes `docs/images/ui-tk.png`: `python -m examples.screenshots.tk`, on a display of its own."""

from __future__ import annotations

import os
import subprocess
import time
import tkinter as tk
from collections.abc import Callable
from pathlib import Path

from examples.tk_app import window
from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import serve_in_thread

__all__ = ["display", "take"]

PICTURE = Path("docs/images/ui-tk.png")
TEXTS = ("good morning", "is anybody there?", "see you")


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
    """Send some messages, drop the connection, and take the countdown."""
    os.environ["DISPLAY"] = where = display()
    with (
        serve_in_thread(require_token=False, echo=True) as server,
        use_websocket(f"{server.url}/v1/ws", loop="thread", reconnect_delay=5.0) as store,
    ):
        root = window(store, server)
        frame = root.winfo_children()[0]
        status, log, box = (frame.nametowidget(name) for name in ("status", "log", "box"))
        for number, text in enumerate(TEXTS):
            until(root, lambda: not box.instate(["disabled"]))
            box.insert(0, text)
            box.focus_force()
            until(root, lambda: root.focus_get() is box)
            box.event_generate("<Return>")
            until(root, lambda: log.size() > number)  # noqa: B023 - called before the next one
        frame.nametowidget("drop").invoke()
        until(root, lambda: "again in 4 s" in status.cget("text"))
        root.update()
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
