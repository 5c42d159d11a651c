"""A store that goes on at an offset: each dial and each session asks where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from heimdall_reactive import Backoff, ConnectionState, Status, WebSocketStore, use_websocket
from heimdall_reactive.transports import choose

from .feeds import Feed, moved

__all__ = ["LoopOption", "open_feed"]

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
        # A live-only server sends on meanwhile: the first dial comes soon.
        "reconnect_delay": Backoff(initial=0.1, factor=2, cap=10),
        **feed.options,
    }
    options |= {"immediate": False, "channel_protocol": feed.subscribing()}
    if feed.resume is not None:
        options["transport"] = _moving(options.get("transport", "websockets"), begin)
    store = use_websocket(feed.endpoint, message_type=str | bytes, loop=loop, **options)

    ending: list[asyncio.Task[None]] = []

    def on_transition(pair: tuple[ConnectionState, ConnectionState]) -> None:
        if _ended(pair[1]):  # a task: this is called by the store that is to be closed
            ending.append(asyncio.create_task(store.aclose(), name="heimdall-feed-end"))
        elif feed.resume is not None and pair[1].is_connected and not pair[0].is_connected:
            first = begin()
            if first is not None and not isinstance(first, str):
                store.send(first)

    store.transitions.subscribe(on_transition)
    return store


def _ended(state: ConnectionState) -> bool:
    if state.status is Status.DISCONNECTED:  # by `disconnect` it may connect again
        return state.close is not None and state.close.who == "server"
    return state.status is Status.FAILED


def _moving(transport: Any, begin: Callable[[], Any]) -> Any:
    """Return a transport that dials the endpoint at which the session is to begin."""
    dial = choose(transport)

    async def dial_there(url: str, *rest: Any) -> Any:
        first = begin()
        return await dial(moved(url, first) if isinstance(first, str) else url, *rest)

    return dial_there
