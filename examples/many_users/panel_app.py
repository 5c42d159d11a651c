"""A desk for each visitor in Panel: `python -m examples.many_users.panel_app` (Panel 1.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from html import escape
from typing import Any

import panel

from examples.many_users.visitors import Visitor, Visitors
from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.bindings import badge, message_line
from heimdall_reactive.bindings.param import to_rx
from heimdall_reactive.devserver import serve_in_thread

pn: Any = panel  # its functions have no types
# Light or dark as the system is.
pn.extension(raw_css=[":root { color-scheme: light dark; font-family: sans-serif }"])
TEXT = ":host, pre { color: CanvasText; white-space: pre-wrap; overflow-wrap: anywhere }"
PASSWORDS = {"ada": "of ada", "bob": "of bob"}  # of this example


def page(feed: WebSocketStore[Any], visitors: Visitors, issue: Callable[[str], str]) -> Any:
    """Show the public feed, and what is for this visitor alone.

    Args:
        feed: the public feed.
        visitors: those who have logged in.
        issue: makes a token for a name whose password Panel has checked.
    """
    name = pn.state.user or "guest"
    visitor = visitors.find(visitors.log_in(name, issue(name)))
    assert visitor is not None
    return show(visitor, feed, visitors)


def show(visitor: Visitor, feed: WebSocketStore[Any], visitors: Visitors) -> Any:
    """Show a visitor's own messages; a second tab and a reload begin with what was there."""
    tab = ExitStack()
    desk = tab.enter_context(visitors.tab(visitor))
    pn.state.on_session_destroyed(lambda _: tab.close())
    newest = to_rx(desk.newest, select=lambda _: escaped(desk.newest.value.values()))
    public = to_rx(feed.last_message, select=lambda m: escape(message_line(m)) or "nothing yet")
    texts = [
        pn.pane.Str(escape(f"Logged in as {visitor.name}")),
        pn.pane.Str(to_rx(badge(desk.store), select=lambda shown: escape(shown.text))),
        pn.pane.HTML("<b>For everybody</b>"),
        pn.pane.Str(public),
        pn.pane.HTML("<b>For you</b>"),
        pn.pane.Str(newest),
    ]
    for text in texts:
        text.stylesheets = [TEXT]
    return pn.Column(*texts, max_width=420, sizing_mode="stretch_width")


def escaped(messages: Iterable[Any]) -> str:
    """Return messages as the HTML of a text, a line each: a pane takes HTML."""
    return escape("\n".join(map(message_line, messages))) or "nothing yet"


def main(port: int = 8080, show: bool = True) -> None:
    """Serve the page, and a development server in place of a real one, until Ctrl-C."""
    with serve_in_thread() as server, use_websocket(f"{server.url}/v1/ws/status") as feed:
        visitors = Visitors(f"{server.url}/v1/ws/user", message_type=dict)
        pn.serve(
            lambda: page(feed, visitors, server.issue),
            port,
            address="127.0.0.1",
            show=show,
            basic_auth=PASSWORDS,
            cookie_secret="of this example",
        )


if __name__ == "__main__":
    main()
