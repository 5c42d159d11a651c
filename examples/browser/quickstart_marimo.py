# /// script
# dependencies = ["heimdall-reactive"]
# ///
"""The quickstart as a marimo notebook: `marimo edit`, or `marimo export html-wasm` for a page."""

import marimo

app = marimo.App()


with app.setup:
    import time

    import marimo as mo
    from pydantic import BaseModel

    from heimdall_reactive import use_websocket
    from heimdall_reactive.bindings import badge_of, latest_by
    from heimdall_reactive.testing import Refuse, ScriptedPeer


@app.cell
def _():  # type: ignore[no-untyped-def]
    mo.md("""
    # A store in your browser

    There is no server: the peer is a scripted peer. What happens
    between two runs of a cell makes marimo run none: the cells below look twice a second.
    """)


@app.cell
def _():  # type: ignore[no-untyped-def]
    class Quote(BaseModel):
        symbol: str
        price: float

    peer = ScriptedPeer()
    store = use_websocket(
        "ws://peer/quotes", transport=peer, message_type=Quote, reconnect_delay=2.0
    )
    rows = latest_by(store.messages, lambda quote: quote.symbol)
    return peer, rows, store


@app.cell
def _(peer):  # type: ignore[no-untyped-def]
    def send(_):  # type: ignore[no-untyped-def]
        for symbol, price in (("tea", 4.5), ("cocoa", 9.25), ("tea", 4.75)):
            peer.link.send({"symbol": symbol, "price": price})

    def refuse(_):  # type: ignore[no-untyped-def]
        peer.script(Refuse(503))
        peer.link.drop()

    # Names of the notebook's own: marimo forgets an element that no name holds.
    sending = mo.ui.button(label="Send prices", on_click=send)
    refusing = mo.ui.button(label="Drop, and refuse once", on_click=refuse)
    again = mo.ui.refresh(default_interval="0.5s")
    mo.hstack([sending, refusing, again], justify="start")
    return again, refusing, sending


@app.cell
def _(again, store):  # type: ignore[no-untyped-def]
    again.value  # noqa: B018 - so that it runs
    status = badge_of(store.state.value, time.time())
    mo.callout(str(status), kind="success" if status.online else "warn")


@app.cell
def _(again, rows):  # type: ignore[no-untyped-def]
    again.value  # noqa: B018
    mo.ui.table([quote.model_dump() for quote in rows.value.values()], selection=None)


if __name__ == "__main__":
    app.run()
