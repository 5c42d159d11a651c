"""One application of `benchmarks.live`, in a process that is asked what it costs and holds."""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from examples.live.feed import Market, market
from heimdall_reactive import WebSocketStore
from heimdall_reactive.bindings import Binding


def _without_tables(live: Market) -> None:
    """By hand, nothing else keeps what comes."""
    live.rows.dispose()
    live.minute.dispose()


@contextmanager
def _nicegui(live: Market) -> Iterator[str]:
    from examples.live import nicegui_app
    from examples.screenshots.browser import web

    with web(lambda: nicegui_app.page(live)) as url:
        yield url


@contextmanager
def _nicegui_by_hand(live: Market) -> Iterator[str]:
    from examples.screenshots.browser import web

    from .live_by_hand import nicegui_page

    _without_tables(live)
    with web(lambda: nicegui_page(live.store)) as url:
        yield url


def _panel_served(page: Callable[[], Any]) -> Iterator[str]:
    import panel as pn

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = pn.serve(
        page, port, address="127.0.0.1", show=False, threaded=True,
        unused_session_lifetime_milliseconds=1000, check_unused_sessions_milliseconds=500,
    )  # fmt: skip
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.stop()


@contextmanager
def _panel(live: Market) -> Iterator[str]:
    from examples.live import panel_app

    yield from _panel_served(lambda: panel_app.page(live))


@contextmanager
def _panel_by_hand(live: Market) -> Iterator[str]:
    from .live_by_hand import panel_page

    _without_tables(live)
    yield from _panel_served(lambda: panel_page(live.store))


@contextmanager
def _solara(live: Market) -> Iterator[str]:
    from examples.screenshots.solara import front_end

    os.environ |= {
        "SOLARA_APP": "examples.live.solara_app",
        "SOLARA_ASSETS_PROXY_CACHE_DIR": str(front_end()),
        "SOLARA_ASSETS_FONTAWESOME_ENABLED": "false",
        "SOLARA_TELEMETRY_MIXPANEL_ENABLE": "false",
        "SOLARA_THEME_LOADER": "plain",
        "SOLARA_KERNEL_CULL_TIMEOUT": "0.5s",  # of a page that is closed
    }
    from solara.server.starlette import app

    from examples.live import solara_app
    from examples.screenshots.browser import serving

    solara_app.live = live
    with serving(app) as url:
        yield url


WAYS = {
    "NiceGUI": _nicegui,
    "NiceGUI, by hand": _nicegui_by_hand,
    "Panel": _panel,
    "Panel, by hand": _panel_by_hand,
    "Solara": _solara,
}


def _is_socket(descriptor: Path) -> bool:
    try:
        return str(descriptor.readlink()).startswith("socket:")
    except OSError:  # the folder's own, which is closed by now
        return False


def held() -> dict[str, int]:
    """Return how many things of each kind there are."""
    gc.collect()
    found = gc.get_objects()
    return {
        "stores": sum(type(one) is WebSocketStore for one in found),
        "bindings": sum(type(one) is Binding for one in found),
        "threads": threading.active_count(),
        "sockets": sum(_is_socket(fd) for fd in Path("/proc/self/fd").iterdir()),
        "objects": len(found),
    }


def answer(control: TextIO) -> None:
    """Answer each line of the control channel, until it ends."""
    answers: dict[str, Callable[[], object]] = {"cpu": time.process_time, "held": held}
    for line in control:
        print(json.dumps(answers[line.strip()]()), file=control, flush=True)


def main(way: str, feed: str, channel: int) -> None:
    """Serve one application on what the feed sends, until the control channel ends."""
    with (
        socket.socket(fileno=channel) as pipe,
        pipe.makefile("rw") as control,
        market(url=feed) as live,
        WAYS[way](live) as url,
    ):
        print(json.dumps(url), file=control, flush=True)
        answer(control)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
