"""The example for Tk, driven as its user would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import serve_in_thread

from .support import observers

pytest.importorskip("tkinter", reason="install Python's tkinter, on Debian python3-tk")

import tkinter as tk

from examples.tk_app import window

from .tk_support import opened, screen, until


@pytest.fixture(scope="module", autouse=True)
def display() -> Iterator[None]:
    with screen():
        yield


def test_it_sends_shows_the_echo_the_countdown_and_heals() -> None:
    with (
        serve_in_thread(require_token=False, echo=True) as server,
        use_websocket(f"{server.url}/v1/ws", loop="thread", reconnect_delay=0.4) as store,
    ):
        with opened(lambda: window(store, server)) as root:
            drive(root)
        assert observers(store) == 0


def drive(root: tk.Tk) -> None:
    frame = root.winfo_children()[0]
    status, log, box = (frame.nametowidget(name) for name in ("status", "log", "box"))
    until(root, lambda: status.cget("text") == "connected")
    until(root, lambda: not box.instate(["disabled"]))
    for n in range(7):
        box.insert(0, f"hello {n}")
        box.focus_force()
        until(root, lambda: root.focus_get() is box)
        box.event_generate("<Return>")
        assert box.get() == ""
    until(root, lambda: '{"text": "hello 6"}' in log.get(0, "end"))
    assert log.size() == 5
    until(root, lambda: frame.nametowidget("fate").cget("text") == "delivered")
    frame.nametowidget("drop").invoke()
    until(root, lambda: status.cget("text").startswith("again in 1 s"))
    until(root, lambda: box.instate(["disabled"]))
    until(root, lambda: not box.instate(["disabled"]))
    until(root, lambda: status.cget("text") == "connected")
