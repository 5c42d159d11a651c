"""A store in NiceGUI: `python -m examples.nicegui_app` opens it in the browser."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from nicegui import app, ui

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import Badge, Fate, badge, bind, message_line
from heimdall_reactive.bindings.nicegui import bind_enabled, scope
from heimdall_reactive.devserver import DevServer, serve_in_thread

COLOURS = {"good": "green-8", "busy": "deep-orange-9", "idle": "grey-7", "bad": "red-8"}


def page(store: WebSocketStore[Any], server: DevServer) -> None:
    """Show the store in one browser tab; all tabs share it, each has bindings of its own."""
    with ui.card().classes("w-96 mx-auto mt-8 p-6 gap-4"):
        with ui.row().classes("w-full items-center justify-between"):
            ui.label("Heimdall").classes("text-xl font-medium")
            status = ui.badge().classes("px-3 py-1 text-sm").mark("status")
        log = ui.log(max_lines=5).classes("w-full h-32 text-xs")
        with ui.row().classes("w-full items-center no-wrap gap-2"):
            box = ui.input(placeholder="say something").props("dense outlined").classes("grow")
            button = ui.button("send").props("unelevated no-caps")
        word = ui.label().classes("text-xs text-grey-7 -mt-2").mark("fate")
        ui.button("drop", on_click=lambda: drop()).props("outline no-caps color=negative")

    fate = Fate()

    def paint(shown: Badge) -> None:
        status.set_text(shown.text)
        status.props(f"color={COLOURS[shown.tone]}")

    def drop() -> None:
        server.refuse(503, times=2)
        server.drop()

    def send() -> None:
        fate.follow(store.send({"text": box.value}))
        box.set_value("")

    box.on("keydown.enter", send)
    button.on_click(send)
    bind(badge(store), paint, scope(status))
    bind(store.messages, lambda message: log.push(message_line(message)), scope(log), buffer=5)
    bind_enabled(box, store.is_connected)
    bind_enabled(button, store.is_connected)
    bind(fate, word.set_text, scope(word))


def main(port: int = 8080, show: bool = True) -> None:
    """Start a server, a store, and NiceGUI on this machine only, until Ctrl-C."""
    with suppress(KeyboardInterrupt), serve_in_thread(require_token=False, echo=True) as server:
        store = use_websocket(f"{server.url}/v1/ws", max_reconnect_attempts=None)
        app.on_shutdown(store.aclose)
        ui.run(lambda: page(store, server), host="127.0.0.1", port=port, show=show, reload=False)


if __name__ == "__main__":
    main()
