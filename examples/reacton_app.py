"""A store in Solara: `python -m examples.reacton_app`, then open http://127.0.0.1:8765."""

# mypy: disable-error-code="attr-defined, no-untyped-call"
# pyright: reportPrivateImportUsage=false
# ruff: noqa: D103, N802 - components, which have names as types have
import os

import solara
import uvicorn
from reacton import ipyvuetify as v
from solara.server.settings import telemetry, theme

from heimdall_reactive import WebSocketStore
from heimdall_reactive.bindings import Fate, message_line
from heimdall_reactive.bindings.reacton import use_history, use_subject, use_websocket
from heimdall_reactive.devserver import DevServer, serve_in_thread

COLOURS = {"good": "green-darken-2", "busy": "deep-orange", "idle": "grey", "bad": "red"}
LOG = "height: 8rem; padding: .75rem; margin: 1rem 0; font-size: .8rem; background: #f8f9fb"
server = DevServer()  # set below to the one that runs


@solara.component
def Page() -> None:
    ws = use_websocket(f"{server.url}/v1/ws", max_reconnect_attempts=None)
    (text, set_text), off = solara.use_state(""), not ws.is_connected
    fate = solara.use_memo(Fate, [])
    word = use_subject(fate)

    def send(*_: object) -> None:
        fate.follow(ws.send({"text": text}))
        set_text("")

    def drop() -> None:
        server.refuse(503, times=1)
        server.drop()

    with solara.Card(style="width: 24rem; padding: 1rem", margin=6):
        with solara.Row(justify="space-between", style="align-items: center"):
            solara.HTML("div", "Heimdall", classes=["text-h6"])
            v.Chip(children=[ws.badge.text], color=COLOURS[ws.badge.tone], variant="flat")
        Messages(ws.store)
        with solara.Row(style="align-items: center"):
            box = solara.InputText("say something", text, set_text, off, continuous_update=True)
            v.use_event(box, "keydown.enter", send)
            solara.Button("send", on_click=send, disabled=off)
        solara.HTML("div", word, classes=["text-caption"])
        solara.Button("drop", on_click=drop, color="red", outlined=True, classes=["mt-4"])


@solara.component
def Messages(store: WebSocketStore[object]) -> None:
    text = "\n".join(map(message_line, use_history(store.messages, 5)))
    v.Html(tag="pre", children=[text], style_=LOG, class_="rounded border")  # text, never HTML


if __name__ == "__main__":
    from examples import reacton_app  # what Solara imports, which `__main__` is not

    os.environ["SOLARA_APP"] = reacton_app.__name__
    telemetry.mixpanel_enable = theme.show_banner = False  # Solara reports to its makers otherwise
    with serve_in_thread(require_token=False, echo=True) as reacton_app.server:
        uvicorn.run("solara.server.starlette:app", port=int(os.environ.get("PORT", "8765")))
