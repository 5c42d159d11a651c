"""urwid: `python -m examples.recipes.urwid_app`, a list of the newest price of each symbol."""

import os
import sys
from collections.abc import Callable

import urwid

from examples.live.feed import Tick, market
from heimdall_reactive import QueueHop
from heimdall_reactive.bindings import Changes, UiScope, badge, bind


def scope(loop: urwid.MainLoop) -> UiScope:
    """Return the way into a loop of urwid from any thread: a pipe, which also has it draw."""
    calls = QueueHop()
    pipe = loop.watch_pipe(lambda _: calls.run_pending() >= 0)

    def post(call: Callable[[], None]) -> None:
        calls(call)
        os.write(pipe, b"!")

    return UiScope(post)


def main(url: str | None = None) -> None:
    """Show the list until q is pressed."""
    rows: urwid.SimpleFocusListWalker[urwid.Text] = urwid.SimpleFocusListWalker([])
    head, lines = urwid.Text(""), dict[str, urwid.Text]()

    def show(changes: Changes[str, Tick]) -> None:
        for symbol in changes.removed:
            rows.remove(lines.pop(symbol))
        for symbol, tick in {**changes.changed, **changes.added}.items():
            if symbol not in lines:
                rows.append(line := urwid.Text(""))
                lines[symbol] = line
            lines[symbol].set_text(f"{symbol:10}{tick.price:10.2f}")

    def leave(key: object) -> None:
        if key == "q":
            raise urwid.ExitMainLoop

    frame = urwid.Frame(
        urwid.ListBox(rows), header=urwid.Padding(head), footer=urwid.Text("q: quit")
    )
    loop = urwid.MainLoop(frame, unhandled_input=leave)
    here = scope(loop)
    with market(url=url) as live:
        bindings = [
            bind(live.rows, show, here),
            bind(badge(live.store), head.set_text, here, select=str),
        ]
        loop.run()
        for binding in bindings:
            binding.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
