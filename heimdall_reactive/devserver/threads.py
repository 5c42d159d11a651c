"""A server with its own loop in its own thread, for synchronous programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLContext
from typing import TypedDict, Unpack

from heimdall_reactive.connecting.loop_thread import LoopThread

from .server import DevServer

__all__ = ["ServerOptions", "serve_in_thread"]


class ServerOptions(TypedDict, total=False):
    """The keyword options of `DevServer`, which documents them."""

    require_token: bool
    first_message_auth: bool
    auth_timeout: float
    echo: bool
    compression: str | None
    max_size: int | None
    buffer_limit: int
    history: int
    close_grace: float
    ssl: SSLContext | None


@contextmanager
def serve_in_thread(
    host: str = "127.0.0.1", port: int = 0, **options: Unpack[ServerOptions]
) -> Iterator[DevServer]:
    """Run a `DevServer` in a thread of its own for the length of a `with` block.

    Call its plain methods as they are, and its coroutines with `server.call(...)`.

    Args:
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        **options: as for `DevServer`.

    Raises:
        OSError: if the address cannot be bound.
    """
    server = DevServer(host, port, **options)
    thread = LoopThread("heimdall-devserver")
    try:
        thread.call(server.start())
        try:
            yield server
        finally:
            if not thread.inherited:  # a child process by `fork()` has no such thread
                thread.call(server.stop())
    finally:
        if not thread.inherited:
            # As `asyncio.run` does: no thread that resolved a name is left.
            thread.call(thread.loop.shutdown_default_executor())
            thread.stop()
