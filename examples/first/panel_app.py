"""A chat in Panel: `python -m examples.first.panel_app` (Panel 1.9)."""

# mypy: disable-error-code="attr-defined, name-defined"
# ruff: noqa: D103, SIM117 - it is shown word for word, and as short as it can be
from collections import deque
from html import escape
from typing import Any

import panel as pn
import panel_material_ui as ui

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import Fate, badge, bind_batch, message_line
from heimdall_reactive.bindings.param import scope, to_rx
from heimdall_reactive.devserver import serve_in_thread

COLOURS = {"good": "success", "busy": "primary", "idle": "default", "bad": "error"}


def page(store: WebSocketStore[Any]) -> ui.Page:
    colour = to_rx(badge(store), select=lambda shown: COLOURS[shown.tone])
    status = ui.Chip(to_rx(badge(store), select=str), color=colour)
    offline = to_rx(store.is_connected, select=lambda up: not up)
    box = ui.ChatAreaInput(placeholder="say something", disabled=offline, enable_upload=False)
    newest, fate, browser = deque[str](maxlen=100), Fate(), pn.state.browser_info
    log, word = pn.pane.Str(height=300, styles={"overflow": "auto"}), pn.pane.Str(to_rx(fate))
    log.sizing_mode = box.sizing_mode = "stretch_width"

    def show(told: list[Any]) -> None:
        newest.extend(map(message_line, told))
        log.object = escape("\n".join(newest))  # a pane takes HTML

    box.param.watch(lambda _: fate.follow(store.send({"text": box.value})), "enter_pressed")
    bind_batch(store.messages, show, scope(), buffer=100)
    whole = ui.Page(title="Chat", header=[status], main=[log, box, word], main_width=640)
    pn.state.onload(lambda: setattr(whole, "dark_theme", bool(browser and browser.dark_mode)))
    return whole


if __name__ == "__main__":
    # An echo server on this machine; take the URL of your own in its place.
    with serve_in_thread(require_token=False, echo=True) as server:
        with use_websocket(f"{server.url}/v1/ws") as store:
            pn.serve(lambda: page(store), 5006, address="127.0.0.1", show=False)
