"""The cards of the connections: badge, countdown, counters, and the buttons of each."""

from __future__ import annotations

import itertools
import time
from typing import Any, Final

from nicegui import ui

from heimdall_reactive import ConnectionState
from heimdall_reactive.base.state import Status
from heimdall_reactive.bindings import Badge, badge, bind
from heimdall_reactive.bindings.nicegui import scope

from .board import Board, BoardConnection
from .charts import COLOURS, DASHES
from .parts import Text, box, button, labelled, set_disabled

__all__ = ["connection_card"]

ICONS: Final = {
    Status.IDLE: "radio_button_unchecked",
    Status.CONNECTING: "sync",
    Status.CONNECTED: "check_circle",
    Status.WAITING: "schedule",
    Status.DISCONNECTING: "logout",
    Status.DISCONNECTED: "remove_circle_outline",
    Status.FAILED: "error",
}
NUMBERS: Final = (
    "received", "sent", "delivered", "in doubt", "resent",
    "rate", "latency", "session", "reconnects",
)  # fmt: skip
MOVING: Final = (Status.CONNECTING, Status.CONNECTED, Status.WAITING)


def connection_card(board: Board, connection: BoardConnection, index: int) -> None:
    """Show a connection; its mark has the colour and the dash of its lines in the plots."""
    with labelled("card connection", f"connection {connection.name}", "section"):
        with box("connection-head"):
            _mark(index)
            with box("connection-name"):
                Text("h2", connection.name)
                about = Text("p", connection.about, "muted mono ellipsis")
                about.props["title"] = connection.about
            _status(connection)
        _countdown(connection)
        _numbers(board, connection)
        with box("connection-foot"):
            why = Text("p", "", "muted why")
            _buttons(connection)
    bind(connection.store.state, lambda text: _say(why, board.masked(text)), scope(why),
         select=_why)  # fmt: skip


def _mark(index: int) -> None:
    colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
    box("mark").style(f"border-top: 3px {dash} var(--{colour})").props("aria-hidden=true")


def _status(connection: BoardConnection) -> None:
    """Show the badge of a connection."""
    with box("badge").props("role=status") as pill:
        icon = ui.icon(ICONS[Status.IDLE]).props("aria-hidden=true")
        label = Text("span")

    def show(shown: Badge) -> None:
        pill.classes(replace=f"badge {shown.tone}")
        icon.set_name(ICONS[shown.status])
        label.set_text("failed" if shown.status is Status.FAILED else shown.text)

    bind(badge(connection.store), show, scope(pill))


def _countdown(connection: BoardConnection) -> None:
    """Show a bar that runs out until the next attempt; the browser moves it."""
    with box("countdown").props("aria-hidden=true"):
        bar = box("countdown-bar")
    names = itertools.cycle(("run-out", "run-out-again"))  # another name starts it again

    def show(retry_at: float | None) -> None:
        left = 0.0 if retry_at is None else retry_at - time.time()
        bar.style(f"animation: {next(names)} {left:.2f}s linear" if left > 0 else "animation: none")

    bind(connection.store.state, show, scope(bar), select=lambda state: state.retry_at)


def _numbers(board: Board, connection: BoardConnection) -> None:
    shown: dict[str, Text] = {}
    with box("numbers", "dl"):
        for name in NUMBERS:
            with box("number"):
                Text("dt", name)
                shown[name] = Text("dd", "", "tabular")

    def draw(_: int) -> None:
        for name, text in _texts(connection).items():
            shown[name].set_text(text)

    bind(board.ticks, draw, scope(shown["received"]))


def _texts(connection: BoardConnection) -> dict[str, str]:
    store, counters = connection.store, connection.store.stats
    latency = store.latency.value
    return {
        "received": f"{counters.received:,}",
        "sent": f"{counters.sent:,}",
        "delivered": f"{counters.delivered:,}",
        "in doubt": f"{counters.in_doubt:,}",
        "resent": f"{counters.resent:,}",
        "rate": f"{connection.meter.rate:,.0f} /s",
        "latency": "-" if latency is None else f"{latency * 1000:.1f} ms",
        "session": str(store.state.value.session),
        "reconnects": str(counters.reconnects),
    }


def _buttons(connection: BoardConnection) -> None:
    store = connection.store
    with box("row"):
        dial = button("", store.connect, icon="play_arrow", tip="Connect now", classes="icon")
        harms = "icon danger quiet"
        end = button("", store.disconnect, icon="stop", tip="Disconnect", classes=harms)

    def allow(status: Status) -> None:
        set_disabled(dial, status in (Status.CONNECTING, Status.CONNECTED))
        set_disabled(end, status not in MOVING)

    bind(store.state, allow, scope(dial), select=lambda state: state.status)


def _say(label: Text, text: str) -> None:
    label.set_text(text)
    label.props["title"] = text


def _why(state: ConnectionState) -> str:
    """Say why it is so: the error or the close, or since when it is up."""
    error: Any = state.error
    if error is not None:
        return str(error)
    if state.close is not None:
        close = state.close
        return f"closed by the {close.who} with code {close.code} {close.reason}".rstrip()
    if state.connected_at is not None:
        return f"connected since {time.strftime('%H:%M:%S', time.localtime(state.connected_at))}"
    return ""
