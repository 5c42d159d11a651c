"""Shiny: `shiny run examples/recipes/shiny_app.py`."""

import asyncio
from typing import Any

from reactivex import Observable
from shiny import App, Inputs, Outputs, Session, reactive, render, ui

from heimdall_reactive import use_websocket
from heimdall_reactive.bindings import badge, message_line, values

store = use_websocket("/v1/ws", loop="thread", max_reconnect_attempts=None)


def to_reactive(source: Observable[Any], session: Session) -> reactive.Value[Any]:
    """Return a reactive value of one session. Its task ends with the browser's tab."""
    shown: reactive.Value[Any] = reactive.Value(None)

    async def follow() -> None:
        async for value in values(source):
            async with reactive.lock():
                shown.set(value)
                await reactive.flush()

    session.on_ended(asyncio.create_task(follow()).cancel)
    return shown


def server(_: Inputs, __: Outputs, session: Session) -> None:
    """Show the store in one tab."""
    status, newest = to_reactive(badge(store), session), to_reactive(store.last_message, session)

    @render.text
    def shown() -> str:
        return f"{status()}\n{message_line(newest())}"


app = App(ui.page_fluid(ui.output_text_verbatim("shown")), server)
app.on_shutdown(store.close)
