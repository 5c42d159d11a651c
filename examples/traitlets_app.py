"""A store in the widgets of a notebook: a cell with `%run -m examples.traitlets_app` shows it."""

from contextlib import ExitStack
from html import escape
from typing import Any

import ipywidgets as widgets
from IPython.core.getipython import get_ipython
from IPython.display import display
from reactivex import operators as ops

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import Fate, badge, message_line
from heimdall_reactive.bindings.traitlets import scope, to_trait
from heimdall_reactive.devserver import DevServer, serve_in_thread

COLOURS = {"good": "#1A7F5A", "busy": "#B4530A", "idle": "#5F6670", "bad": "#B3261E"}
PILL = '<span style="padding:2px 12px; border-radius:10px; color:white; background:{}">{}</span>'
LAST_FIVE = ops.scan(lambda kept, message: [*kept, message][-5:], list[Any]())


def build(store: WebSocketStore[Any], server: DevServer) -> widgets.VBox:
    """Return widgets, each bound until it is closed, or the store is."""
    status, newest = widgets.HTML(), widgets.HTML(layout={"height": "150px"})
    box = widgets.Text(placeholder="say something")
    word, fate = widgets.Label(), Fate()
    send = widgets.Button(description="send", button_style="primary")
    drop = widgets.Button(description="drop", button_style="warning")
    to_trait(badge(store), status, select=lambda b: PILL.format(COLOURS[b.tone], escape(b.text)))
    last = store.messages.map(lambda m: message_line(m["text"])).pipe(LAST_FIVE)
    to_trait(last, newest, select=lambda said: "<br>".join(map(escape, said)))
    for widget in (box, send):
        to_trait(store.is_connected, widget, "disabled", select=lambda up: not up)
    to_trait(fate, word)

    def say(_: object) -> None:
        fate.follow(store.send({"text": box.value}))
        box.value = ""

    def let_go(_: object) -> None:
        server.refuse(503, times=2)
        server.drop()

    send.on_click(say)
    drop.on_click(let_go)
    return widgets.VBox([status, newest, widgets.HBox([box, send, drop]), word])


def main() -> None:
    """Show it below the cell. The socket has a thread of its own, which a busy cell leaves."""
    stack = ExitStack()
    server = stack.enter_context(serve_in_thread(require_token=False, echo=True))
    store = stack.enter_context(use_websocket(f"{server.url}/v1/ws", loop="thread"))
    view = build(store, server)
    scope(view).register(stack.close)  # `view.close()` ends all of it
    display(view)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    if get_ipython() is None:
        raise SystemExit("Widgets need a notebook: a cell with %run -m examples.traitlets_app")
    main()
