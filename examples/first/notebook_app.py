"""A chat in the widgets of a notebook: a cell with `%run -m examples.first.notebook_app`."""

# ruff: noqa: D103 - it is shown word for word, and as short as it can be
from collections import deque
from html import escape
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import Fate, badge, bind_batch, message_line
from heimdall_reactive.bindings.traitlets import scope, to_trait
from heimdall_reactive.devserver import serve_in_thread

COLOURS = {"good": "#1A7F5A", "busy": "#B4530A", "idle": "#5F6670", "bad": "#B3261E"}
PILL = '<span style="padding:4px 12px; border-radius:12px; color:white; background:{}">{}</span>'


def chat(store: WebSocketStore[Any]) -> widgets.VBox:
    status, word, fate = widgets.HTML(), widgets.Label(), Fate()
    log, newest = widgets.HTML(layout={"height": "200px"}), deque[str](maxlen=100)
    box, button = widgets.Text(placeholder="say something"), widgets.Button(description="send")

    def send(_: object) -> None:
        fate.follow(store.send({"text": box.value}))
        box.value = ""

    def show(told: list[Any]) -> None:
        newest.extend(map(message_line, told))
        log.value = "<br>".join(map(escape, newest))

    button.on_click(send)
    to_trait(badge(store), status, select=lambda b: PILL.format(COLOURS[b.tone], escape(b.text)))
    to_trait(store.is_connected, button, "disabled", select=lambda up: not up)
    to_trait(fate, word)
    bind_batch(store.messages, show, scope(log), buffer=100)
    return widgets.VBox([status, log, widgets.HBox([box, button]), word])


if __name__ == "__main__":
    # An echo server on this machine; take the URL of your own in its place.
    echo = serve_in_thread(require_token=False, echo=True)
    server = echo.__enter__()
    display(chat(use_websocket(f"{server.url}/v1/ws", loop="thread", key="chat")))
