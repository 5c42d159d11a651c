"""A live table and a live plot as one widget, for notebooks, marimo and Solara."""

from pathlib import Path

import anywidget
import traitlets

from examples.live.feed import Market, for_json, state_of
from heimdall_reactive.bindings import badge, bind
from heimdall_reactive.bindings.frames import WEB_FRAME
from heimdall_reactive.bindings.traitlets import scope, to_trait


class MarketView(anywidget.AnyWidget):
    """Shows a market in a browser."""

    _esm = Path(__file__).with_name("market.js")
    status = traitlets.Unicode().tag(sync=True)
    tone = traitlets.Unicode("idle").tag(sync=True)
    rows = traitlets.Dict().tag(sync=True)
    minute = traitlets.Any(((), ())).tag(sync=True)
    newest = traitlets.Float().tag(sync=True)


def view(live: Market) -> MarketView:
    """Return a widget that follows a market until it is closed."""
    shown = MarketView()

    def show_rows(_: object) -> None:
        with shown.hold_sync():  # one message to the browser
            for name, value in state_of(live.rows.value).items():
                shown.set_trait(name, value)

    bind(live.rows, show_rows, scope(shown), every=WEB_FRAME)
    to_trait(live.minute, shown, "minute", select=for_json, every=WEB_FRAME)
    to_trait(badge(live.store), shown, "status", select=str)
    to_trait(badge(live.store), shown, "tone", select=lambda now: now.tone)
    return shown
