"""A server with its own loop in its own thread, for synchronous programs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from ssl import SSLContext
from typing import TypedDict, Unpack

from heimdall_reactive.connecting.runtime import plain_loop

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
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    def run() -> None:
        with asyncio.Runner(loop_factory=plain_loop) as runner:
            runner.run(_serve(server, started))

    thread = threading.Thread(target=run, name="heimdall-devserver", daemon=True)
    thread.start()
    try:
        loop, done = started.result()
    except BaseException:
        thread.join()
        raise
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()


async def _serve(
    server: DevServer, started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]
) -> None:
    done = asyncio.Event()
    try:
        await server.start()
    except BaseException as error:
        started.set_exception(error)
        return
    started.set_result((asyncio.get_running_loop(), done))
    await done.wait()
    await server.stop()
