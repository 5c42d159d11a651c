"""`LoopThread`: an event loop on a thread of its own, and the one way to make such a loop."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.base.forking import disown_in_child
from heimdall_reactive.base.masking import told

__all__ = ["LoopThread", "plain_loop"]

T = TypeVar("T")

logger = logging.getLogger("heimdall_reactive")


class LoopThread:
    """An event loop that runs on a daemon thread until it is stopped, and is closed then.

    Args:
        name: of the thread.

    Attributes:
        loop: the event loop.
        thread: its thread, which has started.
        inherited: it is that of the parent process.

    Raises:
        ConfigurationError: this process can start no thread, or no event loop for it.
    """

    def __init__(self, name: str) -> None:
        if sys.platform == "emscripten":  # and a loop that cannot be made complains at its end
            raise _no_thread("browsers have none for Python")
        try:
            self.loop = plain_loop()
        except OSError as error:
            raise _no_thread(str(error)) from None
        self.inherited = False
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self.thread.start()
        except RuntimeError as error:
            self.loop.close()
            raise _no_thread(str(error)) from None
        disown_in_child(self)

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the loop, and wait for what it returns or raises."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def stop(self) -> None:
        """Cancel what still runs, end the loop and wait for the thread. Not twice."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        if self.thread is not threading.current_thread():
            self.thread.join()

    def _disown(self) -> None:
        """Leave the loop to the parent process, also where this thread is the one that forked."""
        self.inherited = True
        if self.thread is threading.current_thread():
            self.loop.stop()  # it shares what it waits for, and would take the parent's wake-ups

    def _run(self) -> None:
        try:
            self._run_until_stopped()
            if self.inherited:
                return
            self.loop.run_until_complete(_cancel_the_rest())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            if not self.inherited:
                self.loop.close()

    def _run_until_stopped(self) -> None:
        while True:
            try:
                self.loop.run_forever()
                return
            except (SystemExit, KeyboardInterrupt) as error:
                if self.inherited:
                    raise
                # Raised by an observer of one store: the others on this thread must live on.
                logger.error("an observer tried to end the background thread: %s", told(error))


async def _cancel_the_rest() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}  # async handlers that are still busy
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _no_thread(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"no thread with an event loop of its own can be started here ({why}); "
        "make the store while an event loop runs that can open sockets"
    )


def plain_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop of asyncio's own, for a thread of this library.

    `asyncio.new_event_loop()` asks the policy. Under those of `qasync.run` and `QtAsyncio.run` it
    makes loops of the user interface, which work on no other thread.
    """
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop()
    return asyncio.SelectorEventLoop()
