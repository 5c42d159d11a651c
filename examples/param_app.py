"""A store in Panel: `python -m examples.param_app` opens it in the browser (Panel 1.9)."""

from html import escape
from typing import Any

import panel as pn
from reactivex import operators as ops

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import Fate, badge, message_line
from heimdall_reactive.bindings.param import to_param, to_rx
from heimdall_reactive.devserver import DevServer, serve_in_thread

COLOURS = {"good": "#1A7F5A", "busy": "#B4530A", "idle": "#5F6670", "bad": "#B3261E"}
PILL = '<span style="padding:2px 12px; border-radius:10px; color:white; background:{}">{}</span>'
LAST_FIVE = ops.scan(lambda kept, message: [*kept, message][-5:], list[Any]())


def page(store: WebSocketStore[Any], server: DevServer) -> pn.Column:
    """Show the store in one browser tab. All tabs share it; each has bindings, until it closes."""
    offline = to_rx(store.is_connected, select=lambda up: not up)
    box = pn.widgets.TextInput(placeholder="say something", disabled=offline, width=240)
    send = pn.widgets.Button(label="send", color="primary", disabled=offline, width=80)
    drop = pn.widgets.Button(label="drop", color="warning", width=80)
    newest = pn.pane.HTML("", height=130)
    fate = Fate()
    last = store.messages.map(lambda m: message_line(m["text"])).pipe(LAST_FIVE)
    to_param(last, newest, "object", select=lambda said: "<br>".join(map(escape, said)))

    def say(_: object) -> None:
        fate.follow(store.send({"text": box.value_input}))
        box.param.update(value="", value_input="")

    def let_go(_: object) -> None:
        server.refuse(503, times=2)
        server.drop()

    send.on_click(say)
    drop.on_click(let_go)
    status = to_rx(badge(store), select=lambda b: PILL.format(COLOURS[b.tone], escape(b.text)))
    head = pn.pane.HTML("<h2>Heimdall</h2>")
    row, word = pn.Row(box, send, drop), pn.pane.Str(to_rx(fate))
    return pn.Column(head, pn.pane.HTML(status), newest, row, word, margin=20)


def main(port: int = 5006, show: bool = True) -> None:
    """Start a server, a store, and Panel on this machine only, until Ctrl-C."""
    with (
        serve_in_thread(require_token=False, echo=True) as server,
        use_websocket(f"{server.url}/v1/ws", max_reconnect_attempts=None) as store,
    ):
        pn.serve(lambda: page(store, server), port, address="127.0.0.1", show=show)


if __name__ == "__main__":
    main()
