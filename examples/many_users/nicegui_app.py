"""A page for many visitors in NiceGUI: `python -m examples.many_users.nicegui_app`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from nicegui import app, ui

from examples.many_users.visitors import Visitor, Visitors
from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import Badge, badge, bind, message_line
from heimdall_reactive.bindings.nicegui import bind_text, bind_visibility, scope
from heimdall_reactive.devserver import serve_in_thread

COLOURS = {"good": "green-8", "busy": "deep-orange-9", "idle": "grey-7", "bad": "red-8"}
CARD = "w-96 max-w-full mx-auto mt-8 p-6 gap-4"


def page(feed: WebSocketStore[Any], visitors: Visitors, issue: Callable[[str], str]) -> None:
    """Show one tab: what everybody may see, and what this visitor alone may.

    Args:
        feed: of the whole process.
        visitors: who has logged in.
        issue: stands for your own log-in, which checks a password and gets a token.
    """
    visitor = visitors.find(app.storage.user.get("session"))
    with ui.card().classes(CARD):
        ui.label("Heimdall").classes("text-xl font-medium")
        if visitor is None:
            ask_who_it_is(visitors, issue)
        else:
            show(visitor, feed, visitors, issue)


def ask_who_it_is(visitors: Visitors, issue: Callable[[str], str]) -> None:
    """Ask for a name, and remember the secret of the log-in in the browser's session."""
    name = ui.input("Your name").classes("w-full")

    def log_in() -> None:
        who = name.value or "guest"
        app.storage.user["session"] = visitors.log_in(who, issue(who))
        ui.navigate.reload()

    ui.button("Log in", on_click=log_in).props("unelevated no-caps")


def show(
    visitor: Visitor,
    feed: WebSocketStore[Any],
    visitors: Visitors,
    issue: Callable[[str], str],
) -> None:
    """Show a visitor's own messages; a second tab and a reload begin with what was there."""
    tab = ExitStack()
    desk = tab.enter_context(visitors.tab(visitor))
    ui.context.client.on_delete(tab.close)
    store = desk.store
    with ui.row().classes("w-full items-center justify-between"):
        ui.label(f"Logged in as {visitor.name}")
        status = ui.badge().classes("px-3 py-1 whitespace-normal")

    def paint(shown: Badge) -> None:
        status.set_text(shown.text)
        status.props(f"color={COLOURS[shown.tone]}")

    def log_in_again() -> None:
        visitors.log_in(visitor.name, issue(visitor.name))  # connects all tabs again

    bind(badge(store), paint, scope(status))
    again = ui.button("Log in again", on_click=log_in_again).props("unelevated no-caps")
    bind_visibility(again, store.state, lambda state: state.status == "failed")
    ui.label("For everybody").classes("text-sm opacity-80")
    bind_text(ui.label(), feed.last_message, lambda told: "nothing yet" if told is None else told)
    ui.label("For you").classes("text-sm opacity-80")
    log = ui.log(max_lines=20).classes("w-full h-32")
    bind(desk.last, lambda told: log.push(message_line(told)), scope(log), buffer=20)
    ui.label("The newest of each type").classes("text-sm opacity-80")
    newest = ui.label().classes("w-full whitespace-pre-line break-words")
    bind(desk.newest, lambda _: newest.set_text(lines(desk.newest.value)), scope(newest))


def lines(rows: dict[str, Any]) -> str:
    """Return rows as text, a line each."""
    return "\n".join(map(message_line, rows.values()))


def main(port: int = 8080, show: bool = True) -> None:
    """Start a server, and NiceGUI on this machine only, until Ctrl-C."""
    with suppress(KeyboardInterrupt), serve_in_thread() as server:
        feed = use_websocket(f"{server.url}/v1/ws/status", max_reconnect_attempts=None)
        visitors = Visitors(f"{server.url}/v1/ws/user", message_type=dict)
        app.on_shutdown(feed.aclose)
        app.on_shutdown(visitors.close)
        ui.run(
            lambda: page(feed, visitors, server.issue),
            host="127.0.0.1", port=port, show=show, reload=False, storage_secret="of this example",
        )  # fmt: skip


if __name__ == "__main__":
    main()
