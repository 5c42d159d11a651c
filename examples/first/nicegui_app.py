"""A chat in NiceGUI: `python -m examples.first.nicegui_app`."""

# ruff: noqa: D103, SIM117 - it is shown word for word, and as short as it can be
from contextlib import suppress
from typing import Any

from nicegui import ui

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import Fate, badge, bind, message_line
from heimdall_reactive.bindings.nicegui import bind_enabled, bind_text, scope
from heimdall_reactive.devserver import serve_in_thread

COLOURS = {"good": "green-8", "busy": "deep-orange-9", "idle": "grey-7", "bad": "red-8"}


def page(store: WebSocketStore[Any]) -> None:
    ui.dark_mode(None)  # as the browser has it
    with ui.column().classes("w-full max-w-xl mx-auto"):
        status, log = ui.badge().classes("px-3 py-1"), ui.log(max_lines=100).classes("h-72")
        box, word, fate = ui.input("say something").classes("w-full"), ui.label(), Fate()

    def send() -> None:
        fate.follow(store.send({"text": box.value}))
        box.set_value("")

    box.on("keydown.enter", send)
    bind_text(status, badge(store))
    bind(badge(store), lambda now: status.props(f"color={COLOURS[now.tone]}"), scope(status))
    bind_enabled(box, store.is_connected)
    bind_text(word, fate)
    bind(store.messages, lambda told: log.push(message_line(told)), scope(log), buffer=100)


if __name__ == "__main__":
    # An echo server on this machine; take the URL of your own in its place.
    with suppress(KeyboardInterrupt), serve_in_thread(require_token=False, echo=True) as server:
        with use_websocket(f"{server.url}/v1/ws") as store:
            ui.run(lambda: page(store), host="127.0.0.1", port=8080, reload=False)
