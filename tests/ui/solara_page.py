"""What `test_reacton_solara.py` shows in its browser: a store for all tabs, and one for each."""

# ruff: noqa: N802 - components have names as types have
# mypy: disable-error-code="attr-defined, no-untyped-call"
# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import gc
import os
import warnings
from typing import Any, cast

import reacton
import solara
import uvicorn

import heimdall_reactive
from heimdall_reactive import WebSocketStore
from heimdall_reactive.bindings.reacton import use_history, use_subject, use_websocket

warnings.filterwarnings("error", message=".*from the event loop thread")
UNCOUNTED: tuple[int, str] = (0, "")
shared: WebSocketStore[Any] = cast("Any", None)  # set below


@solara.component
def Page() -> None:
    mounted, set_mounted = solara.use_state(True)
    Sibling()
    Shared()
    if mounted:
        Own()
    solara.Button("toggle", on_click=lambda: set_mounted(not mounted))
    (times, counts), count = solara.use_state(UNCOUNTED)
    solara.Text(f"count {times}: {counts}")
    solara.Button("count", on_click=lambda: count((times + 1, left_over())))


def left_over() -> str:
    """Count what tabs make: stores, queues, bindings."""
    gc.collect()
    names = [type(each).__name__ for each in gc.get_objects()]
    kinds = ("WebSocketStore", "StoreCore", "RenderQueue", "Binding")
    return ", ".join(f"{kind} {names.count(kind)}" for kind in kinds)


@solara.component
def Sibling() -> None:
    solara.Text(f"sibling rendered {use_renders()}")


@solara.component
def Shared() -> None:
    n = use_subject(shared.last_message, lambda message: message and message.get("n"))
    solara.Text(f"shared {n}")
    solara.Text(f"shared rendered {use_renders()}", classes=["renders"])


@solara.component
def Own() -> None:
    ws = use_websocket("/v1/ws/updates", reconnect_delay=0.7)
    solara.Text(f"own {ws.state.status.value}")
    for n, message in enumerate(use_history(ws.store.messages, 3)):  # each makes a widget
        solara.Text(f"{n}: {message}")

    def send() -> None:
        ws.send({"hello": 1})

    solara.Button("send", on_click=send)


def use_renders() -> int:
    renders = reacton.use_ref(0)
    renders.current += 1
    return renders.current


if __name__ == "__main__":
    from tests.ui import solara_page

    os.environ["SOLARA_APP"] = solara_page.__name__
    with heimdall_reactive.use_websocket("/v1/ws", reconnect_delay=0.2) as solara_page.shared:
        uvicorn.run("solara.server.starlette:app", port=int(os.environ["PORT"]))
