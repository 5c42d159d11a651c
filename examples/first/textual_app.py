"""A chat in Textual: `python -m examples.first.textual_app`."""

# ruff: noqa: D101, D102, SIM117 - it is shown word for word, and as short as it can be
from typing import Any

from textual.app import App, ComposeResult
from textual.widgets import Input, Label, Log

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import badge, message_line
from heimdall_reactive.bindings.textual import Bound
from heimdall_reactive.devserver import serve_in_thread


class Chat(Bound, App[None]):
    AUTO_FOCUS = "Input"

    def __init__(self, store: WebSocketStore[Any]) -> None:
        super().__init__()
        self.store = store

    def compose(self) -> ComposeResult:
        yield Label(id="status")
        yield Log()
        yield Input(placeholder="say something")

    def on_mount(self) -> None:
        write = self.query_one(Log).write_line
        self.bind_subject(badge(self.store), self.query_one("#status", Label).update)
        self.bind_subject(self.store.messages, write, select=message_line, buffer=100)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.store.send({"text": event.value})
        event.input.clear()


if __name__ == "__main__":
    # An echo server on this machine; take the URL of your own in its place.
    with serve_in_thread(require_token=False, echo=True) as server:
        with use_websocket(f"{server.url}/v1/ws") as store:
            Chat(store).run()
