"""A chat in NiceGUI: `python -m examples.first.nicegui_app`."""

# ruff: noqa: D103, SIM117 - it is shown word for word, and as short as it can be
from typing import Any

from nicegui import ui

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import badge, bind, message_line
from heimdall_reactive.bindings.nicegui import bind_text, scope
from heimdall_reactive.devserver import serve_in_thread


def page(store: WebSocketStore[Any]) -> None:
    status, log, box = ui.label(), ui.log(max_lines=100), ui.input("say something")

    def send() -> None:
        store.send({"text": box.value})
        box.set_value("")

    box.on("keydown.enter", send)
    bind_text(status, badge(store))
    bind(store.messages, lambda told: log.push(message_line(told)), scope(log), buffer=100)


if __name__ == "__main__":
    # An echo server on this machine; take the URL of your own in its place.
    with serve_in_thread(require_token=False, echo=True) as server:
        with use_websocket(f"{server.url}/v1/ws") as store:
            ui.run(lambda: page(store), host="127.0.0.1", port=8080, reload=False)
