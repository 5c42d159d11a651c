"""A live table and a live plot as one widget, for notebooks, marimo and Solara."""

from pathlib import Path

import anywidget
import traitlets

from examples.live.feed import Market
from heimdall_reactive.bindings import badge
from heimdall_reactive.bindings.pages import WEB_FRAME
from heimdall_reactive.bindings.traitlets import to_trait


class MarketView(anywidget.AnyWidget):
    """Shows a market in a browser; the rows and the minute are JSON."""

    _esm = Path(__file__).with_name("market.js")
    status = traitlets.Unicode().tag(sync=True)
    tone = traitlets.Unicode("idle").tag(sync=True)
    rows = traitlets.Unicode().tag(sync=True)
    minute = traitlets.Unicode().tag(sync=True)


def view(live: Market) -> MarketView:
    """Return a widget that follows a market until it is closed."""
    shown = MarketView()
    to_trait(live.rows_text, shown, "rows", every=WEB_FRAME)
    to_trait(live.minute_text, shown, "minute", every=WEB_FRAME)
    to_trait(badge(live.store), shown, "status", select=str)
    to_trait(badge(live.store), shown, "tone", select=lambda now: now.tone)
    return shown
