"""A store that goes on at an offset: each dial and each session asks where."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Literal, TypeAlias

from heimdall_reactive import Backoff, ConnectionState, Status, WebSocketStore, use_websocket
from heimdall_reactive.base.starting import start_task
from heimdall_reactive.transports import choose

from .feeds import Feed, Taken, moved

__all__ = ["LoopOption", "Places", "ended", "first_of", "open_feed"]

LoopOption: TypeAlias = Literal["auto", "thread"] | asyncio.AbstractEventLoop


def open_feed(
    feed: Feed, begin: Callable[[], Any], loop: LoopOption
) -> WebSocketStore[str | bytes]:
    """Return the store of a feed, which does not dial before it is told to.

    It closes itself when it will never read again: it failed, or the server closed it for good.

    Args:
        feed: what is read.
        begin: returns the endpoint (a `str`) or the message with which a session begins, or None
            for the plain endpoint. Called on the store's event loop.
        loop: as for `use_websocket`.
    """
    # None: an ingest that gives up after some failures would need a supervisor for nothing else.
    options: dict[str, Any] = {
        "max_reconnect_attempts": None,
        # A live-only server sends on: the first dial comes soon.
        "reconnect_delay": Backoff(initial=0.1, factor=2, cap=10),
        **feed.options,
    }
    options |= {"immediate": False, "channel_protocol": feed.subscribing()}
    begun: list[Any] = [None]  # what the dial that is under way, or was last, begins with
    if feed.resume is not None:
        options["transport"] = _moving(options.get("transport", "websockets"), begin, begun)
    store = use_websocket(feed.endpoint, message_type=str | bytes, loop=loop, **options)

    ending: list[asyncio.Task[None]] = []

    def on_transition(pair: tuple[ConnectionState, ConnectionState]) -> None:
        if ended(pair):  # a task: this is called by the store that is to be closed
            ending.append(start_task(store.aclose(), "heimdall-feed-end"))
        elif pair[1].is_connected and not pair[0].is_connected:
            first = begun[0]
            if first is not None and not isinstance(first, str):
                store.send(first)

    store.transitions.subscribe(on_transition)
    return store


def ended(pair: tuple[ConnectionState, ConnectionState]) -> bool:
    """Return whether a transition is the end of a feed: it failed, or the server closed it."""
    before, state = pair
    if state.status is Status.DISCONNECTED:  # by `disconnect` it may connect again
        ours = before.status is Status.DISCONNECTING
        return not ours and state.close is not None and state.close.who == "server"
    return state.status is Status.FAILED


def first_of(
    feed: Feed,
    offset: int | None,
    newest: str | bytes | None,
    taken_of: Callable[[str | bytes], Taken | None],
) -> Any:
    """Return what `resume` makes of an offset; None without one.

    Args:
        feed: whose.
        offset: of the newest message that was handed out.
        newest: message that came, and may still wait.
        taken_of: takes it apart.
    """
    if newest is not None:
        with suppress(Exception):  # the reader raises it, in its own turn
            taken = taken_of(newest)
            if taken is not None and taken.offset is not None:
                offset = max(taken.offset, offset or taken.offset)
    if offset is None or feed.resume is None:
        return None
    # A server whose first message is 0 may refuse what is before it.
    return feed.resume(max(min(offset, 0), offset - feed.rewind))


class Places:
    """What was handed out of the piece of a feed that its rewind repeats.

    Args:
        feed: whose.
        offset: where reading begins.
        before: channels and ids of what was handled until there.
        limit: how many are kept.
    """

    def __init__(
        self, feed: Feed, offset: int | None, before: Iterable[tuple[str, str]], limit: int
    ) -> None:
        self._rewind = feed.rewind if feed.resume is not None else 0
        self._newest = offset
        self._all: deque[tuple[int, tuple[str, str]]] = deque(maxlen=limit)
        if offset is not None and self._rewind:
            self._all.extend((offset, key) for key in before)

    @property
    def seen(self) -> tuple[tuple[str, str], ...]:
        """Channels and ids, the oldest first."""
        return tuple(key for _, key in self._all)

    def add(self, taken: Taken) -> None:
        """Handle a message that is handed out; forget those that no rewind reaches any more."""
        if not self._rewind or taken.id is None or taken.offset is None:
            return
        self._newest = taken.offset if self._newest is None else max(self._newest, taken.offset)
        self._all.append((taken.offset, (taken.channel, taken.id)))
        while self._all[0][0] < self._newest - self._rewind:
            self._all.popleft()


def _moving(transport: Any, begin: Callable[[], Any], begun: list[Any]) -> Any:
    """Return a transport that dials the endpoint at which the session is to begin."""
    dial = choose(transport)

    async def dial_there(url: str, *rest: Any) -> Any:
        first = begun[0] = begin()
        return await dial(moved(url, first) if isinstance(first, str) else url, *rest)

    return dial_there
