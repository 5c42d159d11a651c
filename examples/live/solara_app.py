"""A live table and a live plot in Solara: `python -m examples.live.solara_app`."""

# mypy: disable-error-code="attr-defined, no-untyped-call"
# pyright: reportAttributeAccessIssue=false, reportPrivateImportUsage=false
# ruff: noqa: D103, N802 - components, which have names as types have
import os
from typing import cast

import solara
import solara.lab
import uvicorn
from solara.server.settings import telemetry, theme

from examples.live.feed import Market, market
from examples.live.widget import MarketView
from heimdall_reactive.bindings.reacton import use_badge, use_subject

live = cast("Market", None)  # set below to the one that runs


@solara.component
def Page() -> None:
    shown = use_badge(live.store)
    rows, minute = use_subject(live.rows_text), use_subject(live.minute_text)
    with solara.Row(justify="end", style="padding: 8px 16px 0"):
        solara.lab.ThemeToggle()  # it is also what makes the page light or dark as the browser is
    MarketView.element(status=shown.text, tone=shown.tone, rows=rows, minute=minute)


if __name__ == "__main__":
    from examples.live import solara_app  # what Solara imports, which `__main__` is not

    os.environ["SOLARA_APP"] = solara_app.__name__
    telemetry.mixpanel_enable = theme.show_banner = False  # Solara reports to its makers otherwise
    theme.loader = "plain"  # no splash
    with market() as solara_app.live:
        uvicorn.run("solara.server.starlette:app", port=int(os.environ.get("PORT", "8765")))
