"""A page of Panel, served on a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["panel_served"]


@contextmanager
def panel_served(make: Callable[[], Any], **options: Any) -> Iterator[str]:
    """Serve on a thread; a session is forgotten 0.3 s after its tab was closed."""
    pn: Any = pytest.importorskip("panel")
    started: Future[str] = Future()
    over = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        web: Any = pn.serve(
            make, 0, address="127.0.0.1", show=False, start=False, verbose=False,
            unused_session_lifetime_milliseconds=300, check_unused_sessions_milliseconds=300,
            **options,
        )  # fmt: skip
        web.start()
        loops.append(asyncio.get_running_loop())
        started.set_result(f"http://127.0.0.1:{web.port}")
        await over.wait()
        while web.get_sessions():  # noqa: ASYNC110 - they tell nobody, and need the loop
            await asyncio.sleep(0.05)
        if hasattr(web, "stop_async"):  # Bokeh 3.10 has threads, which this waits for
            await web.stop_async()
        else:
            web.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="panel")
    thread.start()
    try:
        yield started.result(20)
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join()
