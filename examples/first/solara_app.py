"""A chat in Solara: `solara run examples/first/solara_app.py`."""

# mypy: disable-error-code="attr-defined, no-untyped-call"
# pyright: reportPrivateImportUsage=false
# ruff: noqa: D103, N802 - it is shown word for word, and components have names as types have
import solara
import solara.lab
from reacton import ipyvuetify as v

from heimdall_reactive.bindings import Fate, message_line
from heimdall_reactive.bindings.reacton import use_history, use_subject, use_websocket
from heimdall_reactive.devserver import serve_in_thread

# An echo server on this machine; take the URL of your own in place of the server's.
echo = serve_in_thread(require_token=False, echo=True)
server = echo.__enter__()
COLOURS = {"good": "green-darken-3", "busy": "indigo", "idle": "black", "bad": "red-darken-3"}


@solara.component
def Page() -> None:
    ws = use_websocket(f"{server.url}/v1/ws")
    text, set_text = solara.use_state("")
    fate = solara.use_memo(Fate, [])
    newest = "\n".join(map(message_line, use_history(ws.store.messages, 100)))

    def send(*_: object) -> None:
        fate.follow(ws.send({"text": text}))
        set_text("")

    with solara.Column(style="max-width: 640px; width: 100%; padding: 16px"):
        with solara.Row(justify="space-between", style="align-items: center"):
            v.Chip(children=[ws.badge.text], color=COLOURS[ws.badge.tone], variant="flat")
            solara.lab.ThemeToggle()
        v.Html(tag="pre", children=[newest], style_="height: 300px; overflow: auto")
        off = not ws.is_connected
        box = solara.InputText("say something", text, set_text, off, continuous_update=True)
        v.use_event(box, "keydown.enter", send)
        solara.Text(use_subject(fate))
