"""Flet: `python -m examples.recipes.flet_app` in the browser, with flet-web."""

from typing import Any

import flet as ft

from heimdall_reactive import use_websocket
from heimdall_reactive.bindings import UiScope, badge, bind, message_line

store = use_websocket("/v1/ws", loop="thread", max_reconnect_attempts=None)


def use_observable(source: Any) -> Any:
    """Return the newest value; the first `source` stays."""
    page, binding = ft.context.page, ft.use_ref(None)
    shown, show = ft.use_state(None)

    async def run(call: Any) -> None:
        call()

    def post(call: Any) -> None:  # from any thread
        if page.session.connection is None:
            raise ConnectionError("the tab is closed")
        page.run_task(run, call)

    def mount() -> None:
        binding.current = bind(source, show, UiScope(post))

    ft.use_effect(mount, [], lambda: binding.current.dispose())  # one that `mount` returns is lost
    return shown


@ft.component
def Live() -> ft.Control:  # noqa: N802, D103 - a component
    status, newest = use_observable(badge(store)), use_observable(store.last_message)
    return ft.Column([ft.Text(f"{status}", size=30), ft.Text(message_line(newest))])


if __name__ == "__main__":
    ft.run(lambda page: page.render(Live), view=ft.AppView.WEB_BROWSER)
