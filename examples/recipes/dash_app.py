"""Dash 4.2 or later: `uvicorn examples.recipes.dash_app:app.server`."""

from typing import Any

from dash import Dash, Input, State, callback, dcc, html, set_props

from heimdall_reactive import use_websocket
from heimdall_reactive.bindings import badge, message_line, values

store = use_websocket("/v1/ws", loop="thread", max_reconnect_attempts=None)
app = Dash(backend="fastapi", websocket_callbacks=True)
app.layout = html.Div(
    [html.H2(id="status"), html.Pre(id="newest"), dcc.Input(id="box"), html.Button("send", "send")]
)


@callback(Input("status", "id"))  # without an Output it lives as long as the tab
async def follow_status(_: Any) -> None:
    """Show the connection."""
    async for shown in values(badge(store)):
        set_props("status", {"children": shown.text})
        set_props("box", {"disabled": not shown.online})


@callback(Input("newest", "id"))
async def follow_messages(_: Any) -> None:
    """Show the newest message."""
    async for message in values(store.last_message):
        set_props("newest", {"children": message_line(message)})


@callback(Input("send", "n_clicks"), State("box", "value"), prevent_initial_call=True)
def send(_: Any, text: str) -> None:
    """Send what was typed."""
    store.send({"text": text})
