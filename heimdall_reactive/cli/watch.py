"""`watch`: print what an endpoint sends, and what becomes of the connection."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias

from heimdall_reactive import WebSocketStore
from heimdall_reactive.base.state import ConnectionState, Status

from .dialing import lasting_store
from .output import CommandError, Output
from .show import End, Payload, Show, show_all

__all__ = ["follow", "has_ended", "watch"]

_Event: TypeAlias = tuple[str, Any]
GOODBYE: Final = 1000  # the close code of a normal end


async def watch(options: argparse.Namespace, out: Output) -> int:
    """Print states, messages and errors until the connection or the user's limit ends.

    Raises:
        CommandError: the store gave up.
    """
    async with lasting_store(options) as store:
        await follow(store, options, show_all(options, out), names=options.channel)
    return 0


async def follow(
    store: WebSocketStore[Any],
    options: argparse.Namespace,
    show: Show,
    is_over: Callable[[Any], bool] | None = None,
    names: Sequence[str] = (),
) -> bool:
    """Show states, messages and errors of a store until it, or the user's limit, ends.

    Args:
        store: is observed from now on.
        options: of the command: `seconds`, `count`.
        show: is given each event: its name and value.
        is_over: returns whether a state, message or error is the last; it raises what the
            command failed of. Default: the end of the connection.
        names: of channels, whose payloads are shown in place of the messages.

    Returns:
        Whether it was the user's limit.

    Raises:
        CommandError: the store gave up, or the last channel failed.
    """
    events: asyncio.Queue[_Event] = asyncio.Queue()
    store.state.subscribe(partial(_put, events, "state"))
    store.errors.subscribe(
        partial(_put, events, "error"), on_completed=partial(_put, events, "end", None)
    )
    for name in names:
        _observe(store, name, partial(_put, events))
    if not names:
        store.messages.subscribe(partial(_put, events, "message"))
    with suppress(TimeoutError):
        async with asyncio.timeout(options.seconds):
            over = _over_all(set(names), is_over or has_ended)
            return await _show(events, show, options.count, over)
    return True


def _put(events: asyncio.Queue[_Event], name: str, value: Any) -> None:
    events.put_nowait((name, value))


def _observe(store: WebSocketStore[Any], name: str, put: Callable[[str, Any], None]) -> None:
    store.channel(name).subscribe(
        lambda data: put("message", Payload(name, data)),
        lambda error: put("channel", End(name, error)),
        lambda: put("channel", End(name, None)),
    )


def _over_all(left: set[str], is_over: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return what is true of the last event: that of the command, or the end of all channels."""

    def over(value: Any) -> bool:
        if not isinstance(value, End):
            return is_over(value)
        left.discard(value.channel)
        if value.error is not None and not left:
            raise CommandError(f"the channel {value.channel!r} failed: {value.error}")
        return not left

    return over


async def _show(
    events: asyncio.Queue[_Event],
    show: Show,
    count: int | None,
    is_over: Callable[[Any], bool],
) -> bool:
    messages = 0
    while count is None or messages < count:
        name, value = await events.get()
        if name == "end":
            return False
        show(name, value)
        messages += name == "message"
        if is_over(value):
            return False
    return True


def has_ended(state: Any) -> bool:
    """Return whether the connection has ended for good.

    Raises:
        CommandError: the store gave up, or was lost and does not connect again.
    """
    if not isinstance(state, ConnectionState):
        return False
    ended = state.status is Status.DISCONNECTED
    lost = ended and state.close is not None and state.close.code != GOODBYE
    if state.status is Status.FAILED or (lost and state.error is not None):
        raise CommandError(str(state.error))
    return ended
