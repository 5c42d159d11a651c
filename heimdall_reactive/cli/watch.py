"""`watch`: print what an endpoint sends, and what becomes of the connection."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

from heimdall_reactive import WebSocketStore, use_websocket
from heimdall_reactive.base.exceptions import HeimdallError
from heimdall_reactive.base.state import ConnectionState, Status

from .output import CommandError, Output
from .text import clock, describe, preview, printable
from .tokens import given_token

__all__ = ["CLOSE_TIMEOUT", "Message", "connect", "follow", "has_ended", "watch"]

CLOSE_TIMEOUT = 1.0  # seconds; who pressed Ctrl-C does not want to wait for a mute server

Message: TypeAlias = str | bytes
_Event: TypeAlias = tuple[str, Any]


async def watch(options: argparse.Namespace, out: Output) -> int:
    """Print states, messages and errors until the connection or the user's limit ends.

    Raises:
        CommandError: the store gave up.
    """
    async with connect(options) as store:
        await follow(store, options, out)
    return 0


def connect(options: argparse.Namespace) -> WebSocketStore[Message]:
    """Make the store of a command that only listens."""
    return use_websocket(
        options.endpoint,
        message_type=Message,
        access_token=given_token(options),
        allow_insecure_token=options.allow_insecure_token,
        close_timeout=CLOSE_TIMEOUT,
    )


async def follow(
    store: WebSocketStore[Message],
    options: argparse.Namespace,
    out: Output,
    is_over: Callable[[Any], bool] | None = None,
) -> None:
    """Print states, messages and errors of a store until it, or the user's limit, ends.

    Args:
        store: is observed from now on.
        options: of the command: `json`, `seconds`, `count`.
        out: takes the lines.
        is_over: returns whether a state, message or error is the last; it raises what the
            command failed of. Default: the end of the connection.

    Raises:
        CommandError: the store gave up.
    """
    events: asyncio.Queue[_Event] = asyncio.Queue()
    for name, source in (
        ("state", store.state),
        ("message", store.messages),
        ("error", store.errors),
    ):
        end = partial(_put, events, "end", None) if name == "error" else None
        source.subscribe(partial(_put, events, name), on_completed=end)
    write = _as_json if options.json else _as_text
    with suppress(TimeoutError):
        async with asyncio.timeout(options.seconds):
            await _print(
                events,
                lambda event: out.line(write(*event)),
                options.count,
                is_over or has_ended,
            )


def _put(events: asyncio.Queue[_Event], name: str, value: Any) -> None:
    events.put_nowait((name, value))


async def _print(
    events: asyncio.Queue[_Event],
    write: Callable[[_Event], None],
    count: int | None,
    is_over: Callable[[Any], bool],
) -> None:
    messages = 0
    while count is None or messages < count:
        event = await events.get()
        name, value = event
        if name == "end":
            return
        write(event)
        messages += name == "message"
        if is_over(value):
            return


def has_ended(state: Any) -> bool:
    """Return whether the connection has ended for good.

    Raises:
        CommandError: the store gave up.
    """
    if not isinstance(state, ConnectionState):
        return False
    if state.status is Status.FAILED:
        raise CommandError(str(state.error))
    return state.status is Status.DISCONNECTED


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, ConnectionState):
        text = f"-- {describe(value)}"
    elif isinstance(value, HeimdallError):
        text = f"-- error: {printable(str(value))}"
    else:
        text = preview(value)
    return f"{clock()}  {text}"


def _as_json(name: str, value: Any) -> str:
    record: dict[str, Any] = {"time": _iso(datetime.now(UTC)), "event": name}
    if isinstance(value, ConnectionState):
        record |= _state_fields(value)
    elif isinstance(value, HeimdallError):
        record |= {"error": str(value), "kind": type(value).__name__}
    elif isinstance(value, bytes):
        record |= {"format": "binary", "data": base64.b64encode(value).decode()}
    else:
        return _text_record(record, value)
    return json.dumps(record)


def _text_record(record: dict[str, Any], text: str) -> str:
    """Show JSON as JSON; text that is none, or has no place in strict JSON, as a string."""
    try:
        return json.dumps(record | {"format": "json", "data": json.loads(text)}, allow_nan=False)
    except (ValueError, RecursionError):
        return json.dumps(record | {"format": "text", "data": text})


def _state_fields(state: ConnectionState) -> dict[str, Any]:
    close = state.close
    at = state.retry_at
    return {
        "status": str(state.status),
        "session": state.session,
        "attempt": state.attempt,
        "retry_at": None if at is None else _iso(datetime.fromtimestamp(at, UTC)),
        "http_status": state.http_status,
        "close": close and {"code": close.code, "reason": close.reason, "who": close.who},
        "error": None if state.error is None else str(state.error),
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
