"""What a page reports of its life, and who listens."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from heimdall_reactive.connecting.page_life import EVENTS, PageLife, PageWatch, page_watch


class Listener:
    """A function that a page can call until it is destroyed."""

    def __init__(self, call: Callable[[Any], None]) -> None:
        self._call = call
        self.destroyed = False

    def __call__(self, event: Any) -> None:
        assert not self.destroyed
        self._call(event)

    def destroy(self) -> None:
        self.destroyed = True


class Target:
    """A document, or another that has events."""

    def __init__(self) -> None:
        self.hidden = False
        self.listeners: dict[str, Listener] = {}

    def addEventListener(self, name: str, listener: Listener) -> None:  # noqa: N802
        self.listeners[name] = listener

    def removeEventListener(self, name: str, listener: Listener) -> None:  # noqa: N802
        assert self.listeners.pop(name) is listener

    def tell(self, name: str) -> None:
        self.listeners[name](SimpleNamespace(type=name))


class Globals(Target):
    """The global object of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.document = Target()


def test_each_event_is_told_to_all_who_watch() -> None:
    page = Globals()
    watch = PageWatch(page, Listener)
    first: list[PageLife] = []
    second: list[PageLife] = []
    watch.add(first.append)
    watch.add(second.append)
    for name in EVENTS:
        (page.document if name == "resume" else page).tell(name)
    page.document.hidden = True
    page.tell("visibilitychange")
    back = PageLife.BACK
    assert first == second == [PageLife.ONLINE, back, back, back, PageLife.AWAY]


def test_the_last_to_leave_takes_the_listener_along() -> None:
    page = Globals()
    watch = PageWatch(page, Listener)
    seen: list[PageLife] = []

    def leave(_: PageLife) -> None:
        watch.remove(leave)

    watch.add(leave)
    watch.add(leave)
    watch.add(seen.append)
    listener = page.listeners["online"]
    page.tell("online")
    assert not listener.destroyed
    watch.remove(seen.append)
    assert listener.destroyed
    assert page.listeners == page.document.listeners == {}
    watch.remove(leave)  # nobody is left
    watch.add(leave)
    page.tell("online")  # the last one leaves in its own call
    assert page.listeners == {}


def test_node_and_others_tell_nothing() -> None:
    watch = PageWatch(SimpleNamespace(), Listener)
    watch.add(print)
    watch.remove(print)
    assert page_watch() is None
