"""A store in Textual: `python -m examples.textual_app` opens it in the terminal."""

import json
from typing import Any

from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Label, Log

from examples.fate import Fate
from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import badge
from heimdall_reactive.bindings.textual import Bound
from heimdall_reactive.devserver import DevServer, serve_in_thread


class Heimdall(Bound, App[None]):
    """Shows a store: how its connection is, and the newest messages."""

    AUTO_FOCUS = "Input"
    CSS = """
    Screen { padding: 1 2; }  Horizontal { height: auto; }
    #fate { padding: 0 2; color: $text-muted; }
    #title { width: 1fr; text-style: bold; }  #status { padding: 0 2; color: black; }
    .good { background: limegreen; }  .busy { background: orange; }
    Log { height: 7; margin-top: 1; padding: 1 2; background: $panel; scrollbar-size: 0 0; }
    Input { width: 1fr; margin-right: 2; }  .idle { background: gray; }  .bad { background: red; }
    """

    def __init__(self, store: WebSocketStore[Any], server: DevServer) -> None:
        super().__init__()
        self.store, self.server, self.fate = store, server, Fate()

    def compose(self) -> ComposeResult:
        """Lay out."""
        yield Horizontal(Label("Heimdall", id="title"), Label(id="status", markup=False))
        yield Log(max_lines=5)
        yield Label(id="fate", markup=False)
        yield Horizontal(Input(placeholder="say something"), Button("drop", variant="error"))

    def on_mount(self) -> None:
        """Bind; the widgets are there by now."""
        store, status, log = self.store, self.query_one("#status", Label), self.query_one(Log)
        self.bind_subject(badge(store), lambda b: status.set_classes(b.tone).update(b.text))
        self.bind_subject(store.messages, lambda m: log.write_line(json.dumps(m)), buffer=5)
        self.bind_subject(store.is_connected, lambda up: self.query(Input).set(disabled=not up))
        self.bind_subject(self.fate, self.query_one("#fate", Label).update)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Send."""
        self.fate.follow(self.store.send({"text": event.value}))
        event.input.clear()

    def on_button_pressed(self) -> None:
        """Cut the line, and refuse the next two dials, so that the countdown can be seen."""
        self.server.refuse(503, times=2)
        self.server.drop()


if __name__ == "__main__":
    with serve_in_thread(require_token=False, echo=True) as server:
        store = use_websocket(f"{server.url}/v1/ws", max_reconnect_attempts=None)
        with store:
            Heimdall(store, server).run()
