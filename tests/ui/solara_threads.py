"""Which threads of the library Solara takes for a user's, and keeps that user for; for a test."""

# mypy: disable-error-code="attr-defined, no-untyped-call"
from __future__ import annotations

import os
import threading
import time
from typing import Any

import reacton
import reacton.ipywidgets as w

from heimdall_reactive.bindings.reacton import use_websocket
from heimdall_reactive.devserver import serve_in_thread

seen: dict[str, Any] = {}


def own(url: str) -> Any:
    look()
    return w.Label(value=str(use_websocket(url).is_connected))


def look() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("heimdall"):
            seen[thread.name] = getattr(thread, "current_context", None)


def main() -> None:
    os.environ["SOLARA_APP"] = "tests"
    from solara.server import app, kernel_context  # patches the threads

    component: Any = reacton.component(own)
    with serve_in_thread(require_token=False) as server, kernel_context.create_dummy_context():
        box, tree = reacton.render(component(f"{server.url}/v1/ws"))
        shown: Any = box
        until = time.monotonic() + 10
        while shown.children[0].value != "True" and time.monotonic() < until:
            time.sleep(0.005)
        tree.close()
    assert app.apps
    print(dict(sorted(seen.items())))


if __name__ == "__main__":
    main()
