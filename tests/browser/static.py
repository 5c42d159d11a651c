"""Files on a free port, as any static server has them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["static"]


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        pass


class Server(ThreadingHTTPServer):
    """Waits for its threads, of which no test leaves one."""

    daemon_threads = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Sequence[Any] | str) -> None:
        pass  # a page that is gone


@contextmanager
def static(folder: Path) -> Iterator[str]:
    """Serve a folder; yield its URL."""
    with Server(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="static")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
