"""Dash: `uvicorn examples.recipes.dash_app:app.server`."""

import time
from typing import Any

from dash import Dash, Input, Output, State, callback, dcc, html, no_update

from heimdall_reactive import use_websocket
from heimdall_reactive.bindings import badge_of, message_line

store = use_websocket("/v1/ws", loop="thread", max_reconnect_attempts=None)
app = Dash(backend="fastapi")
app.layout = html.Div(
    [
        dcc.Interval(id="look", interval=500),
        dcc.Store(id="seen"),
        html.H2(id="status"),
        html.Pre(id="newest", style={"whiteSpace": "pre-wrap"}),
        dcc.Input(id="box"),
        html.Button("send", "send"),
    ]
)


@callback(
    Output("status", "children"),
    Output("box", "disabled"),
    Output("newest", "children"),
    Output("seen", "data"),
    Input("look", "n_intervals"),
    State("seen", "data"),
)
def look(_: Any, seen: int | None) -> tuple[Any, ...]:
    """Look at the store for a tab, twice a second; the message goes to it once."""
    shown = badge_of(store.state.value, time.time())
    received = store.stats.received
    newest = no_update if received == seen else message_line(store.last_message.value)
    return shown.text, not shown.online, newest, received


@callback(
    Output("box", "value"),
    Input("send", "n_clicks"),
    State("box", "value"),
    prevent_initial_call=True,
)
def send(_: Any, text: str) -> str:
    """Send what was typed, and empty the box."""
    store.send({"text": text})
    return ""
