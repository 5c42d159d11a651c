"""`PageWatch`: what a browser tells a page or a worker of its own life."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from importlib import import_module
from typing import Any, Final

from heimdall_reactive.base.browser_limits import IN_BROWSER

__all__ = ["PageLife", "PageWatch", "page_watch"]


class PageLife(Enum):
    """What happened to a page."""

    ONLINE = "the device is online"
    BACK = "it is seen again, or runs again"
    AWAY = "it ends, or is put away"


EVENTS: Final = {
    "online": PageLife.ONLINE,
    "visibilitychange": PageLife.BACK,
    "resume": PageLife.BACK,  # of a frozen tab, and the only one that stays at the document
    "pageshow": PageLife.BACK,  # of one that was put away
    "pagehide": PageLife.AWAY,
}


class PageWatch:
    """Listens to a page while somebody watches; the last to leave takes the listener along.

    A worker has `online` alone, and Node has none of the events.

    Args:
        page: the global object of JavaScript.
        proxy: makes a function one that the page can call, until it is destroyed.
    """

    def __init__(self, page: Any, proxy: Callable[[Callable[[Any], None]], Any]) -> None:
        self._page = page
        self._proxy = proxy
        self._listener: Any = None
        self._watchers: set[Callable[[PageLife], None]] = set()

    def add(self, watcher: Callable[[PageLife], None]) -> None:
        """Call a function with what happens. A second time does nothing."""
        self._watchers.add(watcher)
        if self._listener is None and hasattr(self._page, "addEventListener"):
            self._listener = self._proxy(self._on_event)
            for name in EVENTS:
                self._where(name).addEventListener(name, self._listener)

    def remove(self, watcher: Callable[[PageLife], None]) -> None:
        """Call it no more."""
        self._watchers.discard(watcher)
        if not self._watchers and self._listener is not None:
            listener, self._listener = self._listener, None
            for name in EVENTS:
                self._where(name).removeEventListener(name, listener)
            listener.destroy()

    def _where(self, name: str) -> Any:
        return getattr(self._page, "document", self._page) if name == "resume" else self._page

    def _on_event(self, event: Any) -> None:
        document = getattr(self._page, "document", None)
        if event.type == "visibilitychange" and getattr(document, "hidden", False):
            return
        for watcher in tuple(self._watchers):
            watcher(EVENTS[event.type])


_watch: PageWatch | None = None


def page_watch() -> PageWatch | None:
    """Return the watch of the page that Python runs in, None where it runs in none."""
    global _watch
    if _watch is None and IN_BROWSER:
        _watch = PageWatch(import_module("js"), import_module("pyodide.ffi").create_proxy)
    return _watch
