"""Which threads Solara takes for a user's, and how often a page of its is painted; for tests."""

# mypy: disable-error-code="attr-defined, no-untyped-call"
from __future__ import annotations

import os
import threading
import time
from typing import Any

import reacton
import reacton.ipywidgets as w
from reactivex.subject import BehaviorSubject

from heimdall_reactive.bindings.pages import WEB_FRAME
from heimdall_reactive.bindings.reacton import use_subject, use_websocket
from heimdall_reactive.devserver import serve_in_thread

seen: dict[str, Any] = {}


def own(url: str) -> Any:
    look()
    return w.Label(value=str(use_websocket(url).is_connected))


def look() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("heimdall"):
            seen[thread.name] = getattr(thread, "current_context", None)


def paints() -> float:
    """Return how often a page is painted in each frame of a web page, of 2,000 values a second."""
    numbers, shown = BehaviorSubject(0), list[int]()

    def page() -> Any:
        shown.append(use_subject(numbers))
        return w.Label(value=str(shown[-1]))

    component: Any = reacton.component(page)
    _, tree = reacton.render(component())
    began, count = time.monotonic(), len(shown)
    while (took := time.monotonic() - began) < 1.0:
        numbers.on_next(numbers.value + 1)
        time.sleep(0.0005)
    painted = len(shown) - count
    tree.close()
    return painted * WEB_FRAME / took


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
        share = paints()
    assert app.apps
    print(dict(sorted(seen.items())), share, sep="\n")


if __name__ == "__main__":
    main()
